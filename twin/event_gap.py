"""Numbers of the event log that are gone, and how whoever reads the log is told of them."""

from collections.abc import Sequence
from typing import NamedTuple

from .model import Event

GONE = "gone"
"""The kind of the event that stands where events are gone; `data` has the numbers `from` and `to`, both included."""


class EventGap(NamedTuple):
    """Events that are gone, by number, the last included, and since when [ns]."""

    first: int
    last: int
    since: int

    def event(self, after: int) -> Event:
        """What stands in their place for one who has the events up to `after`; whoever resumes behind it goes on."""
        numbers = {"from": max(self.first, after + 1), "to": self.last}
        return Event(self.last, self.since, self.since, GONE, data=numbers)


def told(events: Sequence[Event], gaps: Sequence[EventGap], after: int, limit: int) -> list[Event]:
    """A page of the log behind `after`, in order, with what tells of the gaps in it."""
    gone = [gap.event(after) for gap in gaps if gap.last > after]
    return sorted([*events, *gone], key=lambda event: event.seq)[:limit] if gone else list(events)
