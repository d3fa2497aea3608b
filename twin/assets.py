"""Serialised assets: which machine (maker, model, serial number) stood in which place of the plant, and when."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .as_of import AsOf
from .errors import NotFoundError
from .history import History
from .model import Event, Signal
from .report_words import INSTALLATION
from .times import now_ns

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Stay:
    """An asset in a place from `since` until `until` [ns] (None: it is still there). `event` is who told it.

    `node` is the key of the place, which may have gone since.
    """

    serial_number: str
    maker: str | None
    model: str | None
    node: int
    since: int
    until: int | None
    event: Event

    @classmethod
    def of(cls, event: Event) -> "Stay":
        """What an event of the kind `installation` tells."""
        data: dict[str, Any] = event.data
        assert event.node is not None
        return cls(
            data["serial_number"], data.get("maker"), data.get("model"), event.node, event.time, event.until, event
        )

    def age(self, now: int) -> int:
        """How long it has been, or was, in its place [ns]."""
        return (now if self.until is None else min(self.until, now)) - self.since


@dataclass(frozen=True, slots=True)
class Piece:
    """A signal's history while an asset was in one place, in [start, end) [ns]."""

    stay: Stay
    signal: Signal
    start: int
    end: int
    history: History


def stays(plant: AsOf, serial: str | None = None, node: int | None = None) -> list[Stay]:
    """All stays that are known, the earliest first, of one asset or in one place; blocks."""
    found = [Stay.of(event) for event in _installations(plant, node)]
    found = [stay for stay in found if serial is None or stay.serial_number == serial]
    return sorted(found, key=lambda stay: (stay.since, stay.event.seq))


def asset(plant: AsOf, serial: str) -> list[Stay]:
    """The places of an asset, the earliest first; raises NotFoundError if it was in none."""
    found = stays(plant, serial)
    if not found:
        raise NotFoundError(f"no asset has the serial number {serial!r}")
    return found


def installed_at(plant: AsOf, node: int) -> Stay | None:
    """The asset that is in a place as of the instant of the plant."""
    now = now_ns() if plant.time is None else plant.time  # what was known then may tell of a later time
    there = [stay for stay in stays(plant, node=node) if stay.since <= now and (stay.until is None or stay.until > now)]
    return there[-1] if there else None


def age(stays: list[Stay], now: int) -> int:
    """How long an asset has been in use [ns]: the sum of its stays."""
    return sum(stay.age(now) for stay in stays)


def asset_history(
    plant: AsOf, serial: str, signal: str, start: int, end: int, points: int | None = None
) -> list[Piece]:
    """A signal's history across the places in which an asset stood, within [start, end) [ns]; blocks.

    `signal` is the name that each place gives it (`temperature`). Places without it are left out. Raises NotFoundError.
    """
    pieces = []
    for stay in asset(plant, serial):
        first, last = max(start, stay.since), min(end, end if stay.until is None else stay.until)
        found = _signal(plant, stay.node, signal)
        if found is not None and first < last:
            share = None if points is None else max(1, round(points * (last - first) / (end - start)))
            history = plant.history(found.index, first, last, share)
            pieces.append(Piece(stay, found, first, last, history))
    return pieces


def installed_around(plant: AsOf, node: int, serial: str, time: int) -> tuple[list[Event], list[Event]]:
    """Installations in a place or of an asset that began until `time` [ns], and those that began after it."""
    found = [stay.event for stay in stays(plant) if stay.node == node or stay.serial_number == serial]
    return [event for event in found if event.time <= time], [event for event in found if event.time > time]


def _signal(plant: AsOf, node: int, name: str) -> Signal | None:
    graph = plant.graph
    if node not in graph.node_map:
        return None
    own = graph.signal_of(node, name)
    if own is not None:
        return own
    return next((signals[0] for shown, signals in graph.state_signals(node) if shown == name), None)


def _installations(plant: AsOf, node: int | None) -> Iterator[Event]:
    """Each installation as it is known newest; those that were taken back are left out."""
    newest: dict[str | int, Event] = {}
    after = 0
    while page := plant.events(after, PAGE, kind=INSTALLATION):
        for event in page:
            newest[event.identity or event.seq] = event
            after = event.seq
    return (event for event in newest.values() if event.retracts is None and node in (None, event.node))
