"""Takes away what is kept no longer: whole parts, and readings only when the tiers have what they amount to."""

from collections.abc import Callable, Iterator

import numpy as np
from msgspec.structs import replace

from .history_gather import gathered, without_superseded
from .history_parts import DAY_NS, Parts, View
from .history_policy import Policy
from .history_raw_writer import RAW, PartInfo, write_raw
from .history_rows import SignalRows
from .history_tiering import lacking


def raw_days_over(view: View, policy: Policy, now: int) -> Iterator[int]:
    """The days whose readings are to go, or to be thinned, now; the oldest first."""
    if policy.raw is None:
        return
    for day in reversed(view.days(RAW)):
        end = (day + 1) * DAY_NS
        if end > now - policy.raw:
            return
        infos = view.by_day[RAW, day]
        if _to_be_thinned(end, policy, now):
            if any(info.thinned < policy.granularity for info in infos) or len(infos) > 1:
                yield day
        else:
            yield day


def _to_be_thinned(end: int, policy: Policy, now: int) -> bool:
    return end > now - policy.replay


def retire_raw(parts: Parts, view: View, policy: Policy, day: int, now: int, stopping: Callable[[], bool]) -> None:
    """Deletes or thins the readings of a day that the tiers have. Raises StorageError, DamagedFileError, Stopped."""
    infos = view.by_day[RAW, day]
    assert not lacking(infos, policy), "readings go only when the tiers have what they amount to"
    thinned = []
    if _to_be_thinned((day + 1) * DAY_NS, policy, now):
        thinned = [_thinned(parts, view, policy, infos, stopping)]
    parts.replace(infos, thinned, raw_gone=day + 1)


def _thinned(parts: Parts, view: View, policy: Policy, infos: list[PartInfo], stopping: Callable[[], bool]) -> PartInfo:
    """Writes a part with the last reading of each signal in each span of `granularity`."""
    opened = [view.open(info) for info in infos]
    segments = [_last_of_spans(rows, policy.granularity) for rows in gathered(opened, stopping)]
    stamps = np.unique(np.concatenate([rows.recorded for rows in segments]))
    day = infos[0].day
    count = sum(map(len, segments))
    written = write_raw(parts.directory, parts.new_name(RAW, day), day, count, stamps, segments)
    return replace(written, tiers=sorted(set.union(*(set(info.tiers) for info in infos))), thinned=policy.granularity)


def _last_of_spans(rows: SignalRows, granularity: int) -> SignalRows:
    rows = without_superseded(rows)
    span = rows.time // granularity
    last = np.append((rows.signal[1:] != rows.signal[:-1]) | (span[1:] != span[:-1]), True)
    return rows.take(last)


def tiers_over(view: View, policy: Policy, now: int) -> list[PartInfo]:
    """The parts of tiers that are kept no longer, tiers that nobody wants any more among them."""
    found = []
    for info in view.parts:
        tier = policy.tier(info.kind)
        if tier is None or info.kind == RAW:
            continue  # a tier that is configured no longer stays: its readings may be gone
        if tier.retention is not None and (info.day + 1) * tier.period_days * DAY_NS <= now - tier.retention:
            found.append(info)
    return found
