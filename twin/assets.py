"""Assets with serial numbers: where one was when, what was at a place when, and what its signals showed meanwhile."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from .as_of import AsOf
from .errors import AmbiguousIdError, InvalidValueError, NotFoundError
from .history import History
from .installations import asset_of
from .model import Event, Node, Signal
from .report import INSTALLATION, Asset
from .reported import reported
from .times import NS


@dataclass(frozen=True, slots=True)
class Stay:
    """An asset at a place from `start` to `end` [ns], or until now; `place` is None where the node is gone."""

    event: Event
    asset: Asset
    place: Node | None

    @property
    def start(self) -> int:
        """When it came."""
        return self.event.time

    @property
    def end(self) -> int | None:
        """When it went; None while it is there."""
        return self.event.until

    def seconds(self, now: int) -> float:
        """How long it was there, up to `now` [ns]."""
        return max(0, (now if self.end is None else min(self.end, now)) - self.start) / NS


@dataclass(frozen=True, slots=True)
class AssetLife:
    """An asset with its stays in the order of time; `now` [ns] is the instant that is looked at."""

    asset: Asset
    stays: Sequence[Stay]
    now: int

    @property
    def current(self) -> Stay | None:
        """Where it is; None if it is nowhere."""
        last = self.stays[-1]
        return last if last.end is None else None

    @property
    def installed_s(self) -> float | None:
        """Age since the installation where it is [s]; None if it is nowhere."""
        return None if self.current is None else self.current.seconds(self.now)

    @property
    def in_service_s(self) -> float:
        """How long it was anywhere, in all [s]."""
        return sum(stay.seconds(self.now) for stay in self.stays)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a signal showed during a stay, in [start, end) [ns]."""

    stay: Stay
    signal: Signal
    start: int
    end: int
    history: History


def stays(
    plant: AsOf,
    node: str | None = None,
    serial_number: str | None = None,
    maker: str | None = None,
    model: str | None = None,
) -> list[Stay]:
    """Who was where, in the order of time: at a node, of an asset, or all; blocks.

    Raises NotFoundError for a node that is not there or a serial number that was never installed.
    """
    place = None if node is None else plant.graph.find(node).key
    all = [_stay(plant, event) for event in reported(plant, (INSTALLATION,), place)]
    found = [
        stay
        for stay in all
        if serial_number in (None, stay.asset.serial_number)
        and maker in (None, stay.asset.maker)
        and model in (None, stay.asset.model)
    ]
    if serial_number is not None and not found and node is None:
        raise _unknown(serial_number, all)
    return found


def assets(plant: AsOf, maker: str | None = None, model: str | None = None) -> list[AssetLife]:
    """All assets that were ever installed, in the order of their first installation; blocks."""
    by_asset: dict[tuple[str | None, str], list[Stay]] = {}
    for stay in stays(plant, maker=maker, model=model):
        by_asset.setdefault((stay.asset.maker, stay.asset.serial_number), []).append(stay)
    return [AssetLife(found[-1].asset, found, plant.now) for found in by_asset.values()]


def asset(plant: AsOf, serial_number: str, maker: str | None = None) -> AssetLife:
    """The asset of this serial number; raises NotFoundError, AmbiguousIdError if several makers have it. Blocks."""
    found = stays(plant, serial_number=serial_number, maker=maker)
    makers = {stay.asset.maker for stay in found}
    if len(makers) > 1:
        raise AmbiguousIdError(serial_number, [str(Asset(serial_number, maker)) for maker in makers])
    return AssetLife(found[-1].asset, found, plant.now)


def asset_history(
    plant: AsOf, life: AssetLife, signal: str, start: int, end: int, points: int | None = None
) -> list[Stretch]:
    """A signal of the places (by its name there) while the asset was there, in [start, end) [ns]; blocks.

    At most `points` rows in all, shared out by duration. Raises NotFoundError if no place that it was at in this span
    has such a signal; InvalidValueError if there are fewer points than stays.
    """
    spans = []
    told: list[NotFoundError] = []
    for stay in life.stays:
        begin, stop = max(start, stay.start), end if stay.end is None else min(end, stay.end)
        if stay.place is None or begin >= stop:
            continue
        try:
            spans.append((stay, plant.graph.find_signal(f"{stay.place.id}.{signal}"), begin, stop))
        except NotFoundError as error:
            told.append(error)
    if told and not spans:
        raise told[0]
    shares = _shares([stop - begin for _, _, begin, stop in spans], points)
    return [
        Stretch(stay, found, begin, stop, plant.history(found.index, begin, stop, share))
        for (stay, found, begin, stop), share in zip(spans, shares, strict=True)
    ]


def _shares(durations: list[int], points: int | None) -> list[int | None]:
    """Points by duration, at least one each, never more than there are in all."""
    if points is None or not durations:
        return [None] * len(durations)
    spare = points - len(durations)
    if spare < 0:
        raise InvalidValueError(f"there are {len(durations)} stays, and each needs a point", "points")
    total = sum(durations)
    return [1 + spare * duration // total for duration in durations]


def _stay(plant: AsOf, event: Event) -> Stay:
    return Stay(event, asset_of(event), None if event.node is None else plant.graph.node_map.get(event.node))


def _unknown(serial_number: str, all: list[Stay]) -> NotFoundError:
    known = sorted({stay.asset.serial_number for stay in all})
    near = difflib.get_close_matches(serial_number, known, 3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return NotFoundError(f"no asset with the serial number {serial_number!r} was ever installed{hint}")
