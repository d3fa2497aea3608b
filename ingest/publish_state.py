"""The live state as a feed: the newest value of each signal that changed, as often as a rule allows.

It costs no memory per change: a signal waits once, however often it changes. After an outage the newest values go out.
"""

import time
from collections.abc import Sequence

import numpy as np

from ..twin.state import NEVER, Reading
from ..twin.twin import Twin
from .publish_feeds import Feed
from .publish_message import Outgoing, state_message
from .publish_rules import Selection


class Waiting:
    """The signals of one rule that wait, in the order in which they changed, and what of each was told last."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.signals: dict[int, None] = {}
        self._told: dict[int, tuple[int, float, int]] = {}
        self._at: dict[int, float] = {}
        rate = selection.rule.max_rate
        self._pause = 0.0 if rate is None else 1 / rate

    def ready(self, limit: int, now: float) -> list[int]:
        """Those that may be told now, the first that changed first."""
        found: list[int] = []
        for index in self.signals:
            if len(found) >= limit:
                break
            if not self._pause or now - self._at.get(index, -self._pause) >= self._pause:
                found.append(index)
        return found

    def due(self, now: float) -> float | None:
        """In how many seconds the next of them may be told."""
        if not self.signals:
            return None
        return max(0.0, min(self._at.get(index, 0.0) + self._pause for index in self.signals) - now)

    def is_news(self, index: int, reading: Reading) -> bool:
        """Whether it differs from what was told last; what comes back from a broker that we publish to does not."""
        return self._told.get(index) != (reading.time, reading.value, reading.quality)

    def told(self, index: int, reading: Reading, now: float) -> None:
        """It was told."""
        self.signals.pop(index, None)
        self._told[index] = (reading.time, reading.value, reading.quality)
        if self._pause:
            self._at[index] = now


class StateFeed(Feed):
    """What changed behind the position; one that was never followed begins with all that is known."""

    def __init__(self, twin: Twin, name: str, selections: Sequence[Selection]) -> None:
        super().__init__(twin, name, selections)
        self._waiting = [Waiting(selection) for selection in selections]
        self._looked = self.position
        self._handed: list[tuple[Waiting, int, Reading]] = []

    async def next(self, limit: int) -> list[Outgoing]:
        """The newest values of signals that changed."""
        self._look()
        self._handed = []
        found: list[Outgoing] = []
        now = time.monotonic()
        for waiting in self._waiting:
            if len(found) < limit:
                found += self._messages(waiting, waiting.ready(limit - len(found), now), now)
        self._settle()
        return found

    def _look(self) -> None:
        self.follow()
        upto = self._twin.last_seq
        for waiting in self._waiting:
            changed = self._twin.state.changed_since(self._looked, waiting.selection.signals)
            waiting.signals.update(dict.fromkeys(changed.tolist()))
        self._looked = upto

    def _messages(self, waiting: Waiting, indexes: list[int], now: float) -> list[Outgoing]:
        plant, selection = self._twin.as_of(), waiting.selection
        columns = plant.snapshot(np.array(indexes, dtype=np.int32))
        rule = selection.rule
        found: list[Outgoing] = []
        for row, index in enumerate(indexes):
            reading, signal = columns.reading(row), plant.graph.signal_map.get(index)
            if reading is None or reading.time == NEVER or signal is None:
                waiting.signals.pop(index, None)
            elif not waiting.is_news(index, reading):
                waiting.told(index, reading, now)
            else:
                topic, retain = selection.topic_of(signal), rule.retain is not False
                found.append(state_message(plant, signal, reading, topic=topic, format=rule.format, retain=retain))
                self._handed.append((waiting, index, reading))
        return found

    def taken(self) -> None:
        """They wait no longer."""
        now = time.monotonic()
        for waiting, index, reading in self._handed:
            waiting.told(index, reading, now)
        self._handed = []
        self._settle()

    def _settle(self) -> None:
        """The position can only move on when nothing waits: what waits may have changed long ago."""
        if not self.behind:
            self.position = self._looked

    @property
    def behind(self) -> int:
        """Signals that wait."""
        return sum(len(waiting.signals) for waiting in self._waiting)

    def due(self) -> float | None:
        """When the next signal that a rate holds back may be told."""
        now = time.monotonic()
        return min((at for waiting in self._waiting if (at := waiting.due(now)) is not None), default=None)
