"""Values of monitored items as messages: numbers as columns, texts and lists as samples."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.define_opcua import OpcUaNode
from ..twin.errors import IoTSenseError
from ..twin.model import Quality
from .message import Message, Order
from .opcua_changes import Changes
from .opcua_status import WAITING, quality_of
from .opcua_variables import Variable
from .points import Point, PointReadings, Points
from .sample import Sample

_BOOLEAN = 1
# What a sample takes in the pipeline's buffer [bytes], about.
_SAMPLE_BYTES = 96


class OpcUaReadings:
    """Of one connection. The handle of a monitored item is the number of its point."""

    def __init__(self, source: str, nodes: Sequence[OpcUaNode], variables: Sequence[Variable]) -> None:
        self._source = source
        self._nodes = nodes
        self._variables = variables
        self.points = Points(
            [Point(n.name or n.id, unit=v.unit, tag=n.id) for n, v in zip(nodes, variables, strict=True)]
        )
        self._labelled = np.array([bool(variable.labels) for variable in variables], np.bool_)
        # The first value of a truth value goes as one, so that a signal that is made for it becomes boolean.
        self._new_boolean = np.array([_is_boolean(variable) for variable in variables], np.bool_)
        self.last = np.zeros(len(nodes), np.int64)
        self.seen = np.zeros(len(nodes), np.bool_)
        # How many values the lists had.
        self._lengths: dict[int, int] = {}

    def renewed(self, variables: Sequence[Variable]) -> "OpcUaReadings":
        """The same points, of which the server tells more now."""
        other = OpcUaReadings(self._source, self._nodes, variables)
        other.last, other.seen, other._lengths = self.last, self.seen, self._lengths
        return other

    def messages(
        self, changes: Changes, received: int, not_before: int = 0, order: Order | None = None
    ) -> list[Message]:
        """Up to two messages; values at or before `not_before` [ns] are told anew as of their arrival.

        Items that this connection does not have are left out.
        """
        known = changes.handle < len(self.points)
        point = changes.handle[known].astype(np.int32)
        value, quality = changes.value[known], changes.quality()[known]
        time = changes.time[known]
        time = np.where(time <= not_before, received, time)
        quality = np.where(np.isnan(value) & (quality >= Quality.UNCERTAIN), WAITING, quality).astype(np.uint8)
        self.last[point] = time
        self.seen[point] = True
        samples = self._samples(changes, received, not_before)
        as_text = self._labelled[point] | self._new_boolean[point]
        if as_text.any():
            rows = np.flatnonzero(as_text).tolist()
            samples += [self._sample(int(point[row]), value[row], int(time[row]), int(quality[row])) for row in rows]
            self._new_boolean[point] = False
            rest = ~as_text
            point, value, time, quality = point[rest], value[rest], time[rest], quality[rest]
        found = []
        if len(point):
            columns = PointReadings(self.points, point, value, time, quality)
            found.append(Message(self._source, readings=columns, received=received, order=order))
        if samples:
            size = len(samples) * _SAMPLE_BYTES
            found.append(Message(self._source, samples=samples, received=received, size=size, order=order))
        return found

    def sample(self, changes: Changes, received: int) -> Sample:
        """The one value of `changes`."""
        if not len(changes.handle):
            return self._samples(changes, received, 0)[0]
        handle, value = int(changes.handle[0]), float(changes.value[0])
        time, quality = int(changes.time[0]) or received, quality_of(int(changes.status[0]))
        if self._labelled[handle] or _is_boolean(self._variables[handle]):
            return self._sample(handle, value, time, quality)
        return self._make(handle, None if np.isnan(value) else value, time, quality)

    def unknown(self, time: int, quality: int) -> list[Message]:
        """Says of all points that had a value that they have none any more, as of `time` [ns]."""
        lists = [self._make(n, [math.nan] * length, time, quality) for n, length in self._lengths.items()]
        found = [Message(self._source, samples=lists, received=time)] if lists else []
        single = self.seen.copy()
        single[list(self._lengths)] = False
        which = np.flatnonzero(single).astype(np.int32)
        if rows := len(which):
            nothing: NDArray[np.float64] = np.full(rows, np.nan)
            bad = np.full(rows, quality, np.uint8)
            columns = PointReadings(self.points, which, nothing, np.full(rows, time), bad)
            found.append(Message(self._source, readings=columns, received=time))
        return found

    def _samples(self, changes: Changes, received: int, not_before: int) -> list[Sample]:
        found = []
        for handle, value, time, status in changes.others:
            if handle >= len(self.points):
                continue
            if isinstance(value, list):
                self._lengths[handle] = len(value)
            stamp = time if time > not_before else received
            self.last[handle], self.seen[handle] = stamp, True
            found.append(self._make(handle, value, stamp, quality_of(status)))
        return found

    def _sample(self, number: int, value: float, time: int, quality: int) -> Sample:
        """A number that is to be a text or a truth value."""
        shown: Any = None
        if not np.isnan(value):
            labels = self._variables[number].labels
            shown = labels.get(int(value), f"{int(value)}") if labels else bool(value)
        return self._make(number, shown, time, quality)

    def _make(self, number: int, value: Any, time: int, quality: int) -> Sample:
        point = self.points.points[number]
        return Sample(point.address, value, time, quality, point.unit, tag=point.tag)


class Settling:
    """Messages that came in one piece: `done` is called when all are durable, `refused` when the first is refused."""

    __slots__ = ("_done", "_left", "_refused")

    def __init__(
        self, messages: Sequence[Message], done: Callable[[], None], refused: Callable[[IoTSenseError], None]
    ) -> None:
        self._left = len(messages)
        self._done = done
        self._refused = refused
        for message in messages:
            message.ack = self._ack
            message.refuse = self._refuse

    def _ack(self) -> None:
        self._left -= 1
        if not self._left:
            self._done()

    def _refuse(self, error: IoTSenseError) -> None:
        if self._left > 0:
            self._left = -1
            self._refused(error)


def _is_boolean(variable: Variable) -> bool:
    kind = variable.data_type
    return kind is not None and kind.NamespaceIndex == 0 and kind.Identifier == _BOOLEAN and variable.rank < 0
