"""The machines of the bottling line as MQTT clients: each speaks for itself, and counts what it said and was heard."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..twin.errors import MissingExtraError, SourceError
from ..twin.times import format_time, now_ns
from .bottling_line import BottlingLine
from .machine import Value

if TYPE_CHECKING:
    from aiomqtt import Client

TICK_S = 0.25
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
    """Lets the line live, `speed` times as fast as the clock, and its machines tell of it over MQTT with QoS 1.

    How often they speak does not depend on the speed. A broker that confirms slowly slows the line, it loses nothing.
    """

    def __init__(self, line: BottlingLine, broker: str, speed: float = 1.0) -> None:
        self.line = line
        self.tally = Tally()
        self.speed = speed
        self._broker = urlsplit(broker)
        self._last = 0

    async def run(self, until: asyncio.Event) -> None:
        """Speaks until the event is set; everything said has then been confirmed. Raises SourceError."""
        try:
            from aiomqtt import MqttError
        except ImportError:
            raise MissingExtraError("the demo's machines", "demo") from None
        try:
            async with self._connected() as clients:
                await self._speak(clients, until)
        except MqttError as error:
            raise SourceError(f"the machines lost their broker: {error}") from error

    @contextlib.asynccontextmanager
    async def _connected(self) -> "AsyncIterator[dict[str, Client]]":
        from aiomqtt import Client

        async with contextlib.AsyncExitStack() as stack:
            clients = {}
            for machine, _ in self.line.readings():
                client = Client(self._broker.hostname or "", self._broker.port or 1883, identifier=f"machine-{machine}")
                clients[machine] = await stack.enter_async_context(client)
            yield clients

    async def _speak(self, clients: "dict[str, Client]", until: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due, tick = loop.time(), 0
        while not until.is_set():
            self.line.advance((tick + 1) * TICK_S * self.speed - self.line.time)
            stamp = self._stamp()
            telemetry = tick % TELEMETRY_TICKS == 0
            moment = list(self.line.readings())
            await asyncio.gather(
                *(self._say(clients[name], list(utterances(name, values, stamp, telemetry))) for name, values in moment)
            )
            tick += 1
            due = max(due + TICK_S, loop.time() - TICK_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), max(0.0, due - loop.time()))

    async def _say(self, client: "Client", said: list[Utterance]) -> None:
        tally = self.tally
        for utterance in said:
            tally.messages += 1
            tally.readings += utterance.readings
            await client.publish(utterance.topic, utterance.payload, qos=1, timeout=PUBACK_S)
            tally.acknowledged_messages += 1
            tally.acknowledged_readings += utterance.readings

    def _stamp(self) -> str:
        # Milliseconds, never twice the same: two readings of one sensor with one time would count as one.
        self._last = max(now_ns() // 1_000_000, self._last + 1)
        return format_time(self._last * 1_000_000)
