"""The installations that stand now, and which of them a report changes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from .entry import EventDraft
from .model import Event
from .report import INSTALLATION, Asset
from .reported import fold, pages
from .stays import Claim, ends_of
from .times import parse_time

if TYPE_CHECKING:
    from .twin import Twin


class Installations:
    """Kept up to date from the log of events, whenever somebody asks; one thread at a time."""

    def __init__(self, twin: "Twin") -> None:
        self._twin = twin
        self._events: dict[str, Event] = {}
        self._seen = 0

    def standing(self) -> list[Event]:
        """Those that were not taken back."""
        if not self._seen:
            fold(self._events, self._twin.open_events(INSTALLATION))  # these outlast the retention of the log
        for page in pages(self._twin.as_of(), INSTALLATION, after=self._seen):
            fold(self._events, page)
            self._seen = page[-1].seq
        return [event for event in self._events.values() if event.retracts is None]

    def settled(self, changes: Sequence[EventDraft]) -> tuple[list[EventDraft], list[tuple[Event, int | None]]]:
        """The changes with the end that follows for them, and the other events whose end they move, with it [ns].

        Raises ConflictError.
        """
        standing = {event.identity: event for event in self.standing()}
        claims = {identity: claim_of(event) for identity, event in standing.items()}
        for change in changes:
            claims.pop(change.identity, None)
            if change.retracts is None:
                claims[change.identity] = claim_of(change)
        ends = ends_of(claims.values())
        changed = {change.identity for change in changes}
        moved = [
            (event, ends[event.identity])
            for event in standing.values()
            if event.identity not in changed and event.identity in ends and event.until != ends[event.identity]
        ]
        return [_ended(change, ends) for change in changes], moved


def claim_of(event: Event | EventDraft) -> Claim:
    """What an event of the kind `installation` says."""
    assert event.node is not None
    assert event.identity is not None
    return Claim(event.identity, event.node, asset_of(event), event.time, removed(event))


def removed(event: Event | EventDraft) -> int | None:
    """When the asset was taken out [ns], as somebody reported it."""
    told = event.data.get("removed")
    return None if told is None else parse_time(told)


def asset_of(event: Event | EventDraft) -> Asset:
    """What was installed."""
    return Asset(event.data["serial_number"], event.data.get("maker"), event.data.get("model"))


def _ended(change: EventDraft, ends: dict[str, int | None]) -> EventDraft:
    if change.retracts is not None or change.identity is None:
        return change
    return msgspec.structs.replace(change, until=ends[change.identity])
