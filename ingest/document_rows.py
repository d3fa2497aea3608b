"""The busiest loop of the product: telemetry documents into columns.

A measurement whose address is known costs a look-up by its name, below its device's, and four appends.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..twin.errors import InvalidValueError
from .columns import Columns
from .points import Key
from .stamps import Clock
from .targets import EXACT
from .telemetry import TelemetryDocument

Plain = tuple[int, float, float]
Known = tuple[str | None, int, float, float]
SlowWay = Callable[[int, int, int, bool], None]
_MOST_DEVICES = 100_000
_UNKNOWN: Any = (object(), -1, 1.0, 0.0)  # has a unit that equals none
_QUALITY: dict[str | int, int] = {"uncertain": 64, "bad": 0} | {byte: byte for byte in range(256)}


class DocumentRows:
    """What the documents of a lane are bound to, by device and name; `forget` when the graph changes.

    An entry is the unit that it was last asked with, the signal's index, and the conversion to the signal's unit.
    """

    __slots__ = ("_devices",)

    def __init__(self) -> None:
        self._devices: dict[str | None, dict[str | None, Known]] = {}

    def forget(self) -> None:
        """Another revision of the graph."""
        self._devices.clear()

    def lay(
        self,
        documents: Sequence[TelemetryDocument],
        columns: Columns,
        plain: Mapping[Key, Plain],
        times: "Times",
        slow: SlowWay,
        unreadable: Callable[[int, str], None],
    ) -> None:
        """Lays into the columns what is known and not ahead of the clock.

        plain: the lane's known addresses. slow: called for each other measurement with the numbers of document and
        measurement, the time [ns], and whether that is ahead. unreadable: called for a document whose time is none.
        """
        put_signal, put_time = columns.signal.append, columns.time.append
        put_value, put_quality = columns.value.append, columns.quality.append
        devices, latest, clock, quality_of = self._devices.get, times.latest, times.clock, _QUALITY.get
        for number, document in enumerate(documents):
            device, stamp = document.device_id, document.timestamp
            time = times.unstamped
            if stamp is not None:
                try:
                    time = clock(stamp) if not times.of_devices else times.of_devices.get(device or "", clock)(stamp)
                except InvalidValueError as error:
                    unreadable(number, str(error))
                    continue
            known = devices(device)
            if known is None or time > latest:
                self._slowly(document, number, time, times, plain, slow)
                continue
            for item, measurement in enumerate(document.measurements):
                unit, index, scale, offset = known.get(measurement.name, _UNKNOWN)
                value, quality = measurement.value, measurement.quality
                byte = 192 if quality is None or quality == "good" else quality_of(quality)
                if (
                    unit == measurement.unit
                    and byte is not None
                    and (value.__class__ is float or value.__class__ is int)
                    and -EXACT <= value <= EXACT
                ):
                    put_signal(index)
                    put_time(time)
                    put_value(value * scale + offset)
                    put_quality(byte)
                else:
                    slow(number, item, time, False)
                    self._learn(device, measurement.name, measurement.unit, plain)

    def _slowly(
        self,
        document: TelemetryDocument,
        number: int,
        time: int,
        times: "Times",
        plain: Mapping[Key, Plain],
        slow: SlowWay,
    ) -> None:
        ahead = time > times.latest
        for item, measurement in enumerate(document.measurements):
            slow(number, item, times.received if ahead else time, ahead)
            self._learn(document.device_id, measurement.name, measurement.unit, plain)

    def _learn(self, device: str | None, name: str | None, unit: str | None, plain: Mapping[Key, Plain]) -> None:
        target = plain.get((device, name, unit))
        if target is None:
            return
        known = self._devices.get(device)
        if known is None:
            if len(self._devices) >= _MOST_DEVICES:
                self._devices.clear()
            known = self._devices[device] = {}
        known[name] = (unit, *target)


class Times:
    """How the times of a message are read: `clock` (`of_devices` for some), `unstamped` for none, the `latest` [ns]."""

    __slots__ = ("clock", "latest", "of_devices", "received", "unstamped")

    def __init__(
        self, clock: Clock, of_devices: Mapping[str, Clock], received: int, unstamped: int, latest: int
    ) -> None:
        self.clock = clock
        self.of_devices = of_devices
        self.received = received
        self.unstamped = unstamped
        self.latest = latest
