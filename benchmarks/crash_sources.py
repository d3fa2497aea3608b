"""What readings come over in the crash test of each protocol: a real broker or server, and somebody who sends."""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote
from uuid import uuid4

import httpx
from crash_ledger import API, Key
from database_fixtures import PASSWORD, PostgreSQL

Reading = tuple[Key, float]
SCHEMA = "{device_id: $.deviceId, name: $.sensor, value: $.temp, timestamp: $.ts}"


class Feed(Protocol):
    """One protocol. `sources`: its definition. send: returns when the broker or server has all of it."""

    name: str
    environment: dict[str, str]

    def sources(self) -> str: ...
    def send(self, url: str, readings: Sequence[Reading]) -> None: ...


def _payload(key: Key, value: float) -> bytes:
    return json.dumps({"deviceId": key.machine, "sensor": key.name, "temp": value, "ts": key.stamp}).encode()


class Mqtt:
    """QoS 1; mosquitto."""

    name = "MQTT"

    def __init__(self, stack: contextlib.ExitStack) -> None:
        from mosquitto_fixtures import Mosquitto

        self.environment: dict[str, str] = {}
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="iotsense-crash-"))
        self._broker = Mosquitto(Path(place) / "mosquitto", settings="max_inflight_messages 2000\n")
        self._broker.start()
        stack.callback(self._broker.stop)

    def sources(self) -> str:
        return (
            f"    - name: mqtt\n      broker: {self._broker.url}\n      client_id: crash\n      qos: 1\n"
            f"      topics: [{{pattern: sensors/#, schema: {SCHEMA}}}]\n"
        )

    def send(self, url: str, readings: Sequence[Reading]) -> None:
        asyncio.run(self._publish(readings))

    async def _publish(self, readings: Sequence[Reading]) -> None:
        import aiomqtt

        async with aiomqtt.Client("127.0.0.1", self._broker.port) as client:
            for key, value in readings:
                await client.publish(f"sensors/{key.machine}", _payload(key, value), qos=1)


class Amqp:
    """Publisher confirms and message ids; RabbitMQ."""

    name = "AMQP"

    def __init__(self, stack: contextlib.ExitStack) -> None:
        from rabbitmq_fixtures import RabbitMQ

        self.environment = {"CRASH_PASSWORD": PASSWORD}
        self._broker = RabbitMQ()
        stack.callback(self._broker.remove)
        self._broker.start()

    def sources(self) -> str:
        return (
            f"    - name: amqp\n      url: {self._broker.address}\n      username: plant\n"
            f"      password: ${{CRASH_PASSWORD}}\n      queues: [{{queue: crash, schema: {SCHEMA}}}]\n"
        )

    def send(self, url: str, readings: Sequence[Reading]) -> None:
        asyncio.run(self._publish(readings))

    async def _publish(self, readings: Sequence[Reading]) -> None:
        import aiormq

        address = f"amqp://plant:{quote(PASSWORD)}@127.0.0.1:{self._broker.port}/"
        async with aiormq.Connection(address) as connection:
            channel = await connection.channel()
            await asyncio.gather(
                *(
                    channel.basic_publish(
                        _payload(key, value),
                        routing_key="crash",
                        properties=aiormq.spec.Basic.Properties(
                            delivery_mode=2, message_id=f"{key.machine}-{key.stamp}"
                        ),
                    )
                    for key, value in readings
                )
            )


class KafkaTopic:
    """All replicas acknowledge; Kafka, sent to by kafkajs."""

    name = "Kafka"

    def __init__(self, stack: contextlib.ExitStack) -> None:
        from kafka_fixtures import Kafka, KafkaPeer

        self.environment: dict[str, str] = {}
        self._broker = Kafka()
        stack.callback(self._broker.remove)
        self._broker.start()
        self._peer = KafkaPeer(self._broker.address)
        stack.callback(self._peer.close)
        self._topic = self._peer.topic(partitions=2)

    def sources(self) -> str:
        return (
            f'    - name: kafka\n      bootstrap_servers: ["{self._broker.address}"]\n      session_timeout: 2s\n'
            f"      topics: [{{topic: {self._topic}, schema: {SCHEMA}}}]\n"
        )

    def send(self, url: str, readings: Sequence[Reading]) -> None:
        self._peer.send(self._topic, [_payload(key, value) for key, value in readings])


class Http:
    """202, with an idempotency key; sent again until that comes."""

    name = "HTTP"

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.environment: dict[str, str] = {}

    def sources(self) -> str:
        return "    - name: http\n"

    def send(self, url: str, readings: Sequence[Reading]) -> None:
        body = [
            {
                "device_id": key.machine,
                "timestamp": key.stamp / 1000,
                "measurements": [{"name": key.name, "value": value}],
            }
            for key, value in readings
        ]
        identity = {"Idempotency-Key": uuid4().hex}
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.post(f"{url}{API}/telemetry", json=body, headers=identity, timeout=5).status_code == 202:
                    return
            time.sleep(0.02)


class PostgresTable:
    """Rows that are committed; PostgreSQL."""

    name = "PostgreSQL (CDC)"

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.environment = {"CRASH_PASSWORD": PASSWORD}
        self._server = PostgreSQL("wal_level=logical")
        stack.callback(self._server.remove)
        self._server.start()
        self._database = self._server.database()
        self._run("CREATE TABLE reading (machine text, at bigint, temperature float8)")

    def sources(self) -> str:
        return (
            f"    - name: postgresql\n      url: {self._server.url}/{self._database}\n      username: plant\n"
            "      password: ${CRASH_PASSWORD}\n      tables:\n        - table: reading\n          signals: "
            "{device_id: $.machine, timestamp: $.at, columns: [temperature]}\n"
        )

    def send(self, url: str, readings: Sequence[Reading]) -> None:
        rows = ", ".join(f"('{key.machine}', {key.stamp}, {value})" for key, value in readings)
        self._run(f"INSERT INTO reading VALUES {rows}")

    def _run(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(f"{self._server.url}/{self._database}", user="plant", password=PASSWORD) as connection:
            connection.execute(statement.encode())


FEEDS: dict[str, Any] = {
    "mqtt": Mqtt,
    "amqp": Amqp,
    "kafka": KafkaTopic,
    "http": Http,
    "cdc": PostgresTable,
}


@contextlib.contextmanager
def feed(name: str) -> Iterator[Feed]:
    """A running broker or server of a protocol."""
    with contextlib.ExitStack() as stack:
        yield FEEDS[name](stack)
