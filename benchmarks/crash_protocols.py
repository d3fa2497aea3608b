"""`kill -9` of the service while readings come over one protocol: what its broker took must be in history, once."""

import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from crash_ledger import API, HOUR_MS, Key, Ledger
from crash_plant import SETTLE_S, Account
from crash_reader import history
from crash_sources import Feed, Reading, feed
from plant_file import write_project
from under_test import Service

READINGS = 20_000
MACHINES = 20
AT_ONCE = 50
# From a start until the next kill [s].
SECONDS = (0.0, 1.0)


def kill_under(protocol: str, rounds: int, readings: int = READINGS) -> Account:
    """Kills at random moments while all readings are sent, spread over the rounds."""
    with feed(protocol) as feeding, tempfile.TemporaryDirectory(prefix="iotsense-crash-") as place:
        directory = Path(place)
        sources = f"sensor_ingestion:\n  protocols:\n{feeding.sources()}"
        machines = write_project(directory / "plant.yaml", MACHINES, sources)
        service = Service(directory / "data", directory / "plant.yaml", feeding.environment)
        service.start()
        try:
            _await_source(service)
            sender = Sender(feeding, service.url, machines, readings, rounds)
            sender.start()
            for _ in range(rounds):
                time.sleep(random.uniform(*SECONDS))
                service.kill()
                sender.round.release()
                service.start()
            sender.finish()
            return _account(feeding.name, rounds, service, machines, sender.ledger)
        finally:
            service.stop()


class Sender(threading.Thread):
    """Sends a share of the readings in each round; what a broker has taken is acknowledged."""

    def __init__(self, feeding: Feed, url: str, machines: list[str], readings: int, rounds: int) -> None:
        super().__init__(daemon=True)
        self.ledger = Ledger()
        self.round = threading.Semaphore(1)
        self._feed = feeding
        self._url = url
        stamp = int(time.time() * 1000) - HOUR_MS
        self._readings: list[Reading] = [
            (Key(random.choice(machines), "temperature", stamp + number), round(random.uniform(60, 90), 1))
            for number in range(readings)
        ]
        self._share = -(-readings // (rounds + 1))
        self.error: Exception | None = None

    def run(self) -> None:
        """Begins with the load of a round when the one before was broken off."""
        try:
            for first in range(0, len(self._readings), AT_ONCE):
                if first % self._share < AT_ONCE:
                    self.round.acquire()
                chunk = self._readings[first : first + AT_ONCE]
                for key, value in chunk:
                    self.ledger.send(key, value)
                self._feed.send(self._url, chunk)
                for key, _ in chunk:
                    self.ledger.acknowledge(key)
        except Exception as error:
            self.error = error

    def finish(self) -> None:
        """Returns when all is sent."""
        self.round.release(10)
        self.join()
        if self.error is not None:
            raise self.error


def _await_source(service: Service) -> None:
    """A broker keeps nothing for a service that has not connected yet."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        sources = httpx.get(f"{service.url}{API}/sources", timeout=30).json()["sources"]
        if all(source["state"] == "running" for source in sources):
            return
        time.sleep(0.05)
    raise SystemExit(f"the service does not reach its source: {sources}")


def _account(name: str, rounds: int, service: Service, machines: list[str], ledger: Ledger) -> Account:
    deadline = time.monotonic() + SETTLE_S
    while True:
        found, doubled = history(service.url, machines)
        lost = [key for key in ledger.acknowledged if found.get(key) not in ledger.allowed(key)]
        if not lost or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    for key in lost[:5]:
        print(f"NOT KEPT: {key} was acknowledged and is not in history", file=sys.stderr)
    taken = httpx.get(f"{service.url}{API}/sources", timeout=30).json()["sources"]
    again = sum(source["superseded"] for source in taken)
    strangers = len(found.keys() - ledger.sent.keys())
    note = f"{again:,} came a second time and took their own place" if again else ""
    what = f"`kill -9` of the service under {name}"
    acknowledged = len(ledger.acknowledged)
    sent = len(ledger.sent)
    return Account(what, rounds, sent, 0, acknowledged, len(found), 0, len(lost), doubled + strangers, 0, 0, note)
