"""The machines of the bottling line as MQTT clients: each speaks for itself, and counts what it said and was heard."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..twin.errors import MissingExtraError, SourceError
from ..twin.times import format_time
from .machine import Value
from .wiring import MQTT, Moment, machines_of

if TYPE_CHECKING:
    from aiomqtt import Client

TELEMETRY_TICKS = 2
PUBACK_S = 15.0
_UNITS = {
    "speed": "1/min",
    "drive_current": "A",
    "motor_current": "A",
    "motor_temperature": "celsius",
    "bearing_temperature": "celsius",
    "power": "kW",
    "fill_volume": "mL",
    "tank_pressure": "bar",
}
_CONVEYOR_UNITS = _UNITS | {"speed": "m/s"}


@dataclass(slots=True)
class Tally:
    """What the machines counted on their side: messages and readings sent, and those that a PUBACK confirmed.

    A list of n values counts as n readings.
    """

    messages: int = 0
    readings: int = 0
    acknowledged_messages: int = 0
    acknowledged_readings: int = 0


@dataclass(frozen=True, slots=True)
class Utterance:
    """One message of a machine and how many readings it carries."""

    topic: str
    payload: bytes
    readings: int


def utterances(machine: str, values: dict[str, Value], stamp: str, telemetry: bool) -> Iterator[Utterance]:
    """What a machine says at one moment: its vibration every time, the rest with `telemetry`.

    The labeller's glue unit speaks for itself, in fahrenheit.
    """
    rest = dict(values)
    vibration = {"machine": machine, "rms": rest.pop("vibration_rms"), "unit": "mm/s", "ts": stamp}
    yield Utterance(f"bottling/{machine}/vibration", _encoded(vibration), 1)
    if not telemetry:
        return
    glue = rest.pop("glue_temperature", None)
    if isinstance(glue, float):
        yield Utterance(f"bottling/{machine}/glue", _encoded({"temp": glue * 9 / 5 + 32, "ts": stamp}), 1)
    units = _CONVEYOR_UNITS if machine.startswith("conveyor") else _UNITS
    measurements = [
        {"name": name, "value": value} | ({"unit": units[name]} if name in units else {})
        for name, value in rest.items()
    ]
    document = {"device_id": machine, "timestamp": stamp, "measurements": measurements}
    readings = sum(len(value) if isinstance(value, list) else 1 for value in rest.values())
    yield Utterance(f"bottling/{machine}/telemetry", _encoded(document), readings)


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


class Machines:
    """Machines that tell of themselves over MQTT with QoS 1, and count what they said and what was confirmed."""

    def __init__(self, clients: "Mapping[str, Client]") -> None:
        self.tally = Tally()
        self._clients = clients

    async def say(self, moment: Moment) -> None:
        """Returns when the broker has confirmed everything. Raises SourceError."""
        from aiomqtt import MqttError

        stamp, telemetry = format_time(moment.time), moment.tick % TELEMETRY_TICKS == 0
        try:
            await asyncio.gather(
                *(
                    self._say(self._clients[machine], list(utterances(machine, values, stamp, telemetry)))
                    for machine, values in moment.spoken(MQTT).items()
                )
            )
        except MqttError as error:
            raise SourceError(f"the machines lost their broker: {error}") from error

    async def _say(self, client: "Client", said: list[Utterance]) -> None:
        tally = self.tally
        for utterance in said:
            tally.messages += 1
            tally.readings += utterance.readings
            await client.publish(utterance.topic, utterance.payload, qos=1, timeout=PUBACK_S)
            tally.acknowledged_messages += 1
            tally.acknowledged_readings += utterance.readings


@contextlib.asynccontextmanager
async def mqtt_machines(broker: str) -> AsyncIterator[Machines]:
    """The machines of the line that speak MQTT, each a client of the broker. Raises SourceError, MissingExtraError."""
    try:
        from aiomqtt import Client, MqttError
    except ImportError:
        raise MissingExtraError("the demo's machines", "demo") from None
    address = urlsplit(broker)
    try:
        async with contextlib.AsyncExitStack() as stack:
            clients = {}
            for machine in machines_of(MQTT):
                client = Client(address.hostname or "", address.port or 1883, identifier=f"machine-{machine}")
                clients[machine] = await stack.enter_async_context(client)
            yield Machines(clients)
    except MqttError as error:
        raise SourceError(f"the machines lost their broker: {error}") from error
