"""Points: the addresses of one source, numbered, so that a thousand of their values travel as four columns.

Protocols that know beforehand what they read (OPC UA, Modbus, BACnet) hand over columns instead of a Python object
per value; the pipeline looks up each point's signal once per revision of the graph.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..twin.model import DataType
from .sample import Sample

Key = tuple[str | None, str | None, str | None]
"""Device, name and unit: how a lane knows an address."""


class Point(msgspec.Struct, frozen=True):
    """What is read at a source: `address` is what it is called, `device` who has it, `unit` what its values are in.

    tag: where it is at the source (an OPC UA node id, say), if `address` is another name for it. data_type: what a
    signal becomes that is discovered by it; in columns a boolean is 1 or 0.
    """

    address: str
    device: str | None = None
    unit: str | None = None
    tag: str | None = None
    data_type: DataType = DataType.NUMBER

    @property
    def key(self) -> Key:
        """How lanes know it."""
        return (self.device, self.address or None, self.unit)


class Points:
    """The points of a source in a fixed order; make it once for each connection, not for each message."""

    __slots__ = ("keys", "points")

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        self.keys = [point.key for point in self.points]

    def __len__(self) -> int:
        return len(self.points)

    def sample(self, number: int, value: float | str | None, time: int, quality: int) -> Sample:
        """One value of a point by itself."""
        point = self.points[number]
        if point.data_type is DataType.BOOLEAN and value in (0, 1):
            value = bool(value)
        return Sample(point.address, value, time, quality, point.unit, point.device, tag=point.tag)


class PointReadings(msgspec.Struct):
    """Values of points as columns of equal length `(n,)`.

    point: int32, index into `points`. time: int64 [ns since the epoch], or None: the arrival counts. value: float64 in
    the point's unit, true and false as 1 and 0, NaN for none. quality: uint8, OPC quality byte, or None: good.
    """

    points: Points
    point: NDArray[np.int32]
    value: NDArray[np.float64]
    time: NDArray[np.int64] | None = None
    quality: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.point)
