"""Anomalies as they stand, read from the log of events: of each the event that last told of it."""

from .as_of import AsOf
from .errors import NotFoundError
from .graph import Graph
from .model import Event
from .reported import standing

ANOMALY = "anomaly"
_MOST_TELLINGS = 2_000  # an anomaly's onset and its end are events both


def open_anomalies(plant: AsOf) -> list[Event]:
    """Those that have not ended, the newest first."""
    return _newest_first(plant.open_events(ANOMALY))


def latest_anomalies(plant: AsOf) -> list[Event]:
    """The last ones, open and cleared, the newest first, without those that were taken back; blocks."""
    latest: dict[str, Event] = {}
    told = plant.events(kind=ANOMALY, limit=_MOST_TELLINGS, newest_first=True)
    for event in [*told, *open_anomalies(plant)]:
        latest.setdefault(event.identity or str(event.seq), event)
    return _newest_first([event for event in latest.values() if event.retracts is None])


def anomaly(plant: AsOf, id: str) -> Event:
    """One of them, by its identity or the number of any event that tells of it; blocks.

    It may be one that was taken back. Raises NotFoundError.
    """
    try:
        found = standing(plant, id)
    except NotFoundError:
        raise _unknown(id) from None
    if found.kind != ANOMALY or found.identity is None:
        raise _unknown(id)
    return found


def about(graph: Graph, event: Event) -> set[int]:
    """The nodes (keys) that an anomaly is about: the component and the sensor, as far as they are there."""
    signal = graph.signal_map.get(event.data.get("signal", -1))
    keys = {event.node, None if signal is None else signal.node}
    return {key for key in keys if key is not None and key in graph.node_map}


def concerned(graph: Graph, event: Event) -> set[int]:
    """The same, and all nodes above them."""
    keys = about(graph, event)
    return keys | {node.key for key in keys for node in graph.ancestors(key)}


def concerns(graph: Graph, event: Event, key: int) -> bool:
    """Whether an anomaly is about the node (by key) or something below it."""
    return key in concerned(graph, event)


def _newest_first(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.time, event.seq), reverse=True)


def _unknown(id: str) -> NotFoundError:
    return NotFoundError(f"there is no anomaly {id!r}")
