"""A service under load in the crash test: its broker, its senders, its readers, and the account at the end."""

import asyncio
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from crash_ledger import API, Draw, Key, Ledger, Stamps, send_http, send_mqtt
from crash_reader import EventReader, StateReader, event_log, history
from mosquitto_fixtures import Mosquitto
from plant_file import write_project
from under_test import Service

from iotsense.twin.times import NS, parse_time

MACHINES = 30
HTTP_SENDERS = 3
SETTLE_S = 120.0
EVENTS_S = 30.0
BROKER = "max_inflight_messages 2000\nautosave_interval 1\n"
DEFINITIONS = """
sensor_ingestion:
  protocols:
    - name: mqtt
      broker: mqtt://127.0.0.1:{port}
      client_id: iotsense_crash_test
      qos: 1
      topics:
        - pattern: sensors/+/temperature
          parser: json
          schema: {{device_id: $.deviceId, name: $.sensor, value: $.temp, timestamp: $.ts}}
anomaly_detection:
  rules:
    - name: hot
      type: threshold
      sensor: temperature
      conditions:
        - {{metric: value, operator: ">", threshold: 85, severity: warning}}
"""


@dataclass
class Account:
    """One line of the table: what was counted outside the service, and what must be zero.

    sent, acknowledged, stored (in history): readings, each once; corrections: further values for some of them. shown:
    events and latest values. lost: acknowledged and not in history with its last value, or shown and gone. doubled:
    more than once in history, or never sent. event_gaps: numbers that the stream left out or repeated, or that differ
    from the log. unbalanced: accounts of counters that did not add up, or went back.
    """

    what: str
    rounds: int
    sent: int
    corrections: int
    acknowledged: int
    stored: int
    shown: int
    lost: int
    doubled: int
    event_gaps: int
    unbalanced: int
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.event_gaps or self.unbalanced)


