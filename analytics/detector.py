"""The threshold detector: all limits of all rules evaluated over a batch at once, signal by signal in order."""

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.errors import IoTSenseError
from ..twin.model import Quality
from ..twin.state import NEVER
from .anomaly_book import AnomalyBook
from .pages import ReadHistory, rate_series
from .rate import RateWindow
from .rule_spans import RuleSpans
from .rules import Watch, WatchKey

log = logging.getLogger("iotsense.analytics")


class Transition(NamedTuple):
    """A watch that opens or clears with a reading at `time`; `value` is what was compared."""

    watch: Watch
    time: int
    value: float
    opens: bool


class Found(NamedTuple):
    """What a batch brings: transitions in the order of rows, and by signal the times at which it must be recomputed."""

    transitions: list[Transition]
    touched: dict[int, list[int]]


class ThresholdDetector:
    """Which watches are open after the newest reading of each signal, and the windows of rates.

    Only usable readings (not bad, not NaN) count. Those that come in the order of their signal's time are judged at
    once. A late or corrected one (its time is not after all before it) touches what was concluded already: where it
    may change that, its time is handed out.
    """

    def __init__(self, spans: RuleSpans, read_history: ReadHistory) -> None:
        self.table = spans.table
        self.problems = dict(spans.table.problems)
        self._starts = spans.starts()
        self._read_history = read_history
        count = len(self.table.count)
        self._watched = self.table.count > 0
        self._has_rate = np.zeros(count, dtype=np.bool_)
        self._has_rate[[w.signal.index for w, is_rate in zip(*self._rated(), strict=True) if is_rate]] = True
        self._since = np.full(count, NEVER, dtype=np.int64)
        for watch, start in zip(self.table.watches, self._starts.tolist(), strict=True):
            self._since[watch.signal.index] = max(start, self._since[watch.signal.index])
        self.newest = np.full(count, NEVER, dtype=np.int64)
        self._open = np.zeros(len(self.table.watches), dtype=np.bool_)
        self._changed = np.full(len(self.table.watches), NEVER, dtype=np.int64)
        self._disabled = np.zeros(len(self.table.watches), dtype=np.bool_)
        self._windows: dict[WatchKey, RateWindow] = {}

    def _rated(self) -> tuple[list[Watch], list[bool]]:
        return self.table.watches, self.table.is_rate.tolist()

    # Where it begins

    def begin(self, newest: NDArray[np.int64], book: AnomalyBook) -> None:
        """Goes on from the times of the signals' newest readings; when things changed before that is not known."""
        known = min(len(newest), len(self.newest))
        self.newest[:known] = newest[:known]
        for number, watch in enumerate(self.table.watches):
            self._open[number] = book.open_of(watch.component, watch.key) is not None
            self._changed[number] = self.newest[watch.signal.index]

    def take_over(self, before: "ThresholdDetector", book: AnomalyBook) -> None:
        """Goes on where the detector of the previous revision stopped."""
        known = min(len(self.newest), len(before.newest))
        self.newest[:known] = before.newest[:known]
        changed = {w.key: int(at) for w, at in zip(before.table.watches, before._changed, strict=True)}
        for number, watch in enumerate(self.table.watches):
            self._open[number] = book.open_of(watch.component, watch.key) is not None
            self._changed[number] = changed.get(watch.key, self.newest[watch.signal.index])
        keys = {watch.key for watch in self.table.watches}
        self._windows = {key: window for key, window in before._windows.items() if key in keys}

    def newly_watched(self, before: "ThresholdDetector", spoken: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Signals whose newest reading nobody has looked at so far, though they have one."""
        watched = self._watched.copy()
        known = min(len(watched), len(before._watched))
        watched[:known] &= ~before._watched[:known]
        return np.flatnonzero(watched & spoken[: len(watched)]).astype(np.int32)

    def recomputed(self, signal: int, book: AnomalyBook) -> None:
        """Takes over what a recomputation found out about the present of a signal."""
        first = int(self.table.first[signal])
        for number, watch in enumerate(self.table.of(signal), start=first):
            self._open[number] = book.open_of(watch.component, watch.key) is not None
            self._changed[number] = book.last_change(watch.component, watch.key)
            self._windows.pop(watch.key, None)

    # Judging

    def evaluate(self, batch: ReadingBatch) -> Found:
        """What opens and clears with these readings, and what has to be recomputed."""
        watched = self._watched[batch.signal]
        if not watched.any():
            return Found([], {})
        part = batch if watched.all() else batch.take(watched)
        usable = (part.quality >= Quality.UNCERTAIN) & ~np.isnan(part.value)
        late = self._late(part)
        transitions = self._in_order(part.take(usable & ~late))
        return Found(transitions, self._touched(part, usable, late) if late.any() else {})

    def _in_order(self, part: ReadingBatch) -> list[Transition]:
        row, watch = self._pairs(part.signal)
        compared = part.value[row]
        self._compute_rates(part, row, watch, compared)
        compared[self._disabled[watch]] = np.nan
        opens, clears = self._breached_and_cleared(watch, compared)
        moving = np.where(self._open[watch], clears, opens)
        if not moving.any():
            return []
        # Only watches that move at all are followed row by row; they may open and clear within one batch.
        concerned = np.flatnonzero(np.isin(watch, np.unique(watch[moving])))
        return [
            Transition(self.table.watches[watch[i]], int(part.time[row[i]]), float(compared[i]), up)
            for i, up in self._walk(concerned, watch, opens, clears, part.time[row])
        ]

    def _breached_and_cleared(
        self, watch: NDArray[np.int64], compared: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        limits = self.table.limits.take(watch)
        return limits.breached(compared), limits.cleared(compared)

    def _walk(
        self,
        concerned: NDArray[np.intp],
        watch: NDArray[np.int64],
        opens: NDArray[np.bool_],
        clears: NDArray[np.bool_],
        time: NDArray[np.int64],
    ) -> list[tuple[int, bool]]:
        steps: list[tuple[int, bool]] = []
        for i in concerned.tolist():
            number = watch[i]
            if opens[i] if not self._open[number] else clears[i]:
                self._open[number] = not self._open[number]
                self._changed[number] = time[i]
                steps.append((i, bool(self._open[number])))
        return steps

    def _pairs(self, signal: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Each row with each watch of its signal, row by row."""
        count = self.table.count[signal]
        row = np.repeat(np.arange(len(signal)), count)
        place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        return row, self.table.first[signal][row] + place

    # Late and corrected readings

    def _late(self, part: ReadingBatch) -> NDArray[np.bool_]:
        """Rows not newer than all before of the same signal, or judged by a rule of before; remembers the newest."""
        late = (part.time <= self.newest[part.signal]) | (part.time < self._since[part.signal])
        order = np.argsort(part.signal, kind="stable")
        signal, time = part.signal[order], part.time[order]
        within = signal[1:] == signal[:-1]
        if np.any(within & (time[1:] <= time[:-1])):
            starts = np.flatnonzero(np.append(True, ~within))
            for run in np.split(np.arange(len(order)), starts[1:]):
                late[order[run[1:]]] |= time[run[1:]] <= np.maximum.accumulate(time[run[:-1]])
        np.maximum.at(self.newest, part.signal, part.time)
        return late

    def _touched(self, part: ReadingBatch, usable: NDArray[np.bool_], late: NDArray[np.bool_]) -> dict[int, list[int]]:
        """By signal the times of late readings, but for those that demonstrably change nothing."""
        rows = np.flatnonzero(late)
        row, watch = self._pairs(part.signal[rows])
        row = rows[row]
        opens, clears = self._breached_and_cleared(watch, np.where(usable, part.value, np.nan)[row])
        # With nothing told behind it, a reading that moves nothing leaves all as it is, whatever stood there before.
        at_rest = (part.time[row] > self._changed[watch]) & ~np.where(self._open[watch], clears, opens)
        at_rest &= part.time[row] >= self._since[part.signal[row]]
        concerned = self._has_rate[part.signal] & late
        concerned[row[~at_rest]] = True
        touched: dict[int, list[int]] = {}
        for signal in np.unique(part.signal[concerned]).tolist():
            touched[signal] = np.unique(part.time[concerned & (part.signal == signal)]).tolist()
        return touched

    # Rates

    def _compute_rates(
        self, part: ReadingBatch, row: NDArray[np.intp], watch: NDArray[np.int64], compared: NDArray[np.float64]
    ) -> None:
        for i in np.flatnonzero(self.table.is_rate[watch] & ~self._disabled[watch]).tolist():
            number = int(watch[i])
            try:
                compared[i] = self._rate(number, int(part.time[row[i]]), float(part.value[row[i]]))
            except IoTSenseError:
                raise
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
        width, stepped = watch.condition.window or 1, watch.signal.stepped
        window = RateWindow(width, stepped)
        series = rate_series(self._read_history, watch.signal.index, time, width, stepped)
        window.seed(series.times, series.values)
        return window

    def _disable(self, rule: str, error: Exception) -> None:
        log.error("rule %s is taken out: %r", rule, error)
        self.problems[rule] = f"it failed and was taken out: {error!r}"
        for number, watch in enumerate(self.table.watches):
            if watch.rule.name == rule:
                self._disabled[number] = True
