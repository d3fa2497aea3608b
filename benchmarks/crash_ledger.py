"""What senders know of the crash test: every reading that they sent, and which of them were acknowledged."""

import asyncio
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx

API = "/api/v1/iotsense"
HOUR_MS = 3_600_000
LATE, CORRECTED = 0.05, 0.05
_REMEMBERED = 200


class Key(NamedTuple):
    """A reading's place: machine, what was measured, source time [ms]. One with a new value is a correction."""

    machine: str
    name: str
    stamp: int


@dataclass
class Ledger:
    """Values by key in the order in which they were sent, and how many of those were acknowledged.

    Each key has one sender, who sends one value after another, so no lock is needed.
    """

    sent: dict[Key, list[float]] = field(default_factory=dict)
    acknowledged: dict[Key, int] = field(default_factory=dict)

    def send(self, key: Key, value: float) -> None:
        """This value is on its way."""
        self.sent.setdefault(key, []).append(value)

    def acknowledge(self, key: Key) -> None:
        """The last value that was sent has arrived, as the sender was told."""
        self.acknowledged[key] = len(self.sent[key])

    def allowed(self, key: Key) -> list[float]:
        """What history may hold: the last acknowledged value, or one sent after it."""
        return self.sent[key][max(self.acknowledged.get(key, 0) - 1, 0) :]

    def corrections(self) -> int:
        """How many values were sent for readings that had one already."""
        return sum(len(values) - 1 for values in list(self.sent.values()))


class Stamps:
    """Source times [ms] that never repeat: those of now on one side, those of late readings on the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest = int(time.time() * 1000) - HOUR_MS
        self._late = self._newest - HOUR_MS

    def tick(self, late: bool) -> int:
        """The next one."""
        with self._lock:
            if late:
                self._late += 1
                return self._late
            self._newest += 1
            return self._newest


class Draw:
    """The readings of one sender: most are new, some late, some correct one that was sent before."""

    def __init__(self, machines: list[str], name: str, stamps: Stamps) -> None:
        self._machines = machines
        self._name = name
        self._stamps = stamps
        self._recent: deque[Key] = deque(maxlen=_REMEMBERED)

    def next(self) -> tuple[Key, float]:
        """A key and its value, of one decimal."""
        chance = random.random()
        if self._recent and chance < CORRECTED:
            key = random.choice(self._recent)
        else:
            stamp = self._stamps.tick(late=chance < CORRECTED + LATE)
            key = Key(random.choice(self._machines), self._name, stamp)
            self._recent.append(key)
        return key, round(random.uniform(60, 90), 1)


def send_http(url: str, draw: Draw, ledger: Ledger, stop: threading.Event) -> None:
    """Posts documents until told to stop; what fails is sent again with its idempotency key, as our client does."""
    with httpx.Client(base_url=url, timeout=5) as client:
        while not stop.is_set():
            key, value = draw.next()
            ledger.send(key, value)
            body = {
                "device_id": key.machine,
                "timestamp": key.stamp / 1000,
                "measurements": [{"name": key.name, "value": value}],
            }
            # The number of the value is a part of the identity: a correction is another message.
            identity = {"Idempotency-Key": f"{key.machine}-{key.stamp}-{len(ledger.sent[key])}"}
            while not stop.is_set():
                try:
                    if client.post(f"{API}/telemetry", json=body, headers=identity).status_code == 202:
                        ledger.acknowledge(key)
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.02)


async def send_mqtt(port: int, draw: Draw, ledger: Ledger, stop: threading.Event) -> None:
    """Publishes at QoS 1; the broker's PUBACK makes a message its and the service's responsibility."""
    import aiomqtt

    while not stop.is_set():
        try:
            async with aiomqtt.Client("127.0.0.1", port) as client:
                while not stop.is_set():
                    key, value = draw.next()
                    payload = f'{{"deviceId":"{key.machine}","sensor":"{key.name}","temp":{value},"ts":{key.stamp}}}'
                    ledger.send(key, value)
                    await client.publish(f"sensors/{key.machine}/temperature", payload, qos=1, timeout=5)
                    ledger.acknowledge(key)
        except aiomqtt.MqttError:
            await asyncio.sleep(0.05)  # the broker is away; what it did not acknowledge is not sent again
