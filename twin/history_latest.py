"""The state of many signals as of an instant, from parts and from what is in memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .history_manifest import NEVER_GONE
from .history_parts import DAY_NS, View
from .history_raw import LAST, Found, latest_in
from .history_raw_writer import RAW, PartInfo
from .history_rows import SignalRows
from .history_tail import latest_in_tail
from .history_tier_latest import latest_in_tiers
from .state import NEVER, StateColumns


class Latest:
    """The best readings so far of the signals that were asked for."""

    def __init__(self, signals: NDArray[np.int32]) -> None:
        n = len(signals)
        self.signals = signals
        self.time = np.full(n, NEVER, dtype=np.int64)
        self.value = np.full(n, np.nan)
        self.quality = np.zeros(n, dtype=np.uint8)
        self.recorded = np.full(n, NEVER, dtype=np.int64)

    def take(self, found: Found, of: NDArray[np.intp] | None = None) -> None:
        """Takes what is newer; `of` are the positions of the signals that `found` was asked for, if not of all."""
        at = found.at if of is None else of[found.at]
        newer = found.time > self.time[at]
        newer |= (found.time == self.time[at]) & (found.recorded >= self.recorded[at])
        at = at[newer]
        self.time[at] = found.time[newer]
        self.value[at] = found.value[newer]
        self.quality[at] = found.quality[newer]
        self.recorded[at] = found.recorded[newer]

    def columns(self) -> StateColumns:
        """As state; the journal's numbers are not known."""
        return StateColumns(self.value, self.time, self.quality, np.zeros(len(self.signals), dtype=np.int64))


def latest(
    view: View, tails: Sequence[SignalRows], time: int | None, known_at: int | None, signals: NDArray[np.int32]
) -> StateColumns:
    """Per signal the newest reading until `time` among those recorded until `known_at` [ns]; raises DamagedFileError.

    Days are gone through backwards, each only for the signals that no later one has an answer for.
    """
    time = LAST if time is None else time
    known = LAST if known_at is None else known_at
    best = Latest(signals)
    for rows in tails:
        best.take(latest_in_tail(rows, time, known, signals))
    pending = np.arange(len(signals))
    for day in view.days(RAW):
        if day > time // DAY_NS:
            continue
        pending = pending[best.time[pending] < (day + 1) * DAY_NS]
        if not len(pending):
            break
        for info in view.by_day[RAW, day]:
            if _may_hold(info, time, known):
                best.take(latest_in(view.open(info), info, time, known, signals[pending]), pending)
    if view.raw_gone > NEVER_GONE:
        _take_from_tiers(best, view, min(time, known))
    # A lost part matters to whoever has nothing newer than it.
    view.refuse_lost(RAW, int(best.time.min(initial=time)), time)
    return best.columns()


def _take_from_tiers(best: Latest, view: View, time: int) -> None:
    """For signals whose newest reading may be gone, what tiers know of it."""
    pending = np.flatnonzero(best.time < view.raw_gone * DAY_NS)
    if len(pending):
        for found in latest_in_tiers(view, time, best.signals[pending]):
            best.take(found, pending)


def _may_hold(info: PartInfo, time: int, known_at: int) -> bool:
    return info.min_time <= min(time, known_at + info.ahead) and info.min_recorded <= known_at
