"""A measured figure, beside the limit that it must keep and a control that must do worse."""

import contextlib
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Figure:
    """`value` [unit] with the CPU seconds it took; `at_least` or `at_most` is the limit, `control` the worse way."""

    name: str
    value: float
    unit: str
    cpu_s: float
    at_least: float | None = None
    at_most: float | None = None
    control: float | None = None
    control_name: str = ""
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"met": self.met}


@dataclass
class Clock:
    """Wall and CPU seconds of a stretch of work, children included."""

    wall: float = 0.0
    cpu: float = 0.0


@contextlib.contextmanager
def clock() -> Iterator[Clock]:
    """Times the block."""
    result = Clock()
    wall, cpu = time.perf_counter(), _cpu()
    yield result
    result.wall, result.cpu = time.perf_counter() - wall, _cpu() - cpu


def _cpu() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def process_cpu(pid: int) -> float:
    """CPU seconds that a running process has used so far (Linux)."""
    import os

    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a running process [MB] (Linux)."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0
