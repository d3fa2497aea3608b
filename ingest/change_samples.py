"""From changed rows to samples, compiled once for each table."""

from collections.abc import Callable
from typing import Any

from ..twin.define_cdc import RowColumn, RowSignals
from ..twin.errors import InvalidValueError
from ..twin.model import Quality
from .change import UNCHANGED, Change, Row
from .sample import Sample
from .stamps import Clock
from .telemetry import quality_byte

Cell = Callable[[Row], Any]
_MISSING = object()


class ChangeSamples:
    """The readings of a table's rows, as `signals:` says; deletions are no readings."""

    def __init__(self, wanted: RowSignals, clock: Clock) -> None:
        self._device = cell(wanted.device_id)
        self._time = cell(wanted.timestamp) if wanted.timestamp is not None else None
        self._quality = cell(wanted.quality) if wanted.quality is not None else None
        self._columns = [_column(each) for each in wanted.columns]
        self._name = cell(wanted.name) if wanted.name is not None else None
        self._value = cell(wanted.value) if wanted.value is not None else None
        self._unit = cell(wanted.unit) if wanted.unit is not None else None
        self._only_changed = wanted.only_changed
        self._clock = clock

    def of(self, change: Change) -> list[Sample]:
        """The samples of a change; raises InvalidValueError if the row cannot be read."""
        row = change.after
        if row is None:
            return []
        device = self._device(row)
        if device is None:
            raise InvalidValueError("the row names no device")
        time = change.time
        if self._time is not None and (stamp := self._time(row)) is not None:
            time = self._clock(stamp)
        quality = int(Quality.GOOD) if self._quality is None else quality_byte(self._quality(row))
        if self._name is not None and self._value is not None:
            value = self._value(row)
            unit = self._unit(row) if self._unit is not None else None
            return (
                []
                if value in (None, UNCHANGED)
                else [Sample(str(self._name(row)), value, time, quality, unit, str(device))]
            )
        old = change.before if self._only_changed and change.operation == "update" else None
        return [
            Sample(name, row[column], time, quality, unit, str(device))
            for column, name, unit in self._columns
            if row.get(column) not in (None, UNCHANGED) and (old is None or old.get(column, _MISSING) != row[column])
        ]


def _column(wanted: RowColumn | str) -> tuple[str, str, str | None]:
    if isinstance(wanted, str):
        return wanted, wanted, None
    return wanted.column, wanted.name or wanted.column, wanted.unit


def cell(text: str) -> Cell:
    """`$.column`: what a row has there (InvalidValueError if it has no such column); any other text: itself."""
    if not text.startswith("$."):
        return lambda row: text
    column = text[2:]

    def get(row: Row) -> Any:
        try:
            return row[column]
        except KeyError:
            raise InvalidValueError(f"the row has no column {column}; it has {', '.join(row) or 'none'}") from None

    return get
