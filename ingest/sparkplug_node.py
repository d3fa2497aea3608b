"""What a Sparkplug edge node has told of itself: its metrics by birth certificate, and its last values."""

import math
from collections.abc import Iterator

import msgspec

from ..twin.errors import InvalidValueError
from .sample import Sample
from .sparkplug_payload import Metric, Payload, Template
from .sparkplug_values import STALE, is_numeric, is_opaque, property_value, quality_of, scalars

BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
_CONTROLS = ("Node Control/", "Device Control/")
_UNIT_NAMES = ("engUnit", "EngUnit", "engineeringUnits", "unit", "Units")
MOST_METRICS = 100_000


class Known(msgspec.Struct):
    """What a birth certificate told of a metric."""

    name: str
    datatype: int
    alias: int | None = None
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    read_only: bool = False


class Last(msgspec.Struct):
    """The last value of a metric, or of a member of one. time [ns]."""

    value: float | bool | str | list[object] | None
    time: int
    unit: str | None


class Device:
    """A device, or the edge node itself. `address`: what its readings bear as their device."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.born = False
        self._alive = False
        self.metrics: dict[str, Known] = {}
        self.aliases: dict[int, Known] = {}
        self.last: dict[str, Last] = {}
        self._stale_at = 0

    def birth(self, payload: Payload) -> None:
        """Takes over what a birth certificate tells, instead of what was known. Raises InvalidValueError."""
        if not payload.metrics:
            raise InvalidValueError("a birth certificate without metrics")
        if len(payload.metrics) > MOST_METRICS:
            raise InvalidValueError(f"a birth certificate of {len(payload.metrics)} metrics; {MOST_METRICS} are taken")
        known = [_known(metric) for metric in payload.metrics if metric.name and not _is_definition(metric)]
        self.metrics = {each.name: each for each in known}
        self.aliases = {each.alias: each for each in known if each.alias is not None}
        gone = [name for name in self.last if name not in self.metrics and name.partition("/")[0] not in self.metrics]
        for name in gone:
            del self.last[name]
        self.born = self._alive = True

    def known(self, metric: Metric) -> Known:
        """Which metric it is. Raises InvalidValueError for an alias that no birth certificate told."""
        if metric.name:
            return self.metrics.get(metric.name) or Known(metric.name, metric.datatype or 0)
        found = self.aliases.get(metric.alias) if metric.alias is not None else None
        if found is None:
            raise InvalidValueError(unknown_alias(self.address, metric.alias))
        return found

    def read(self, metric: Metric, payload: Payload, received: int, birth: bool = False) -> Iterator[Sample]:
        """The samples of a metric; a sample's `device` is the address. Raises InvalidValueError."""
        known = self.known(metric)
        if is_control(known.name):
            return
        for name, value, part in scalars(known.name, metric.datatype or known.datatype, metric):
            time = part.timestamp or metric.timestamp or payload.timestamp or received
            unit = _text(part, *_UNIT_NAMES) or (known.unit if name == known.name else None)
            quality = quality_of(part, value)
            if _is_no_number(value, part, metric.datatype or known.datatype):
                value = math.nan
            if value is None and name not in self.last:
                continue  # a text that has never been one: there is nothing that could have gone bad
            if not metric.historical:
                if birth:
                    # What a birth says holds from now on, even if its clock is behind the mark that ends here.
                    time = max(time, self._stale_at + 1) if self._stale_at else time
                self.last[name] = Last(value, time, unit)
                self._alive = True
            yield Sample(name, value, time or None, quality, unit, self.address)

    def die(self, received: int) -> list[Sample]:
        """It is not heard of any more: its last values, marked as bad."""
        if not self._alive:
            return []
        self.born = self._alive = False
        # A clock that was ahead must not hide the mark.
        self._stale_at = max([received, *(last.time + 1 for last in self.last.values())])
        return [
            Sample(name, last.value, self._stale_at, STALE, last.unit, self.address) for name, last in self.last.items()
        ]


class EdgeNode:
    """An edge node and its devices. seq: of its last message. bd_seq: of its birth, which its death must bear.

    awaited: whether it has to answer, or counts as dead. waiting_since: when data first had to wait for a birth.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.own = Device(address)
        self.devices: dict[str, Device] = {}
        self.seq: int | None = None
        self.bd_seq: int | None = None
        self.gaps = 0
        self.asked_at: float | None = None
        self.awaited = False
        self.waiting_since: float | None = None

    def device(self, name: str | None) -> Device:
        """The device of a name; None: the edge node itself."""
        if name is None:
            return self.own
        found = self.devices.get(name)
        if found is None:
            found = self.devices[name] = Device(f"{self.address}/{name}")
        return found

    def follows(self, seq: int | None) -> bool:
        """Takes a sequence number over; whether it is the next one."""
        expected = None if self.seq is None else (self.seq + 1) % 256
        self.seq = seq
        if seq is None or seq == expected:
            return True
        self.gaps += 1
        return False

    def die(self, received: int) -> list[Sample]:
        """The edge node has gone, and all its devices with it."""
        self.seq = None
        return [sample for device in (self.own, *self.devices.values()) for sample in device.die(received)]


def unknown_alias(address: str, alias: int | None) -> str:
    """Why a metric without a name cannot be read."""
    return f"{address} sent alias {alias}, which no birth certificate that came here explains; a rebirth is asked for"


def is_control(name: str) -> bool:
    """Whether a metric is there to be set, or to keep the books, and is no reading."""
    return name == BD_SEQ or name.startswith(_CONTROLS)


def _is_no_number(value: object, metric: Metric, datatype: int) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return value is None and metric.raw is None and is_numeric(datatype)


def _is_definition(metric: Metric) -> bool:
    return isinstance(metric.raw, Template) and metric.raw.is_definition


def _known(metric: Metric) -> Known:
    low, high = (_number(metric, *names) for names in (("engLow", "EngLow", "low"), ("engHigh", "EngHigh", "high")))
    read_only = property_value(metric.properties.get("readOnly") or metric.properties.get("ReadOnly")) is True
    return Known(
        metric.name or "",
        metric.datatype or 0,
        metric.alias,
        _text(metric, *_UNIT_NAMES),
        low,
        high,
        read_only or is_opaque(metric.datatype or 0),
    )


def _text(metric: Metric, *names: str) -> str | None:
    for name in names:
        value = property_value(metric.properties.get(name))
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _number(metric: Metric, *names: str) -> float | None:
    for name in names:
        value = property_value(metric.properties.get(name))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None
