"""Makes tiers of readings, a UTC day at a time, and makes them again for the signals that late readings touch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from .history_aggregate import Before, Pieces, pieces_of
from .history_blocks import usable_rows
from .history_gather import gathered, without_superseded
from .history_latest import latest
from .history_part import Part
from .history_parts import DAY_NS, Parts, View
from .history_policy import Policy
from .history_raw_writer import RAW, PartInfo
from .history_rows import SignalRows
from .history_tier import Tier
from .history_tier_files import joined, pieces_of_signals, write_tier
from .state import NEVER


def lacking(infos: Sequence[PartInfo], policy: Policy) -> list[PartInfo]:
    """The parts of readings that some tier does not have yet."""
    return [info for info in infos if any(tier.name not in info.tiers for tier in policy.tiers)]


class Tiering:
    """Sums up one day: what its parts hold for the signals of those that the tiers lack."""

    def __init__(self, parts: Parts, view: View, policy: Policy, day: int, stopping: Callable[[], bool]) -> None:
        self._parts, self._view, self._policy, self._day, self._stopping = parts, view, policy, day, stopping
        infos = view.by_day.get((RAW, day), [])
        self._lacking = lacking(infos, policy)
        self._open = [view.open(info) for info in infos]
        # Of a day of which readings were given up already, what comes late is added to what the tiers have.
        self._gone = day < parts.manifest.raw_gone
        if self._gone:
            self._open = [view.open(info) for info in self._lacking]

    def run(self) -> None:
        """Writes the tiers' parts, and marks the readings as summed up, at once. Raises StorageError, Stopped."""
        signals = self._signals()
        written = [info for tier in self._policy.tiers if (info := self._write(tier, signals)) is not None]
        names = [tier.name for tier in self._policy.tiers]
        marked = [replace(info, tiers=sorted({*info.tiers, *names})) for info in self._lacking]
        try:
            self._parts.replace(self._lacking, [*marked, *written])
        except BaseException:
            for info in written:
                (self._parts.directory / info.name).unlink(missing_ok=True)
            raise

    def _signals(self) -> NDArray[np.int32]:
        touched: list[Part] = [self._view.open(info) for info in self._lacking]
        return np.unique(np.concatenate([part.signal for part in touched]))

    def _write(self, tier: Tier, signals: NDArray[np.int32]) -> PartInfo | None:
        period = self._day // tier.period_days
        name = self._parts.new_name(tier.name, period)
        return write_tier(self._parts.directory, name, tier, period, self._segments(tier, signals))

    def _segments(self, tier: Tier, signals: NDArray[np.int32]) -> Iterator[Pieces]:
        for rows in gathered(self._open, self._stopping, signals):
            yield self._pieces(tier, without_superseded(rows))

    def _pieces(self, tier: Tier, rows: SignalRows) -> Pieces:
        begin, end = self._day * DAY_NS, (self._day + 1) * DAY_NS
        policy = self._policy.reaching(int(rows.signal.max()) + 1)
        before = self._before(rows, begin)
        found = []
        for number in np.unique(policy.zone[rows.signal]).tolist() if tier.by_date else (0,):
            chosen = rows.take(policy.zone[rows.signal] == number) if tier.by_date else rows
            edges = tier.edges(begin, end, policy.zones[number])
            found.append(pieces_of(chosen, edges, begin, end, policy.stepped, before))
        pieces = joined(found)
        if len(found) > 1:
            pieces = pieces.take(np.lexsort((pieces.time, pieces.signal)))
        return self._with_earlier(tier, pieces) if self._gone else pieces

    def _before(self, rows: SignalRows, begin: int) -> Before:
        signals = np.unique(rows.signal)
        columns = latest(self._view, [], begin - 1, None, signals)
        top = int(signals[-1]) + 1
        before = Before(np.zeros(top, dtype=bool), np.zeros(top, dtype=np.int64), np.zeros(top))
        # What was a day ago or longer says nothing about this day.
        recent = (columns.time != NEVER) & (columns.time >= begin - DAY_NS)
        before.known[signals] = recent & usable_rows(columns.value, columns.quality)
        before.time[signals] = np.where(before.known[signals], columns.time, 0)
        before.value[signals] = columns.value
        return before

    def _with_earlier(self, tier: Tier, late: Pieces) -> Pieces:
        infos = self._view.by_day.get((tier.name, self._day // tier.period_days), [])
        had = pieces_of_signals(self._view, infos, np.unique(late.signal))
        return combined(had.take(had.time // DAY_NS == self._day), late)


def combined(one: Pieces, other: Pieces) -> Pieces:
    """Pieces of the same spans as one. The mean over time is weighted by the time that each is of."""
    both = joined([one, other])
    if not len(both):
        return both
    sort = np.lexsort((np.arange(len(both)), both.time, both.signal))
    both = both.take(sort)
    start = np.flatnonzero(np.append(True, (np.diff(both.signal) != 0) | (np.diff(both.time) != 0)))
    usable = np.add.reduceat(both.usable, start)
    duration = np.add.reduceat(both.duration, start)
    number = np.arange(len(both))
    some = both.usable > 0
    first = np.minimum(np.minimum.reduceat(np.where(some, number, len(both)), start), len(both) - 1)
    newest = np.where(some, both.last_time, NEVER)
    is_newest = newest == np.repeat(np.maximum.reduceat(newest, start), np.diff(np.append(start, len(both))))
    last = np.maximum.reduceat(np.where(is_newest, number, -1), start)
    with np.errstate(invalid="ignore"):
        return Pieces(
            signal=both.signal[start],
            time=both.time[start],
            rows=np.add.reduceat(both.rows, start),
            usable=usable,
            good=np.add.reduceat(both.good, start),
            low=np.fmin.reduceat(both.low, start),
            high=np.fmax.reduceat(both.high, start),
            first=both.first[first],
            last=both.last[last],
            last_time=both.last_time[last],
            mean=_weighted(both.mean, both.usable, start, usable),
            weighted=_weighted(both.weighted, both.duration, start, duration),
            duration=np.maximum.reduceat(both.duration, start),
            worst=np.minimum.reduceat(both.worst, start),
        )


def _weighted(
    values: NDArray[np.float64], weights: NDArray[np.int64], start: NDArray[np.int64], total: NDArray[np.int64]
) -> NDArray[np.float64]:
    known = np.where(np.isnan(values), 0.0, values) * weights
    found: NDArray[np.float64] = np.where(total > 0, np.add.reduceat(known, start) / np.maximum(total, 1), np.nan)
    return found
