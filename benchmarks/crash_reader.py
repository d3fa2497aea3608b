"""What readers outside the service see in the crash test: history, the latest values, the log of events."""

import contextlib
import json
import threading
import time
from typing import Any

import httpx
from crash_ledger import API, Key

from iotsense.twin.times import parse_time

SUFFIX = {"temperature": "t", "vibration_rms": "v"}


def signal_id(machine: str, name: str) -> str:
    """The signal of a machine's sensor."""
    return f"line.{machine}.{machine}_{SUFFIX[name]}"


def milliseconds(text: str) -> int:
    """A time of the API [ms]."""
    return parse_time(text) // 1_000_000


def history(url: str, machines: list[str]) -> tuple[dict[Key, float], int]:
    """Everything that history holds, and how many rows it has more than readings (signal and time)."""
    found: list[tuple[Key, float]] = []
    with httpx.Client(base_url=url + API, timeout=60) as client:
        for machine in machines:
            for name in SUFFIX:
                begin: str | None = "2000-01-01T00:00:00Z"
                while begin is not None:
                    answer = client.get(f"/signals/{signal_id(machine, name)}/history", params={"from": begin})
                    page = answer.raise_for_status().json()
                    rows = zip(page["time"], page["value"], strict=True)
                    found += [(Key(machine, name, milliseconds(stamp)), value) for stamp, value in rows]
                    begin = page.get("next")
    return dict(found), len(found) - len({key for key, _ in found})


def event_log(url: str) -> dict[int, Any]:
    """The whole log of events by number, read by pages."""
    found: dict[int, Any] = {}
    after = 0
    with httpx.Client(base_url=url + API, timeout=60) as client:
        while page := client.get("/events", params={"after": after}).raise_for_status().json()["events"]:
            found |= {event["seq"]: event for event in page}
            after = page[-1]["seq"]
    return found


class EventReader:
    """Follows the stream of events over every crash, and resumes with the number of the last one that it has."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event reader", daemon=True)
        self.seen: dict[int, Any] = {}
        self.last = 0
        self.gaps = 0
        self.doubled = 0
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(httpx.HTTPError):
                self._follow()
            time.sleep(0.05)

    def _follow(self) -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.last)}
        with httpx.stream("GET", f"{self._url}{API}/events", headers=headers, timeout=20) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self._take(json.loads(line[6:]))
                if self._stop.is_set():
                    return

    def _take(self, event: dict[str, Any]) -> None:
        seq = event["seq"]
        self.doubled += seq <= self.last
        self.gaps += max(seq - self.last - 1, 0)
        self.seen[seq] = event
        self.last = max(self.last, seq)

    def close(self) -> None:
        """Reads no more."""
        self._stop.set()

    def differing(self, log: dict[int, Any]) -> int:
        """How many events were shown and are not in the log, or not the same there."""
        return sum(log.get(seq) != event for seq, event in list(self.seen.items()))


class StateReader:
    """Looks at the latest values again and again: what it was shown must be in history for ever."""

    def __init__(self, url: str, machines: list[str]) -> None:
        self._url = url
        self._signals = [(machine, name) for machine in machines for name in SUFFIX]
        asked = (f's{i}: signal(id: "{signal_id(*signal)}") {{ time }}' for i, signal in enumerate(self._signals))
        self._query = "{ " + " ".join(asked) + " }"
        self._stop = threading.Event()
        self.seen: set[Key] = set()
        threading.Thread(target=self._run, name="state reader", daemon=True).start()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=10) as client:
            while not self._stop.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    self._look(client.post("/graphql", json={"query": self._query}).raise_for_status().json()["data"])
                time.sleep(0.1)

    def _look(self, data: dict[str, Any]) -> None:
        for number, (machine, name) in enumerate(self._signals):
            shown = data[f"s{number}"]
            if shown["time"] is not None:
                self.seen.add(Key(machine, name, milliseconds(shown["time"])))

    def close(self) -> None:
        """Looks no more."""
        self._stop.set()
