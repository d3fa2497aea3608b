"""What a look at a device found, in the words of no protocol: equipment, its points, and how they are read.

Each protocol that can look has a module `discover_PROTOCOL.py` with

    async def discover(url: str, look: Look, *, username: str | None = None, ...) -> Found

whose keyword arguments are settings of its connection, named as in the definition; secrets come as references
(`${VARIABLE}`), to be revealed when they are used. It raises SourceError if the device cannot be reached or refuses,
InvalidValueError for an argument that makes no sense, MissingExtraError. `proposal.py` makes a twin definition of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

DataType = Literal["number", "boolean", "text"]
Scalar = str | int | float | bool
SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class FoundPoint:
    """A value that a device offers.

    name: what the device calls it, within the equipment. item: the part of the connection's definition that reads it,
    such as `{"nodes": [{"id": "ns=2;s=Speed"}]}`; the parts of all points are joined, equal ones once. source: the
    address that its readings bear (`Sample.tag`, `Sample.address` or DEVICE.ADDRESS), which becomes the sensor's
    `source`; None where device and name alone bind it. unit: as the device writes it, known or not. low, high: the
    range that the device tells [unit]. labels: texts of its codes 0, 1, .... elements: number of values of a list.
    interval: how often it changes or may be asked [s]. type: what it measures, if the device says. note: what an
    engineer should look at.
    """

    name: str
    item: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    data_type: DataType | None = None
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    labels: Sequence[str] = ()
    elements: int | None = None
    stepped: bool = False
    writable: bool = False
    interval: float | None = None
    type: str | None = None
    description: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class FoundNode:
    """Equipment or a part of it.

    name: what the device calls it. type: its kind, such as the name of its OPC UA type. model: make and model.
    parameters: fixed values of it, such as a serial number or a rated speed, by name.
    """

    name: str
    points: Sequence[FoundPoint] = ()
    nodes: Sequence["FoundNode"] = ()
    type: str | None = None
    model: str | None = None
    description: str | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    note: str | None = None

    def all_points(self, within: tuple[str, ...] = ()) -> Iterator[tuple[str, FoundPoint]]:
        """Its points and those of its parts, each with its path: names joined by `/`."""
        path = (*within, self.name)
        for point in self.points:
            yield SEPARATOR.join((*path, point.name)), point
        for node in self.nodes:
            yield from node.all_points(path)


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found.

    source: the connection as an entry of `sensor_ingestion.protocols`, without the points' items. title: what the
    device calls itself. notes: what was left out, and why; each is a line for the engineer.
    """

    source: Mapping[str, Any]
    nodes: Sequence[FoundNode]
    title: str | None = None
    notes: Sequence[str] = ()

    def all_points(self) -> Iterator[tuple[str, FoundPoint]]:
        """All points, each with its path."""
        for node in self.nodes:
            yield from node.all_points()


def _silent(what: str, done: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked for, and how long.

    under: begin at this path or address of the device. include, exclude: globs over paths (`Line1/*/Speed`; `*` goes
    over `/`). listen: how long a protocol that only hears listens [s]. limit: stop at so many points, and say so in
    the notes. tell: is called with what is being done and how many points there are so far.
    """

    under: str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    listen: float = 10.0
    limit: int = 50_000
    tell: Callable[[str, int], None] = _silent

    def wants(self, path: str) -> bool:
        """Whether a point of this path is asked for; what is not wanted need not be read."""
        included = not self.include or any(fnmatchcase(path, glob) for glob in self.include)
        return included and not any(fnmatchcase(path, glob) for glob in self.exclude)
