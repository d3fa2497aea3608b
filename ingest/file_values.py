"""Columns of cells to the values of one signal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.errors import InvalidValueError
from ..twin.model import DataType, Signal
from ..twin.twin import Twin
from ..twin.units import Affine, conversion
from .columns import Columns
from .targets import EXACT, LabelTarget, number

Values = NDArray[np.float64]
_MISSING = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})
_WORDS = frozenset({"true", "false"})


class SignalColumn:
    """One column of a file and the signal that it belongs to. The first values decide an undecided signal's type."""

    def __init__(self, twin: Twin, index: int, name: str, signal: Signal, unit: str | None, decimal: str) -> None:
        self.index = index
        self.name = name
        self.signal = signal
        self._twin = twin
        self._comma = decimal == ","
        self._id = twin.graph.signal_id(signal)
        self._labels: LabelTarget | None = None
        self._codes: dict[Any, float] = {}
        self._decided = False
        same = unit is None or signal.unit is None or unit == signal.unit
        self._conversion = Affine(1.0) if same else conversion(str(unit), str(signal.unit))

    def values(self, cells: Sequence[Any]) -> tuple[Values, dict[int, str]]:
        """(n,) values in the signal's unit, NaN where there is none, and why by row for those that are no value."""
        if not self._decided and any(not _missing(cell) for cell in cells):
            self._decide(cells)
        return self._numbers(cells) if self._labels is None else self._texts(cells)

    def _numbers(self, cells: Sequence[Any]) -> tuple[Values, dict[int, str]]:
        if self._comma:
            cells = [cell.replace(",", ".") if isinstance(cell, str) else cell for cell in cells]
        bad: dict[int, str] = {}
        try:
            values = np.array([np.nan if cell is None or cell == "" else float(cell) for cell in cells])
            exact = not isinstance(cells[0], int) or not (np.abs(values) >= EXACT).any()
            if np.isinf(values).any() or not exact:
                raise ValueError
        except (ValueError, TypeError):
            values = np.full(len(cells), np.nan)
            for row, cell in enumerate(cells):
                if not _missing(cell):
                    try:
                        values[row] = number(cell, self._id)
                    except InvalidValueError as error:
                        bad[row] = f"{self.name}: {error}"
        return values * self._conversion.scale + self._conversion.offset, bad

    def _texts(self, cells: Sequence[Any]) -> tuple[Values, dict[int, str]]:
        assert self._labels is not None
        values = np.full(len(cells), np.nan)
        bad: dict[int, str] = {}
        for row, cell in enumerate(cells):
            if _missing(cell):
                continue
            try:
                code = self._codes.get(cell)
                values[row] = self._code(cell) if code is None else code
            except InvalidValueError as error:
                bad[row] = f"{self.name}: {error}"
        return values, bad

    def _code(self, cell: Any) -> float:
        assert self._labels is not None
        column = Columns()
        self._labels.place(_number_or_text(cell), 0, 0, column)
        code = self._codes[cell] = column.value[0]
        return code

    def _decide(self, cells: Sequence[Any]) -> None:
        self._decided = True
        signal = self.signal
        kind = signal.data_type
        if kind is None:
            kind = self._told() or _kind([cell for cell in cells if not _missing(cell)], self._comma)
            if kind is not DataType.NUMBER:
                self._twin.change(lambda edit: edit.update_signal(signal.index, data_type=kind), author="load")
        if kind is not DataType.NUMBER:
            self._labels = LabelTarget(signal.index, self._id, kind, self._twin.label_code, self._twin.labels)

    def _told(self) -> DataType | None:
        signal = self.signal
        if self._twin.labels(signal.index):
            return DataType.TEXT
        told = signal.unit is not None or signal.low is not None or signal.high is not None
        return DataType.NUMBER if told or self._twin.state.read(signal.index) is not None else None


def _kind(cells: Sequence[Any], comma: bool) -> DataType:
    if all(isinstance(cell, bool) or (isinstance(cell, str) and cell.strip().lower() in _WORDS) for cell in cells):
        return DataType.BOOLEAN
    try:
        for cell in cells:
            float(cell.replace(",", ".") if comma and isinstance(cell, str) else cell)
    except ValueError:
        return DataType.TEXT
    return DataType.NUMBER


def _missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING
    return cell is None or cell != cell


def _number_or_text(cell: Any) -> Any:
    """A cell of digits may be the number of a label."""
    return int(cell) if isinstance(cell, str) and cell.strip().isdigit() else cell
