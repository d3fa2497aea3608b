"""The demo's machines and broker: what they say arrives, is counted, and has the shapes that the example expects."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiomqtt import Client, Message

from iotsense.sim.bottling_line import BottlingLine
from iotsense.sim.broker import mqtt_broker
from iotsense.sim.machines import mqtt_machines, utterances
from iotsense.sim.performance import Performance
from iotsense.sim.wiring import MQTT, machines_of
from iotsense.twin.errors import MissingExtraError, SourceError
from iotsense.twin.times import parse_time


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[list[Message]]:
    """A subscriber of everything that the line says."""
    heard: list[Message] = []
    broker = urlsplit(address)

    async def listen(client: Client) -> None:
        async for message in client.messages:
            heard.append(message)

    async with Client(broker.hostname or "", broker.port or 0, identifier="listener") as client:
        await client.subscribe("bottling/#", qos=1)
        task = asyncio.create_task(listen(client))
        yield heard
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def content(message: Message) -> dict[str, Any]:
    assert isinstance(message.payload, bytes)
    document: dict[str, Any] = json.loads(message.payload)
    return document


def readings_in(message: Message) -> int:
    document = content(message)
    if "measurements" not in document:
        return 1
    return sum(len(m["value"]) if isinstance(m["value"], list) else 1 for m in document["measurements"])


async def test_what_is_counted_as_sent_is_what_arrives() -> None:
    async with mqtt_broker() as address, listening(address) as heard:
        performance, enough = Performance(BottlingLine(1), speed=10.0), asyncio.Event()
        async with mqtt_machines(address) as machines:
            performance.speakers = [machines]
            running = asyncio.create_task(performance.run(enough))
            await asyncio.sleep(1.2)
            enough.set()
            await running
        tally = machines.tally
        while len(heard) < tally.messages:  # noqa: ASYNC110 - the listener has no event
            await asyncio.sleep(0.01)
    assert tally.messages == tally.acknowledged_messages == len(heard)
    assert tally.readings == tally.acknowledged_readings == sum(readings_in(message) for message in heard)
    assert {str(message.topic).split("/")[1] for message in heard} == set(machines_of(MQTT)) == {"capper", "labeller"}
    # Ten times as fast: more than a second of the clock is more than ten of the line's.
    assert performance.line.time > 10.0
    stamps = [parse_time(content(m)["ts"]) for m in heard if str(m.topic) == "bottling/capper/vibration"]
    assert len(set(stamps)) == len(stamps)


def test_a_machine_says_each_of_its_values_once() -> None:
    line = BottlingLine(1)
    line.advance(30.0)
    for name, values in line.readings():
        said = list(utterances(name, values, "2024-01-15T10:30:00.000Z", telemetry=True))
        numbers = sum(len(value) if isinstance(value, list) else 1 for value in values.values())
        assert sum(utterance.readings for utterance in said) == numbers
        alone = list(utterances(name, values, "2024-01-15T10:30:00.000Z", telemetry=False))
        assert [utterance.topic for utterance in alone] == [f"bottling/{name}/vibration"]


def test_the_glue_unit_speaks_fahrenheit() -> None:
    line = BottlingLine(1)
    line.advance(30.0)
    values = dict(line.readings())["labeller"]
    said = {u.topic: json.loads(u.payload) for u in utterances("labeller", values, "t", telemetry=True)}
    celsius = values["glue_temperature"]
    assert isinstance(celsius, float)
    assert said["bottling/labeller/glue"]["temp"] == pytest.approx(celsius * 1.8 + 32)
    names = {measurement["name"] for measurement in said["bottling/labeller/telemetry"]["measurements"]}
    assert "glue_temperature" not in names


async def test_without_a_broker_the_machines_say_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match="lost their broker"):
        async with mqtt_machines(f"mqtt://127.0.0.1:{port}"):
            pass


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SourceError, match=str(port)):
            async with mqtt_broker(port=port):
                pass


async def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(MissingExtraError, match=r"iotsense\[demo\]"):
        async with mqtt_broker():
            pass