class Plant:
    """Service, broker, load and readers, from the start until `close`."""

    def __init__(
        self, directory: Path, data: Path | None = None, environment: Mapping[str, str] | None = None, extra: str = ""
    ) -> None:
        self.broker = Mosquitto(directory / "mosquitto", settings=BROKER)
        self.broker.start()
        text = DEFINITIONS.format(port=self.broker.port) + extra
        self.machines = write_project(directory / "plant.yaml", MACHINES, text)
        self.service = Service(data or directory / "data", directory / "plant.yaml", environment)
        self.service.start()
        self.ledger = {"http": Ledger(), "mqtt": Ledger()}
        self.unbalanced: list[str] = []
        self._known: dict[str, dict[str, int]] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.events = EventReader(self.service.url)
        self.states = StateReader(self.service.url, self.machines)

    def load(self) -> None:
        """Begins to send, once the service has subscribed: before that the broker keeps nothing for it."""
        deadline = time.monotonic() + SETTLE_S
        while self.sources()["mqtt"]["state"] != "running":
            if time.monotonic() > deadline:
                raise SystemExit(f"the service does not reach its broker: {self.sources()['mqtt']}")
            time.sleep(0.05)
        stamps = Stamps()
        url = self.service.url
        for number in range(HTTP_SENDERS):
            draw = Draw(self.machines[number::HTTP_SENDERS], "vibration_rms", stamps)
            self._begin(send_http, url, draw, self.ledger["http"], self._stop)
        draw = Draw(self.machines, "temperature", stamps)
        self._begin(lambda: asyncio.run(send_mqtt(self.broker.port, draw, self.ledger["mqtt"], self._stop)))

    def _begin(self, run: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop_load(self) -> None:
        """Sends no more; what is under way comes to its end or is given up."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def sources(self) -> dict[str, dict[str, Any]]:
        """The counters of all sources, as the service tells them."""
        answer = httpx.get(f"{self.service.url}{API}/sources", timeout=30).raise_for_status().json()
        return {source["name"]: source for source in [*answer["sources"], *answer["others"]]}

    def clock(self) -> float:
        """The service's clock [s since the epoch]."""
        answer = httpx.post(f"{self.service.url}/graphql", json={"query": "{ service { time } }"}, timeout=30)
        return parse_time(answer.raise_for_status().json()["data"]["service"]["time"]) / NS

    def check_counters(self) -> None:
        """Every account must add up, and nothing durable may be counted less than it was counted before."""
        sources = self.sources()
        for name, count in sources.items():
            accounts = (
                count["received"] == count["acknowledged"] + count["refused"] + count["waiting"],
                count["acknowledged"] == count["accepted"] + count["duplicate"],
                count["read"] == count["stored"] + count["dead_lettered"] + count["unstored"],
                count["stored"] == count["applied"] + count["superseded"] + count["late"],
                count["waiting"] >= 0,
            )
            durable = ("accepted", "duplicate", "stored", "applied", "superseded", "late", "dead_lettered")
            less = [field for field in durable if count[field] < self._known.get(name, count)[field]]
            if less or not all(accounts):
                self.unbalanced.append(f"{name}: {less} {accounts} {count}")
        self._known = sources

    def account(self, what: str, rounds: int, *, without: str | None = None, note: str = "") -> Account:
        """Waits until the broker has delivered, reads everything, and compares. `without` a ledger: only doubled."""
        asked = {name: ledger for name, ledger in self.ledger.items() if name != without}
        deadline = time.monotonic() + SETTLE_S
        while True:
            found, doubled = history(self.service.url, self.machines)
            lost = [line for ledger in asked.values() for line in _lost(ledger, found)]
            if not lost or time.monotonic() > deadline:
                break
            time.sleep(1)
        for line in [*lost[:5], *([str(self.sources())] if lost else []), *self.unbalanced[:5]]:
            print(f"NOT KEPT: {line}", file=sys.stderr)
        self.check_counters()
        sent = {key for ledger in self.ledger.values() for key in ledger.sent}
        strangers = len(found.keys() - sent)
        gone = len(self.states.seen - found.keys())
        log = event_log(self.service.url)
        self._await_events(max(log, default=0))
        gaps = self.events.gaps + self.events.doubled + self.events.differing(log) + len(_holes(log))
        return Account(
            what,
            rounds,
            len(sent),
            sum(ledger.corrections() for ledger in self.ledger.values()),
            sum(len(ledger.acknowledged) for ledger in asked.values()),
            len(found),
            len(self.states.seen) + len(self.events.seen),
            len(lost) + gone,
            doubled + strangers,
            gaps,
            len(self.unbalanced),
            note,
        )

    def _await_events(self, last: int) -> None:
        deadline = time.monotonic() + EVENTS_S
        while self.events.last < last and time.monotonic() < deadline:
            time.sleep(0.05)

    def close(self) -> None:
        """Ends everything."""
        self.stop_load()
        self.events.close()
        self.states.close()
        self.service.stop()
        self.broker.stop()


def _lost(ledger: Ledger, found: Mapping[Key, float]) -> list[str]:
    return [
        f"{key} was sent as {ledger.sent[key]}, {count} acknowledged; history has {found.get(key)}"
        for key, count in ledger.acknowledged.items()
        if found.get(key) not in ledger.allowed(key)
    ]


def _holes(log: Mapping[int, Any]) -> list[int]:
    return [number for number in range(1, max(log, default=0) + 1) if number not in log]


@contextlib.contextmanager
def plant(data: Path | None = None, environment: Mapping[str, str] | None = None, extra: str = "") -> Iterator[Plant]:
    """A plant under load, in a directory of its own unless told where its data are."""
    with tempfile.TemporaryDirectory(prefix="iotsense-crash-") as place:
        running = Plant(Path(place), data, environment, extra)
        try:
            running.load()
            yield running
        finally:
            running.close()
