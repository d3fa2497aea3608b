"""Values of a bulk import by ids: to which signal they belong, and the number or code that they are there."""

import contextlib
from collections.abc import Mapping
from typing import Any

from .errors import InvalidValueError, IoTSenseError
from .model import DataType, Signal
from .times import format_time, now_ns
from .twin import Twin

MAX_AHEAD_NS = 600_000_000_000
_TRUTHS = ("false", "true")


class Values:
    """Finds signals by their id or by the number that the import's own rows gave them, and turns values into theirs.

    signals: indexes here by those of the rows. texts: of those signals by (index of the rows, code).
    """

    def __init__(self, twin: Twin, signals: Mapping[int, int], texts: Mapping[tuple[int, int], str]) -> None:
        self._twin = twin
        self._signals = signals
        self._texts = texts
        self._found: dict[str | int, Signal | str] = {}
        self._latest = now_ns() + MAX_AHEAD_NS

    def signal(self, name: str | int) -> Signal:
        """The signal; raises InvalidValueError."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._look_up(name)
        if isinstance(found, str):
            raise InvalidValueError(found, "signal")
        return found

    def _look_up(self, name: str | int) -> Signal | str:
        if isinstance(name, int):
            if name not in self._signals:
                return f"no row of signals has the index {name}"
            return self._twin.graph.signal(self._signals[name])
        try:
            return self._twin.graph.find_signal(name)
        except IoTSenseError as error:
            return str(error)

    def time(self, time: int) -> int:
        """The time, if it is none in the future; raises InvalidValueError."""
        if time > self._latest:
            raise InvalidValueError(f"the time, {format_time(time)}, is in the future", "time")
        return time

    def value(self, name: str | int, value: Any) -> float:
        """The number, or the code of the text or truth; raises InvalidValueError."""
        signal = self.signal(name)
        if signal.data_type is DataType.NUMBER and not signal.labels:
            return _number(value)
        if signal.data_type is DataType.BOOLEAN and not signal.labels:
            return _truth(value)
        if isinstance(value, str):
            return self._coded(signal, value)
        if isinstance(name, int) and (text := self._texts.get((name, int(value)))) is not None:
            return self._coded(signal, text)
        if signal.data_type is DataType.TEXT or isinstance(value, bool):
            raise InvalidValueError(f"{value!r} is no text", "value")
        return _number(value)

    def _coded(self, signal: Signal, text: str) -> float:
        if signal.data_type is None and not signal.labels:
            self._decide(signal)
        return self._twin.label_code(signal.index, text)

    def _decide(self, signal: Signal) -> None:
        # The first text decides that a signal's values are texts, as it does for readings that come over a network.
        self._twin.change(lambda edit: edit.update_signal(signal.index, data_type=DataType.TEXT), "bulk import")
        self._found.clear()


def _number(value: Any) -> float:
    if not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)
    raise InvalidValueError(f"{value!r} is no number", "value")


def _truth(value: Any) -> float:
    if isinstance(value, str):
        if value.lower() not in _TRUTHS:
            raise InvalidValueError(f"{value!r} is neither true nor false", "value")
        return float(_TRUTHS.index(value.lower()))
    if value not in (0, 1):
        raise InvalidValueError(f"{value!r} is neither true nor false", "value")
    return float(value)
