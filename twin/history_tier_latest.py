"""The state of signals from tiers, for instants or signals of which the readings are gone."""

import numpy as np
from numpy.typing import NDArray

from .history_part import Part
from .history_parts import DAY_NS, View
from .history_raw import Found
from .history_raw_writer import RAW
from .history_tier import Tier
from .history_tier_files import pieces_at
from .model import Quality

_STEPS = 16


def latest_in_tiers(view: View, time: int, signals: NDArray[np.int32]) -> list[Found]:
    """Per tier and part, the last usable reading of each signal in a span that ended with it until `time` [ns]."""
    found = []
    limit = min(time, view.raw_gone * DAY_NS - 1)
    for kind in sorted({info.kind for info in view.parts if info.kind != RAW}, key=lambda kind: -Tier(kind).width):
        pending = np.arange(len(signals))
        for period in view.days(kind):
            infos = sorted(view.by_day[kind, period], key=lambda info: info.number)
            answers = [_in_part(view.open(i), limit, signals, pending) for i in infos if i.min_time <= limit]
            found += answers
            for answer in answers:
                pending = np.setdiff1d(pending, answer.at)
            if not len(pending):
                break
    return found


def _in_part(part: Part, time: int, signals: NDArray[np.int32], pending: NDArray[np.intp]) -> Found:
    at, runs = part.find(signals[pending])
    part.check_runs(runs)
    row = part.rows_until("time", np.full(len(runs), time), runs) - 1
    done = np.zeros(len(runs), dtype=bool)
    for _ in range(_STEPS):  # spans of nothing but bad readings, or whose last reading is later, are passed
        inside = row >= part.row[runs]
        pieces = pieces_at(part, np.where(inside, row, part.row[runs]), runs)
        done = inside & (pieces.usable > 0) & (pieces.last_time <= time)
        if (done | ~inside).all():
            break
        row = np.where(done | ~inside, row, row - 1)
    chosen = np.flatnonzero(done)
    pieces = pieces.take(chosen)
    quality = np.maximum(pieces.worst, np.uint8(Quality.UNCERTAIN))
    return Found(pending[at[chosen]], pieces.last_time, pieces.last, quality, np.zeros(len(chosen), dtype=np.int64))
