"""How much history takes, and what its configuration will need at the present rate."""

import msgspec
import numpy as np

from .history_parts import DAY_NS, View
from .history_policy import Policy
from .history_raw_writer import RAW, PartInfo
from .history_tier import Tier
from .times import NS

RATE_DAYS = 7
GUESSED_PIECE_BYTES = 40.0
_THINNED = "thinned"


class Kept(msgspec.Struct):
    """One kind of what is kept: `raw` readings, `thinned` ones, or a tier. Times in ns, None if there is nothing.

    rows_per_day, bytes_per_row: at the present rate; `guessed` if nothing of the kind is there to measure. retention
    [s]: None for ever. needed_bytes: what it will take once its retention is full; None if it is kept for ever.
    """

    name: str
    parts: int
    rows: int
    bytes: int
    oldest: int | None
    newest: int | None
    retention: float | None
    rows_per_day: float
    bytes_per_row: float
    guessed: bool
    needed_bytes: int | None


class StorageReport(msgspec.Struct):
    """history: by kind, `raw` first. others: bytes of the other files. readings_per_day: of the last days.

    bytes, needed_bytes: of everything; `needed_bytes` is None if something is kept for ever. per_day: what that adds
    each day [bytes].
    """

    history: list[Kept]
    others: dict[str, int]
    waiting: int
    readings_per_day: float
    bytes: int
    needed_bytes: int | None
    per_day: float


def report(view: View, waiting: int, policy: Policy, now: int, others: dict[str, int]) -> StorageReport:
    """The report as of `now` [ns]; `waiting` readings are in memory."""
    whole = [info for info in view.of_kind(RAW) if not info.thinned]
    rate, active = _rate(view, whole, now)
    history = [_raw(whole, policy, rate)]
    if policy.replay or any(info.thinned for info in view.of_kind(RAW)):
        history.append(_thinned([info for info in view.of_kind(RAW) if info.thinned], policy, rate, active, history[0]))
    configured = {tier.name: tier for tier in policy.tiers}
    kinds = configured | {kind: Tier(kind) for kind, _ in view.by_day if kind != RAW and kind not in configured}
    for tier in sorted(kinds.values(), key=lambda tier: tier.width):
        history.append(_tier(list(view.of_kind(tier.name)), tier, rate, active, tier.name in configured))
    needed = [kept.needed_bytes for kept in history]
    for_ever = [kept for kept in history if kept.needed_bytes is None]
    return StorageReport(
        history=history,
        others=others,
        waiting=waiting,
        readings_per_day=rate,
        bytes=sum(kept.bytes for kept in history) + sum(others.values()),
        needed_bytes=None if for_ever else sum(n for n in needed if n is not None) + sum(others.values()),
        per_day=sum(kept.rows_per_day * kept.bytes_per_row for kept in for_ever),
    )


def _rate(view: View, whole: list[PartInfo], now: int) -> tuple[float, int]:
    """Readings a day over the last days, and how many signals have readings on a day."""
    recent = [info for info in whole if info.max_time > now - RATE_DAYS * DAY_NS and info.min_time <= now]
    if not recent:
        return 0.0, 0
    span = max(now - max(min(info.min_time for info in recent), now - RATE_DAYS * DAY_NS), 60 * NS)
    newest = max(info.day for info in recent)
    signals = [view.open(info).signal for info in recent if info.day >= newest - 1]
    return sum(info.rows for info in recent) * DAY_NS / span, len(np.unique(np.concatenate(signals)))


def _kept(
    name: str, infos: list[PartInfo], retention: int | None, rows_a_day: float, guess: float, needed: bool = True
) -> Kept:
    rows, size = sum(info.rows for info in infos), sum(info.size for info in infos)
    # A few rows say little: most of a small part is its description.
    measured = rows >= 10_000
    bytes_a_row = size / rows if measured else guess
    days = None if retention is None else retention / DAY_NS
    needed_bytes = None if days is None else round(rows_a_day * days * bytes_a_row)
    return Kept(
        name=name,
        parts=len(infos),
        rows=rows,
        bytes=size,
        oldest=min((info.min_time for info in infos), default=None),
        newest=max((info.max_time for info in infos), default=None),
        retention=None if retention is None else retention / NS,
        rows_per_day=rows_a_day,
        bytes_per_row=bytes_a_row,
        guessed=not measured,
        needed_bytes=needed_bytes if needed else size,
    )


def _raw(infos: list[PartInfo], policy: Policy, rate: float) -> Kept:
    return _kept(RAW, infos, policy.raw, rate, 10.0)


def _thinned(infos: list[PartInfo], policy: Policy, rate: float, active: int, raw: Kept) -> Kept:
    rows_a_day = min(rate, active * DAY_NS / max(policy.granularity, 1))
    return _kept(_THINNED, infos, max(0, policy.replay - (policy.raw or 0)), rows_a_day, raw.bytes_per_row)


def _tier(infos: list[PartInfo], tier: Tier, rate: float, active: int, configured: bool) -> Kept:
    # A signal has at most as many spans a day as readings.
    rows_a_day = min(rate, active * DAY_NS / tier.width)
    return _kept(tier.name, infos, tier.retention, rows_a_day, GUESSED_PIECE_BYTES, needed=configured)
