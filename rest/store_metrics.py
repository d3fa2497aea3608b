"""Numbers of the external stores."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..twin.store_status import StoreStatus
from .metrics import Metric, Sample


def store_metrics(statuses: Sequence[StoreStatus]) -> Iterator[Metric]:
    """Of each store: whether it runs, how far it is behind, what it has taken, and what it will never have."""
    up = [Sample(status.healthy, {"store": status.name, "state": str(status.state)}) for status in statuses]
    yield Metric("iotsense_store_up", "1 if the store does what it is there for", up)
    yield _each("lag_entries", "Journal entries that the store does not hold yet", statuses, lambda s: s.lag_entries)
    yield _each("connects_total", "Connections made", statuses, lambda s: s.connects)
    yield _each("written_total", "Rows or nodes written", statuses, lambda s: s.written)
    yield _each("drift", "Places in which somebody changed the store by hand", statuses, lambda s: s.drift)
    yield _each(
        "missing_entries",
        "Journal entries that the store could not get; a migration may bring what was in them",
        statuses,
        lambda s: sum(last - first + 1 for first, last in s.gaps),
    )


def budget_metrics(budget: dict[str, Any] | None) -> Iterator[Metric]:
    """What the journal may still keep for a store that is away."""
    if budget is not None:
        left, held = Sample(budget["left_bytes"]), Sample(budget["held_bytes"])
        yield Metric("iotsense_journal_budget_left_bytes", "What the journal may still keep for a store", [left])
        yield Metric("iotsense_journal_held_bytes", "What the journal keeps that a store has not had yet", [held])


def _each(name: str, meaning: str, statuses: Sequence[StoreStatus], value: Callable[[StoreStatus], int]) -> Metric:
    samples = [Sample(value(status), {"store": status.name}) for status in statuses]
    return Metric(f"iotsense_store_{name}", meaning, samples)
