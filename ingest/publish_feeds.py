"""Where what is published comes from: the log of events, the live state, or every reading in the journal.

A feed hands over a batch at a time and moves on when the batch was `taken`. Its `position` is durable elsewhere: what
it hands over after a restart begins behind that.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..twin.entry import Entry, EntryKind
from ..twin.errors import DamagedFileError
from ..twin.model import Event
from ..twin.state import Reading
from ..twin.twin import Twin
from .publish_message import Outgoing, event_message, state_message
from .publish_rules import Selection

_ROWS = 2_000
_ENTRIES = 512


class Feed(ABC):
    """position: up to which everything was taken. The name under which it is remembered."""

    def __init__(self, twin: Twin, name: str, selections: Sequence[Selection]) -> None:
        self.name = name
        self.position = twin.position(name)
        self._twin = twin
        self._selections = selections

    @abstractmethod
    async def next(self, limit: int) -> list[Outgoing]:
        """What is to be told next, at most so many; none if there is nothing now."""

    @abstractmethod
    def taken(self) -> None:
        """The endpoint has acknowledged what `next` handed over last."""

    @property
    @abstractmethod
    def behind(self) -> int:
        """How much waits, as far as is known."""

    def due(self) -> float | None:
        """In how many seconds there is something though nothing changes; None if there is not."""
        return None

    def begin(self, position: int) -> None:
        """One that was never followed begins here."""
        if self.position == 0:
            self.position = position

    def follow(self) -> None:
        """Takes over what the graph is now."""
        for selection in self._selections:
            selection.follow(self._twin.graph)


class EventFeed(Feed):
    """Events by number, in order; each once to a topic, however many rules mean it."""

    def __init__(self, twin: Twin, name: str, selections: Sequence[Selection]) -> None:
        super().__init__(twin, name, selections)
        self.begin(twin.last_event_seq)
        self._next = self.position

    async def next(self, limit: int) -> list[Outgoing]:
        """Events that a rule means, behind the position."""
        self.follow()
        found: list[Outgoing] = []
        after = self.position
        while after < self._twin.last_event_seq and len(found) < limit:
            page = await asyncio.to_thread(self._twin.as_of().event_log, after, limit - len(found))
            if not page:
                break
            found += [message for event in page for message in self._messages(event)]
            after = page[-1].seq
        self._next = after
        if not found:
            self.position = after
        return found

    def _messages(self, event: Event) -> list[Outgoing]:
        routes: dict[tuple[str, str | None], bool] = {}
        for each in self._selections:
            if each.wants(event):
                routes.setdefault((each.topic_of_event(event), each.rule.format), bool(each.rule.retain))
        graph = self._twin.graph
        return [
            event_message(graph, event, topic=topic, format=format, retain=retain)
            for (topic, format), retain in routes.items()
        ]

    def taken(self) -> None:
        """The position is behind them."""
        self.position = self._next

    @property
    def behind(self) -> int:
        """Events that were not looked at yet."""
        return max(0, self._twin.last_event_seq - self.position)


class ReadingsFeed(Feed):
    """Every reading in the order of the journal. `gaps`: entries that the journal no longer had, first and last."""

    def __init__(self, twin: Twin, name: str, selections: Sequence[Selection]) -> None:
        super().__init__(twin, name, selections)
        self.begin(twin.last_seq)
        self.gaps: list[tuple[int, int]] = []
        self._read = self.position
        self._waiting: list[Outgoing] = []
        self._handed = 0

    async def next(self, limit: int) -> list[Outgoing]:
        """Readings behind those that were taken."""
        if not self._waiting and self._read < self._twin.last_seq:
            self.follow()
            entries = await asyncio.to_thread(self._entries)
            self._waiting = [message for entry in entries for message in self._messages(entry)]
            if entries:
                self._read = entries[-1].seq
            if not self._waiting:
                self.position = self._read
        self._handed = min(limit, len(self._waiting))
        return self._waiting[:limit]

    def taken(self) -> None:
        """The position moves on when all that was read together is taken."""
        del self._waiting[: self._handed]
        if not self._waiting:
            self.position = self._read

    @property
    def behind(self) -> int:
        """Entries of the journal that were not looked at yet."""
        return max(0, self._twin.last_seq - self.position)

    def _entries(self) -> list[Entry]:
        if self._read + 1 < self._twin.first_seq:
            self.gaps.append((self._read + 1, self._twin.first_seq - 1))
            self._read = self._twin.first_seq - 1
        found: list[Entry] = []
        rows = 0
        try:
            for entry in self._twin.journal_entries(self._read):
                found.append(entry)
                rows += len(entry.value) if entry.kind is EntryKind.READINGS else 0
                if rows >= _ROWS or len(found) >= _ENTRIES:
                    break
        except DamagedFileError:
            if not found:
                raise
        return found

    def _messages(self, entry: Entry) -> list[Outgoing]:
        if entry.kind is not EntryKind.READINGS:
            return []
        plant, batch = self._twin.as_of(), entry.value
        rows = zip(
            batch.signal.tolist(), batch.value.tolist(), batch.time.tolist(), batch.quality.tolist(), strict=True
        )
        found: list[Outgoing] = []
        for index, value, time, quality in rows:
            signal = plant.graph.signal_map.get(index)
            if signal is None:
                continue
            reading = Reading(value, time, quality, entry.seq)
            for each in self._selections:
                if each.means(index):
                    topic, rule = each.topic_of(signal), each.rule
                    route = {"topic": topic, "format": rule.format, "retain": bool(rule.retain)}
                    found.append(state_message(plant, signal, reading, **route))
        return found
