"""A plant with values that may be set, and a device in memory: for what no real one does on demand."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service_fixtures import write_plant

from iotsense.ingest.adapter import Deliver
from iotsense.ingest.points import Point
from iotsense.ingest.sample import Sample
from iotsense.ingest.source_state import SourceStatus
from iotsense.service import Service
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import SourceError
from iotsense.twin.times import now_ns

PLANT = """
digital_twins:
  - name: line_1
    components:
      - id: conveyor
        parameters: {limit: 2.5}
        sensors:
          - {id: speed, unit: m/s, low: 0, high: 3, source: "c.speed", writable: true}
          - id: ramp
            unit: m/s
            source: "c.ramp"
            writable: {min: 0.5, max: 2, max_step: 0.5, deadline: 2s}
          - {id: rare, source: "c.rare", writable: {min_interval: 1h}}
          - {id: state, labels: [stopped, running], source: "c.state", writable: true}
          - {id: light, data_type: boolean, source: "c.light", writable: true}
          - id: guarded
            unit: m/s
            source: "c.guarded"
            writable: {interlock: "state == 'running' and guarded < limit"}
          - {id: blind, source: "c.blind", writable: {read_back: false}}
          - {id: apart, unit: m/s, source: "c.apart", writable: {source: "c.setpoint", tolerance: 0.1}}
          - {id: fixed, source: "c.fixed"}
          - {id: lost, source: "c.lost", writable: true}
"""
ADDRESSES = ("speed", "ramp", "rare", "state", "light", "guarded", "blind", "setpoint")


class Device:
    """What is written it holds. It may be away, refuse, be slow, round, or take something without doing it.

    Its points are in mm/s, where the plant has m/s: what goes out is what the device means.
    """

    def __init__(self, name: str = "plc") -> None:
        self.name = name
        self.status = SourceStatus(name, "device", "memory")
        self.status.connecting()
        self.status.running()
        self.values: dict[str, Any] = {"state": 0, "light": False}
        self.writes: list[tuple[str, Any]] = []
        self.reads = 0
        self.away = self.deaf = False
        self.refuses: str | None = None
        self.mute: str | None = None
        self.breaks: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.points = [Point(f"c.{name}", unit=_unit(name)) for name in ADDRESSES]

    async def run(self, deliver: Deliver) -> None:
        await asyncio.Event().wait()

    def writable(self) -> Sequence[Point]:
        return self.points

    async def write(self, point: Point, value: float | bool | str) -> None:
        name = point.address.partition(".")[2]
        self.writes.append((name, value))
        await self.gate.wait()
        self._check()
        if not self.deaf:
            self.values[name] = value

    async def read(self, point: Point) -> Sample:
        self.reads += 1
        self._check()
        if self.mute is not None:
            raise SourceError(self.mute)
        return Sample(point.address, self.values.get(point.address.partition(".")[2]))

    def _check(self) -> None:
        if self.breaks is not None:
            raise self.breaks
        if self.away:
            raise SourceError("the line is dead")
        if self.refuses is not None:
            raise SourceError(self.refuses)

    def goes(self) -> None:
        self.away = True
        self.status.backoff("the line is dead", now_ns())

    def returns(self) -> None:
        self.away = False
        self.status.connecting()
        self.status.running()


def _unit(name: str) -> str | None:
    return "mm/s" if name in ("speed", "ramp", "guarded", "setpoint") else None


def plant(directory: Path) -> Path:
    return write_plant(directory, PLANT)


def show(running: Service, signal: str, value: float | str) -> None:
    """A reading of a signal."""
    found = running.twin.graph.find_signal(signal)
    code = running.twin.label_code(found.index, value) if isinstance(value, str) else value
    running.twin.apply(ReadingBatch.of([found.index], [now_ns()], [code]))
