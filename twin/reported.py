"""Reports as they stand: of each event the row that counts, without those that were taken back."""

from collections.abc import Iterable, Iterator, Sequence

from .as_of import AsOf
from .errors import NotFoundError
from .model import Event
from .report import KINDS

PAGE = 1000


def pages(plant: AsOf, kind: str, node: int | None = None, after: int = 0) -> Iterator[list[Event]]:
    """All events of a kind behind a number, page by page; blocks."""
    while page := plant.events(after, PAGE, node=node, kind=kind):
        yield page
        after = page[-1].seq


def fold(standing: dict[str, Event], events: Iterable[Event]) -> None:
    """Of each identity the newest row, in the order of the log."""
    for event in events:
        standing[event.identity or str(event.seq)] = event


def reported(
    plant: AsOf,
    kinds: Sequence[str] = KINDS,
    node: int | None = None,
    start: int | None = None,
    end: int | None = None,
) -> list[Event]:
    """Reports of these kinds that touch [start, end) [ns], in the order of their begin; blocks.

    When a begin or a node is corrected, the old row is taken back first, so narrowing by either finds no stale row.
    """
    standing: dict[str, Event] = {}
    for kind in kinds:
        for page in pages(plant, kind, node):
            fold(standing, page)
        # What has not ended outlasts the retention of the log.
        for event in plant.open_events(kind, node):
            standing.setdefault(event.identity or str(event.seq), event)
    found = [event for event in standing.values() if event.retracts is None and _touches(event, start, end)]
    return sorted(found, key=lambda event: (event.time, event.seq))


def standing(plant: AsOf, id: str) -> Event:
    """The row of an event that counts, by its identity or the number of any of its rows; blocks.

    It may be one that takes the event back. Raises NotFoundError.
    """
    rows = plant.told(id)
    if not rows and id.isdecimal() and int(id) > 0:
        rows = [event for event in plant.events(int(id) - 1, 1) if event.seq == int(id)]
        if rows and rows[0].identity is not None:
            rows = plant.told(rows[0].identity)
    if not rows:
        raise NotFoundError(f"there is no event {id!r}")
    return rows[-1]


def _touches(event: Event, start: int | None, end: int | None) -> bool:
    begun = end is None or event.time < end
    # An event of an instant touches the span that begins with it.
    lasts = start is None or event.until is None or event.until > start or event.until == event.time == start
    return begun and lasts
