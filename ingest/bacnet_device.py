"""A BACnet device: where it is, what its objects are, and how much of them it gives in one answer."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..twin.define_bacnet import BacnetDevice, BacnetObject, BacnetProtocol
from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.model import DataType, Quality
from ..twin.times import now_ns
from .bacnet_encoding import BacnetId, BacnetRefusal
from .bacnet_quality import quality_of
from .bacnet_stack import BacnetSilence, Stack, canonical
from .bacnet_units import unit_of
from .bad_quality import BadQuality
from .harvest import Harvest
from .host_address import resolved
from .points import Point, Points

log = logging.getLogger("iotsense.bacnet")
VALUE, FLAGS = "present-value", "status-flags"
ARRIVED = "arrived"
# Objects in one request; an answer of 1,476 bytes holds about as many.
_AT_FIRST = 40
_TOO_LARGE = {
    "segmentation-not-supported",
    "buffer-overflow",
    "apdu-too-long",
    "out-of-resources",
    "abort-apdu-too-long",
}
_UNKNOWN_SERVICE = {"unrecognized-service", "reject-unrecognized-service", "service-request-denied"}
_TYPES = {"binary": DataType.BOOLEAN, "characterstring": DataType.TEXT}


@dataclass(slots=True)
class Thing:
    """An object of the definition. texts: of its states 1, 2, ..., if it is given as a text."""

    definition: BacnetObject
    id: BacnetId
    texts: tuple[str, ...] = ()

    @property
    def is_value(self) -> bool:
        """Whether its present value is read, which has flags."""
        return self.definition.property == VALUE

    @property
    def wanted(self) -> list[str]:
        """The properties to be read."""
        return [VALUE, FLAGS] if self.is_value else [self.definition.property]


class Device:
    """`things`, `points` and `harvest` have its objects in one order; the points' units are known when described."""

    def __init__(self, definition: BacnetDevice, source: BacnetProtocol, name: str) -> None:
        self.definition = definition
        self.interval = source.interval
        self.trouble: IoTSenseError | None = None
        self.address = definition.address
        self.things = [Thing(each, _id(each.object)) for each in definition.objects]
        self._source = name
        self._multiple = True
        self._most = _AT_FIRST
        units = [thing.definition.unit for thing in self.things]
        self.points = Points([self._point(thing, unit) for thing, unit in zip(self.things, units, strict=True)])
        self.harvest = Harvest(name, self.points)

    def __str__(self) -> str:
        return f"device {self.definition.device_id}"

    def _point(self, thing: Thing, unit: str | None) -> Point:
        definition, (kind, instance) = thing.definition, thing.id
        data_type = DataType.TEXT if thing.texts else _TYPES.get(kind.split("-")[0], DataType.NUMBER)
        tag = f"bacnet/{self.definition.device_id}/{kind},{instance}"
        if not thing.is_value:
            tag += f"/{definition.property}"
        return Point(definition.name, definition.device or self.definition.device, unit, tag, data_type)

    async def locate(self, stack: Stack) -> None:
        """Finds out where it is; raises BacnetSilence, or InvalidValueError if another device is there."""
        if self.definition.address is None:
            self.address = await stack.find(self.definition.device_id)
            return
        self.address = canonical(await resolved(self.definition.address))
        found = await stack.instance(self.where)
        if found != self.definition.device_id:
            raise InvalidValueError(
                f"at {self.where} is device {found}, not {self.definition.device_id}: correct `device_id` or `address`"
            )

    @property
    def where(self) -> str:
        """Its address."""
        if self.address is None:
            raise BacnetSilence(f"{self} has not been found yet")
        return self.address

    async def describe(self, stack: Stack) -> None:
        """Reads units and state texts; what the definition says goes first."""
        rows = range(len(self.things))
        found = await self.read(stack, rows, self._describing)
        units: list[str | None] = []
        for row, thing in enumerate(self.things):
            told = found.get(row, {})
            texts = told.get("state-text")
            thing.texts = tuple(texts) if isinstance(texts, list) and thing.definition.state_texts else ()
            unit = told.get("units")
            units.append(thing.definition.unit or (unit_of(unit) if isinstance(unit, str) else None))
        points = tuple(self._point(thing, unit) for thing, unit in zip(self.things, units, strict=True))
        if points != self.points.points:
            self.points = Points(points)
            self.harvest = Harvest(self._source, self.points)

    @staticmethod
    def _describing(thing: Thing) -> list[str]:
        kind = thing.id[0]
        if not thing.is_value or kind.startswith(("binary", "characterstring")):
            return []
        return ["state-text"] if kind.startswith("multi-state") else ["units"]

    # Reading

    async def gather(self, stack: Stack, rows: Iterable[int]) -> Harvest:
        """Reads objects into a harvest of their own. Raises BacnetSilence."""
        harvest = self.harvest.beside()
        found = await self.read(stack, list(rows), lambda thing: thing.wanted)
        for row, told in found.items():
            flags = told.get(FLAGS)
            if isinstance(flags, tuple) and len(flags) > 1 and flags[1]:
                told["reliability"] = await self._reliability(stack, row)
            self.put(harvest, row, told, told[ARRIVED])
        return harvest

    async def _reliability(self, stack: Stack, row: int) -> Any:
        try:
            return await stack.read_one(self.where, self.things[row].id, "reliability")
        except BacnetRefusal as refusal:
            return refusal

    async def read(
        self, stack: Stack, rows: Sequence[int], wanted: Callable[[Thing], list[str]]
    ) -> dict[int, dict[str, Any]]:
        """Properties by object: a value, or the BacnetRefusal in its place; and when they ARRIVED [ns].

        Raises BacnetSilence.
        """
        rows = [row for row in rows if wanted(self.things[row])]
        found: dict[int, dict[str, Any]] = {}
        while rows:
            size = self._most if self._multiple else 1
            some, rows = rows[:size], rows[size:]
            found |= await self._read_some(stack, some, wanted)
        return found

    async def _read_some(
        self, stack: Stack, rows: Sequence[int], wanted: Callable[[Thing], list[str]]
    ) -> dict[int, dict[str, Any]]:
        if not self._multiple:
            return {row: await self._one_by_one(stack, row, wanted) for row in rows}
        try:
            told = await stack.read(self.where, [(self.things[row].id, wanted(self.things[row])) for row in rows])
        except BacnetRefusal as refusal:
            return await self._smaller(stack, rows, wanted, refusal)
        nothing, time = BacnetRefusal("no-value"), now_ns()
        return {
            row: {name: told.get((thing.id, name), nothing) for name in wanted(thing)} | {ARRIVED: time}
            for row, thing in ((row, self.things[row]) for row in rows)
        }

    async def _smaller(
        self, stack: Stack, rows: Sequence[int], wanted: Callable[[Thing], list[str]], refusal: BacnetRefusal
    ) -> dict[int, dict[str, Any]]:
        """Another way for what was refused as a whole: fewer objects at once, in the end one property at a time."""
        if refusal.code in _UNKNOWN_SERVICE:
            self._multiple = False
        elif len(rows) == 1:
            return {rows[0]: await self._one_by_one(stack, rows[0], wanted)}
        elif refusal.code in _TOO_LARGE:
            self._most = max(1, len(rows) // 2)
        middle = (len(rows) + 1) // 2
        found = await self._read_some(stack, rows[:middle], wanted)
        return found | (await self._read_some(stack, rows[middle:], wanted) if rows[middle:] else {})

    async def _one_by_one(self, stack: Stack, row: int, wanted: Callable[[Thing], list[str]]) -> dict[str, Any]:
        thing = self.things[row]
        told: dict[str, Any] = {}
        for name in wanted(thing):
            try:
                told[name] = await stack.read_one(self.where, thing.id, name)
            except BacnetRefusal as refusal:
                told[name] = refusal
        told[ARRIVED] = now_ns()
        return told

    # What was told

    def put(self, harvest: Harvest, row: int, told: dict[str, Any], time: int) -> None:
        """A reading of what an object's properties are now; time [ns]."""
        thing = self.things[row]
        value = told.get(thing.definition.property)
        if isinstance(value, BacnetRefusal):
            if harvest.lost(np.array([row], np.int32), BadQuality.CONFIGURATION):
                what = f"{thing.definition.name} ({thing.definition.object}, {thing.definition.property})"
                log.warning(
                    "%s: %s cannot be read: %s; check `object` and `property`. All else is read", self, what, value
                )
            return
        quality = quality_of(told.get(FLAGS), told.get("reliability"))
        value = self._shown(thing, value)
        if value is None and quality >= Quality.UNCERTAIN:
            quality = BadQuality.SENSOR
        if isinstance(value, str) or self.points.points[row].data_type is DataType.TEXT:
            harvest.add_text(row, None if value is None else str(value), time, quality)
            return
        number = math.nan if value is None else value
        harvest.add(np.array([row], np.int32), np.array([number], float), np.array([quality], np.uint8), time)

    @staticmethod
    def _shown(thing: Thing, value: Any) -> Any:
        """A number, truth value or text; None for what is none of them."""
        if thing.texts and isinstance(value, int):
            return thing.texts[value - 1] if 1 <= value <= len(thing.texts) else str(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        return value if isinstance(value, int | str) else None


def _id(text: str) -> BacnetId:
    kind, _, instance = text.replace(":", ",").partition(",")
    return kind, int(instance)
