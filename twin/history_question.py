"""What one signal did over a span: which readings or tiers answer it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .history import Buckets, History, Rows, history_of, standing
from .history_aggregate import Before, Pieces, pieces_of
from .history_figures import figures_of
from .history_parts import DAY_NS, View
from .history_policy import Policy
from .history_raw import signal_rows
from .history_raw_writer import RAW, PartInfo
from .history_rows import SignalRows
from .history_spans import WORTHWHILE_ROWS, Stretch, add_stretches
from .history_tail import tail_rows
from .history_tier import Tier
from .history_tier_files import joined, pieces_of_signals
from .times import NS

THINNED = "thinned"


class Span(NamedTuple):
    """A question: the readings of a signal in [start, end) [ns], recorded until `known_at`, at most `points` rows.

    until [ns]: no readings of later are wanted, though buckets divide the whole span.
    """

    signal: int
    start: int
    end: int
    points: int | None
    known_at: int | None
    until: int | None = None

    @property
    def last(self) -> int:
        """The end of the readings that are wanted."""
        return self.end if self.until is None else min(self.end, self.until + 1)


def history(view: View, tails: Sequence[SignalRows], policy: Callable[[], Policy], asked: Span) -> History:
    """Readings where all of them are here; before that the tier that fits; raises DamagedFileError.

    With a tier, rows stand for its spans or several of them, which may reach over the ends of what was asked.
    """
    whole_from = view.raw_gone * DAY_NS
    if asked.start >= whole_from:
        return _from_readings(view, tails, asked)
    tier = _tier(view, asked)
    thinned = min((info.min_time for info in view.of_kind(RAW) if info.thinned), default=None)
    if tier is None or (asked.points is None and thinned is not None and asked.start >= thinned // DAY_NS * DAY_NS):
        found = _from_readings(view, tails, asked)
        return replace(found, tier=THINNED, precision=precision(view, asked.start))
    return _from_tier(view, tails, policy(), asked, tier)


def rows_of(view: View, tails: Sequence[SignalRows], asked: Span) -> Rows:
    """The recorded readings, superseded ones too, in no order."""
    signal, start, end, known_at = asked.signal, asked.start, asked.last, asked.known_at
    view.refuse_lost(RAW, start, end - 1)
    found = [tail_rows(rows, signal, start, end, known_at) for rows in tails]
    for info in _touched(view, signal, start, end):
        rows = signal_rows(view.open(info), signal, start, end, known_at)
        found += [] if rows is None else [rows]
    return Rows.concat(found)


def precision(view: View, time: int) -> float | None:
    """How exact the state as of `time` [ns] is [s]; None if every reading of then is still here."""
    day = time // DAY_NS
    if day >= view.raw_gone:
        return None
    here = view.by_day.get((RAW, day), [])
    if here:
        return max(info.thinned for info in here) / NS or None
    tiers = [tier for tier in _tiers(view) if _oldest(view, tier) <= time]
    return min((tier.width / NS for tier in tiers), default=None)


def _touched(view: View, signal: int, start: int, end: int) -> Iterator[PartInfo]:
    for info in view.of_kind(RAW):
        if info.min_time < end and info.max_time >= start and info.min_signal <= signal <= info.max_signal:
            yield info


# Readings


def _from_readings(view: View, tails: Sequence[SignalRows], asked: Span) -> History:
    if asked.points is not None:
        buckets = Buckets.of(asked.start, asked.end, asked.points)
        if _add_many(buckets, view, tails, asked) and buckets.rows.sum() > asked.points:
            return buckets.history()
    return history_of(rows_of(view, tails, asked), asked.start, asked.end, asked.points)


def _add_many(buckets: Buckets, view: View, tails: Sequence[SignalRows], asked: Span) -> bool:
    """Adds readings by their summaries; False, and nothing was added, if they are too few for that."""
    signal, start, end, known_at = asked.signal, asked.start, asked.last, asked.known_at
    view.refuse_lost(RAW, start, end - 1)
    touched = _touched(view, signal, start, end)
    stretches = [stretch for info in touched if (stretch := Stretch.of(view.open(info), signal, start, end))]
    if sum(stretch.rows for stretch in stretches) < WORTHWHILE_ROWS:
        return False
    loose = Rows.concat([tail_rows(rows, signal, start, end, known_at) for rows in tails])
    add_stretches(buckets, stretches, loose, start, end, known_at)
    return True


# Tiers


def _tiers(view: View) -> list[Tier]:
    """The tiers that there are parts of, the finest first."""
    kinds = {kind for kind, _ in view.by_day if kind != RAW}
    return sorted((Tier(kind) for kind in kinds), key=lambda tier: tier.width)


def _oldest(view: View, tier: Tier) -> int:
    return min(info.min_time for info in view.of_kind(tier.name))


def _tier(view: View, asked: Span) -> Tier | None:
    """The coarsest tier that is fine enough, or else the finest, of those that reach back as far as any does."""
    tiers = _tiers(view)
    if not tiers:
        return None
    start = max(asked.start, min(_oldest(view, tier) for tier in tiers))
    reaching = [tier for tier in tiers if _oldest(view, tier) <= start + tier.width]
    reaching = reaching or [min(tiers, key=lambda tier: _oldest(view, tier))]
    wanted = (asked.end - asked.start) // asked.points if asked.points else 0
    fine = [tier for tier in reaching if tier.width <= wanted]
    return fine[-1] if fine else reaching[0]


def _from_tier(view: View, tails: Sequence[SignalRows], policy: Policy, asked: Span, tier: Tier) -> History:
    zone = policy.zone_of(asked.signal)
    start, end = _clipped(view, tails, asked)
    if start >= end:
        found = history_of(Rows.concat([]), asked.start, asked.end, None)
        return replace(found, tier=tier.name, precision=tier.width / NS)
    edges = tier.edges(start, end, zone)
    whole_from = max(view.raw_gone * DAY_NS, int(edges[0]))
    pieces = _pieces(view, tier, asked.signal, int(edges[0]), min(whole_from, int(edges[-1])))
    recent = Span(asked.signal, whole_from, int(edges[-1]), None, asked.known_at, asked.until)
    if recent.start < recent.end:
        pieces = joined([pieces, _recent(rows_of(view, tails, recent), recent, edges, policy, pieces)])
    buckets = _buckets(edges, tier, asked.points)
    number = buckets.number(pieces.time)
    total: NDArray[np.float64] = np.where(pieces.usable > 0, pieces.mean, 0.0) * pieces.usable
    buckets.add_sums(number, pieces.rows, pieces.worst, pieces.usable, total, pieces.low, pieces.high)
    figures = figures_of(pieces, number) if len(pieces) else None
    return replace(buckets.history(), tier=tier.name, precision=tier.width / NS, figures=figures)


def _recent(rows: Rows, span: Span, edges: NDArray[np.int64], policy: Policy, earlier: Pieces) -> Pieces:
    """What readings that no tier is needed for amount to."""
    kept = standing(rows)
    signal = np.full(len(kept.time), span.signal, dtype=np.int32)
    if not len(signal):
        return joined([])
    before = Before(*(np.zeros(span.signal + 1, dtype=kind) for kind in (bool, np.int64, np.float64)))
    usable = np.flatnonzero(earlier.usable > 0)
    if len(usable) and earlier.last_time[usable[-1]] >= span.start - DAY_NS:
        before.known[-1] = True
        before.time[-1], before.value[-1] = earlier.last_time[usable[-1]], earlier.last[usable[-1]]
    given = SignalRows(signal, kept.time, kept.value, kept.quality, kept.recorded)
    stepped = policy.reaching(span.signal + 1).stepped
    return pieces_of(given, edges, span.start, int(edges[-1]), stepped, before)


def _clipped(view: View, tails: Sequence[SignalRows], asked: Span) -> tuple[int, int]:
    """The span without what lies before and behind all that is here."""
    first = [info.min_time for info in view.parts] + [int(rows.time.min()) for rows in tails]
    last = [info.max_time for info in view.parts] + [int(rows.time.max()) for rows in tails]
    return max(asked.start, min(first)), min(asked.last, max(last) + 1)


def _buckets(edges: NDArray[np.int64], tier: Tier, points: int | None) -> Buckets:
    """Spans of the tier, or so many of them in one that there are at most `points`."""
    spans = len(edges) - 1
    together = 1 if points is None else -(-spans // points)
    return Buckets(edges[:-1][::together], together * tier.width, even=not tier.by_date)


def _pieces(view: View, tier: Tier, signal: int, start: int, end: int) -> Pieces:
    view.refuse_lost(tier.name, start, end - 1)
    infos = [
        info
        for info in view.of_kind(tier.name)
        if info.min_time < end and info.max_time >= start and info.min_signal <= signal <= info.max_signal
    ]
    pieces = pieces_of_signals(view, infos, np.array([signal], dtype=np.int32))
    return pieces.take((pieces.time >= start) & (pieces.time < end))
