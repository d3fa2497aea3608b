"""Senders that offer more than is taken, and remember what was acknowledged to them."""

import asyncio
import json
import random
import time
from typing import Any, Protocol

import paho.mqtt.client as mqtt

NOTE = "x" * 4000  # large telegrams: what is stored at once is bounded by bytes, and the sender has little to do
MOST_UNACKNOWLEDGED = 50_000  # MQTT numbers messages up to 65,535


class Sender(Protocol):
    """offered: readings that it wanted to send. times: of the acknowledged ones [ns], by device."""

    offered: int
    times: dict[str, list[int]]
    is_kept_elsewhere: bool

    @property
    def acknowledged(self) -> int:
        """Readings that it was told are safe."""

    @property
    def in_the_end(self) -> int:
        """Readings that there must be once all is delivered."""

    def send(self, span: float) -> None:
        """Offers readings for so many seconds."""

    def close(self) -> None:
        """Ends."""


class MqttSender:
    """QoS 1 to the broker, which keeps what the service does not take; acknowledged by the broker."""

    is_kept_elsewhere = True
    RATE = 2_500

    def __init__(self, ids: list[str], port: int) -> None:
        self.offered = 0
        self.times: dict[str, list[int]] = {id: [] for id in ids}
        self._sent: dict[int, tuple[str, int]] = {}
        self._ids = ids
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(2000)
        self._client.on_publish = self._acknowledged
        self._early: set[int] = set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    @property
    def acknowledged(self) -> int:
        return sum(map(len, self.times.values()))

    @property
    def in_the_end(self) -> int:
        return self.acknowledged

    def _acknowledged(self, client: Any, data: Any, number: int, *_: Any) -> None:
        sent = self._sent.pop(number, None)
        if sent is None:
            self._early.add(number)
        else:
            self.times[sent[0]].append(sent[1])

    def send(self, span: float) -> None:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < span:
            due = int(passed * self.RATE)
            while self.offered < due and len(self._sent) < MOST_UNACKNOWLEDGED:
                self._publish()
            time.sleep(0.005)
        deadline = time.monotonic() + 30
        while self._sent and time.monotonic() < deadline:
            time.sleep(0.05)

    def _publish(self) -> None:
        id, stamp = self._ids[self.offered % len(self._ids)], time.time_ns()
        body = json.dumps({"v": random.uniform(20, 80), "t": stamp, "note": NOTE})
        number = self._client.publish(f"o/{id}", body, 1).mid
        self.offered += 1
        if number in self._early:
            self._early.discard(number)
            self.times[id].append(stamp)
        else:
            self._sent[number] = (id, stamp)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class HttpSender:
    """Arrays of telemetry documents, at a rate and not when the answer has come; `429` and waiting slow it."""

    is_kept_elsewhere = False
    DOCUMENTS = 100
    RATE = 60.0  # requests/s
    OPEN = 900

    def __init__(self, ids: list[str], url: str) -> None:
        self.offered = 0
        self.times: dict[str, list[int]] = {id: [] for id in ids}
        self._ids = ids
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)

    @property
    def acknowledged(self) -> int:
        return sum(map(len, self.times.values()))

    @property
    def in_the_end(self) -> int:
        return 2**62

    def send(self, span: float) -> None:
        asyncio.run(self._send(span))

    async def _send(self, span: float) -> None:
        began, number, open_requests = time.monotonic(), 0, set[asyncio.Task[None]]()
        while (passed := time.monotonic() - began) < span:
            while number < int(passed * self.RATE):
                number += 1
                self.offered += self.DOCUMENTS
                if len(open_requests) < self.OPEN:
                    task = asyncio.create_task(self._post(number))
                    open_requests.add(task)
                    task.add_done_callback(open_requests.discard)
            await asyncio.sleep(0.005)
        for task in open_requests:
            task.cancel()
        await asyncio.gather(*open_requests, return_exceptions=True)

    async def _post(self, number: int) -> None:
        id = self._ids[number % len(self._ids)]
        first = time.time_ns()
        stamps = [first + n for n in range(self.DOCUMENTS)]
        documents = [
            {
                "device_id": id,
                "timestamp": stamp,
                "metadata": {"note": NOTE[:1000]},
                "measurements": [{"name": "temperature", "value": 20.5}],
            }
            for stamp in stamps
        ]
        body = json.dumps(documents).encode()
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return
        try:
            head = f"POST /api/v1/iotsense/telemetry HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            status = await reader.readline()
            if b" 202 " in status:
                self.times[id] += stamps
            elif status and b" 429 " not in status:
                raise SystemExit(f"the service answers {status.decode()}")
        except OSError:
            return
        finally:
            writer.close()

    def close(self) -> None:
        return
