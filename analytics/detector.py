"""The threshold detector: all limits of all rules evaluated over a batch at once, signal by signal in order."""

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.errors import IoTSenseError
from ..twin.history import History
from ..twin.model import Quality
from ..twin.state import NEVER
from .anomalies import OpenAnomalies, WatchKey
from .rate import RateWindow
from .rules import Watch, WatchTable

log = logging.getLogger("iotsense.analytics")

ReadHistory = Callable[[int, int, int], History]
# How far back, in windows, a reading is looked for that stands at or before the start of the window.
_SPANS = (2, 128)


class Transition(NamedTuple):
    """A watch that opens or clears with the reading in `row` of the batch; `value` is what was compared."""

    row: int
    watch: Watch
    time: int
    value: float
    opens: bool


class ThresholdDetector:
    """Which watches are open, the newest time per signal, and the windows of rates.

    Only usable readings (not bad, not NaN) count. A reading older than one already seen of its signal neither opens
    nor clears; it is only remembered for rates.
    """

    def __init__(self, table: WatchTable, read_history: ReadHistory | None = None) -> None:
        self.table = table
        self.problems = dict(table.problems)
        self._read_history = read_history
        self._watched = table.count > 0
        self._newest = np.full(len(table.count), NEVER, dtype=np.int64)
        self._open = np.zeros(len(table.watches), dtype=np.bool_)
        self._disabled = np.zeros(len(table.watches), dtype=np.bool_)
        self._windows: dict[WatchKey, RateWindow] = {}

    def restore(self, anomalies: OpenAnomalies) -> None:
        """Takes over which anomalies are open."""
        for number, watch in enumerate(self.table.watches):
            self._open[number] = watch.key in anomalies

    def take_over(self, before: "ThresholdDetector") -> None:
        """Goes on where the detector of the previous revision stopped."""
        known = min(len(self._newest), len(before._newest))
        self._newest[:known] = before._newest[:known]
        keys = {watch.key for watch in self.table.watches}
        self._windows = {key: window for key, window in before._windows.items() if key in keys}

    def watches(self) -> Mapping[WatchKey, Watch]:
        """All watches by key."""
        return {watch.key: watch for watch in self.table.watches}

    def evaluate(self, batch: ReadingBatch) -> list[Transition]:
        """What opens and clears with these readings, in their order."""
        watched = self._watched[batch.signal]
        if not watched.any():
            return []
        rows = np.flatnonzero(watched & (batch.quality >= Quality.UNCERTAIN) & ~np.isnan(batch.value))
        if not len(rows):
            return []
        part = batch.take(rows)
        row, watch = self._pairs(part.signal)
        compared = part.value[row]
        self._compute_rates(part, row, watch, compared)
        compared[self._late(part)[row] | self._disabled[watch]] = np.nan
        limits = self.table.limits.take(watch)
        opens, clears = limits.breached(compared), limits.cleared(compared)
        moving = np.where(self._open[watch], clears, opens)
        if not moving.any():
            return []
        # Only watches that move at all are followed row by row; they may open and clear within one batch.
        concerned = np.flatnonzero(np.isin(watch, np.unique(watch[moving])))
        return [
            Transition(int(rows[row[i]]), self.table.watches[watch[i]], int(part.time[row[i]]), float(compared[i]), up)
            for i, up in self._walk(concerned, watch, opens, clears)
        ]

    def _walk(
        self,
        concerned: NDArray[np.intp],
        watch: NDArray[np.int64],
        opens: NDArray[np.bool_],
        clears: NDArray[np.bool_],
    ) -> list[tuple[int, bool]]:
        steps: list[tuple[int, bool]] = []
        for i in concerned.tolist():
            number = watch[i]
            if opens[i] if not self._open[number] else clears[i]:
                self._open[number] = not self._open[number]
                steps.append((i, bool(self._open[number])))
        return steps

    def _pairs(self, signal: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Each row with each watch of its signal, row by row."""
        count = self.table.count[signal]
        row = np.repeat(np.arange(len(signal)), count)
        place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        return row, self.table.first[signal][row] + place

    def _late(self, part: ReadingBatch) -> NDArray[np.bool_]:
        """Rows older than one seen before of the same signal; remembers the newest."""
        late = part.time < self._newest[part.signal]
        order = np.argsort(part.signal, kind="stable")
        signal, time = part.signal[order], part.time[order]
        within = signal[1:] == signal[:-1]
        if np.any(within & (time[1:] < time[:-1])):
            starts = np.flatnonzero(np.append(True, ~within))
            for run in np.split(np.arange(len(order)), starts[1:]):
                late[order[run]] |= time[run] < np.maximum.accumulate(time[run])
        np.maximum.at(self._newest, part.signal, part.time)
        return late

    def _compute_rates(
        self, part: ReadingBatch, row: NDArray[np.intp], watch: NDArray[np.int64], compared: NDArray[np.float64]
    ) -> None:
        for i in np.flatnonzero(self.table.is_rate[watch] & ~self._disabled[watch]).tolist():
            number = int(watch[i])
            try:
                compared[i] = self._rate(number, int(part.time[row[i]]), float(part.value[row[i]]))
            except Exception as error:
                # The supervisor of rules: one that fails is taken out with its reason, the others go on.
                compared[i] = np.nan
                self._disable(self.table.watches[number].rule.name, error)

    def _rate(self, number: int, time: int, value: float) -> float:
        watch = self.table.watches[number]
        window = self._windows.get(watch.key)
        if window is None:
            window = self._windows[watch.key] = self._warm_window(watch, time)
        return window.change(time, value)

    def _warm_window(self, watch: Watch, time: int) -> RateWindow:
        """The window as it would be had the monitor been there before: filled from history up to `time`."""
        width = watch.condition.window or 1
        window = RateWindow(width, watch.signal.stepped)
        if self._read_history is None:
            return window
        for span in _SPANS:
            try:
                past = self._read_history(watch.signal.index, time - span * width, time)
            except IoTSenseError as error:
                log.warning("the window of rule %s begins empty: %s", watch.rule.name, error)
                return window
            if len(past) and past.time[0] <= time - width:
                break
        usable = (past.quality >= Quality.UNCERTAIN) & ~np.isnan(past.value)
        for at, value in zip(past.time[usable].tolist(), past.value[usable].tolist(), strict=True):
            window.add(at, value)
        return window

    def _disable(self, rule: str, error: Exception) -> None:
        log.error("rule %s is taken out: %r", rule, error)
        self.problems[rule] = f"it failed and was taken out: {error!r}"
        for number, watch in enumerate(self.table.watches):
            if watch.rule.name == rule:
                self._disabled[number] = True
