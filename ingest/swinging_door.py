"""The swinging door (Bristol 1990): readings are left out as long as one straight line passes all of them by `band`.

Each reading that comes must be reachable from the last one stored by a line that misses none of those in between by
more than the band; when it is not, the reading before it is stored, and the door begins anew from there. So a reading
that is left out is never farther from the line than the band.
"""

import math
from typing import Any

from ..twin.state import NEVER
from .reporting_policy import Policy

MAX_TRAIL = 4096
"""Readings that one line may stand for: what is kept of them, to measure how far the line misses, is bounded."""
Row = tuple[int, float, int]
"""Time [ns], value, quality."""


class Door:
    """The door of one signal: `anchor` was stored last, `pending` came last and is not stored.

    received, stored, judged: readings that came, that are stored, and that are not. worst, total: the largest and the
    sum of the distances between those that are not and the line.
    """

    __slots__ = (
        "_highest", "_lowest", "_policy", "_seen", "_special", "_trail", "anchor", "judged", "pending", "received",
        "stored", "total", "worst",
    )  # fmt: skip

    def __init__(self, policy: Policy, anchor: Row | None = None) -> None:
        self._policy = policy
        self._special = anchor is not None and self._is_special(anchor[1])
        self._seen = NEVER if anchor is None else anchor[0]
        self.received = self.stored = self.judged = 0
        self.worst = self.total = 0.0
        self._begin(anchor)

    def _begin(self, anchor: Row | None) -> None:
        self.anchor = anchor
        self.pending: Row | None = None
        self._trail: list[tuple[int, float]] = []
        self._lowest, self._highest = -math.inf, math.inf

    def take(self, row: Row) -> tuple[bool, Row | None]:
        """Whether a reading is stored, and an earlier one that must be stored now."""
        self.received += 1
        anchor = self.anchor
        if anchor is not None and row[0] < self._seen:
            self.stored += self._policy.keeps_late
            return self._policy.keeps_late, None
        self._seen = row[0]
        special, was_special = self._is_special(row[1]), self._special
        earlier = None
        if anchor is not None:
            must = row[2] != anchor[2] or special or was_special
            keep, earlier = self._pass(anchor, row, must)
            if not keep:
                return False, earlier
        self.stored += 1
        self._special = special
        self._end(row)
        return True, earlier

    def _pass(self, anchor: Row, row: Row, must: bool) -> tuple[bool, Row | None]:
        pending = self.pending
        if row[0] == anchor[0]:
            return must or not _same(row[1], anchor[1]), None  # at one time any change is a correction
        if pending is not None and row[0] == pending[0]:
            if row == pending:
                self.judged += 1
                return False, None
            must = True  # a correction of what waits is stored behind it, or what waits would replace it later
        beats = row[0] - anchor[0] >= self._policy.heartbeat
        comparable = not (math.isnan(row[1]) or math.isnan(anchor[1]))
        reached = comparable and (pending is None or row[0] > pending[0]) and self._reaches(anchor, row)
        if reached and not must and not beats:
            self._follow(anchor, row)
            return False, None
        if pending is None:
            if not comparable and not must and not beats and _same(row[1], anchor[1]):
                self.judged += 1
                return False, None
            return True, None
        if reached and beats and not must:
            return True, None
        self.flush()
        if must or beats or not comparable:
            return True, pending
        self._follow(pending, row)
        return False, pending

    def flush(self) -> Row | None:
        """Stores the reading that waits; the next line begins there."""
        pending = self.pending
        if pending is not None:
            self.stored += 1
            self._end(pending)
        return pending

    def _is_special(self, value: float) -> bool:
        return value < self._policy.low or value > self._policy.high

    def _reaches(self, anchor: Row, row: Row) -> bool:
        """Whether one line from the anchor to this later reading does for all in between."""
        slope = (row[1] - anchor[1]) / (row[0] - anchor[0])
        return self._lowest <= slope <= self._highest and len(self._trail) < MAX_TRAIL

    def _follow(self, anchor: Row, row: Row) -> None:
        """A reading that is reached, and left out for now."""
        band = max(self._policy.band, self._policy.share * abs(anchor[1]))
        after = row[0] - anchor[0]
        self._lowest = max(self._lowest, (row[1] - band - anchor[1]) / after)
        self._highest = min(self._highest, (row[1] + band - anchor[1]) / after)
        self.pending = row
        self._trail.append((row[0], row[1]))

    def _end(self, row: Row) -> None:
        """The line ends with a reading that is stored, and the next one begins there."""
        start = self.anchor
        if start is not None and self._trail:
            after = row[0] - start[0]
            slope = (row[1] - start[1]) / after if after else 0.0
            misses = [abs(value - start[1] - slope * (time - start[0])) for time, value in self._trail if time < row[0]]
            if misses:
                self.worst = max(self.worst, max(misses))
                self.total += sum(misses)
                self.judged += len(misses)
        self._begin(row)

    def kept(self) -> tuple[Any, ...]:
        """What `restore` needs."""
        line = (self.anchor, self.pending, self._trail, self._lowest, self._highest, self._seen, self._special)
        return (line, len(self._trail), (self.received, self.stored, self.judged, self.worst, self.total))

    def restore(self, kept: tuple[Any, ...]) -> None:
        """As it was: what came since has not been stored."""
        line, length, counted = kept
        self.anchor, self.pending, trail, self._lowest, self._highest, self._seen, self._special = line
        self._trail = trail[:length]
        self.received, self.stored, self.judged, self.worst, self.total = counted


def _same(value: float, other: float) -> bool:
    return value == other or (math.isnan(value) and math.isnan(other))
