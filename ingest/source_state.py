"""How a source is doing: the state of its connection, and numbers that add up."""

from enum import StrEnum
from typing import Any

import msgspec

from ..twin.counts import SourceCounts
from ..twin.times import NS, format_time, now_ns
from .throughput import Throughput


class SourceState(StrEnum):
    """Where a source's connection stands."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    RUNNING = "running"
    BACKOFF = "backoff"
    FAILED = "failed"


_NEXT = {
    SourceState.STOPPED: {SourceState.CONNECTING, SourceState.RUNNING},
    SourceState.CONNECTING: {SourceState.RUNNING, SourceState.BACKOFF, SourceState.FAILED, SourceState.STOPPED},
    SourceState.RUNNING: {SourceState.BACKOFF, SourceState.FAILED, SourceState.STOPPED, SourceState.CONNECTING},
    SourceState.BACKOFF: {SourceState.CONNECTING, SourceState.FAILED, SourceState.STOPPED},
    SourceState.FAILED: {SourceState.CONNECTING, SourceState.STOPPED},
}


class SourceCounters(msgspec.Struct):
    """What became of a source's messages and readings since the data directory was made; restarts go on counting.

    Three accounts add up: received = acknowledged + refused + waiting, where acknowledged = accepted + duplicate, in
    messages; read = stored + dead_lettered + unstored + suppressed, in readings (a payload that cannot be parsed counts
    as one);
    stored = applied + superseded + late (see `twin.counts`).
    Beside them: when the last message came and the newest time of the last readings [ns], and how many become durable
    a second.
    """

    received: int = 0
    received_bytes: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    stored: int = 0
    applied: int = 0
    superseded: int = 0
    late: int = 0
    dead_lettered: int = 0
    unstored: int = 0
    ahead: int = 0
    suppressed: int = 0
    last_received: int = 0
    newest: int = 0
    messages: Throughput = msgspec.field(default_factory=Throughput)
    readings: Throughput = msgspec.field(default_factory=Throughput)

    @classmethod
    def since(cls, durable: SourceCounts) -> "SourceCounters":
        """Goes on from what the journal knows. What was received and never became durable died with its process."""
        counters = cls(
            received=durable.received,
            received_bytes=durable.received_bytes,
            refused=durable.refused,
            unstored=durable.unstored,
        )
        counters._take(durable)
        return counters

    def follow(self, durable: SourceCounts) -> None:
        """Takes over what is durable now. Receiving and refusing are counted here, as they happen."""
        self.messages.add(durable.accepted - self.accepted)
        self.readings.add(durable.stored - self.stored)
        self._take(durable)

    def _take(self, durable: SourceCounts) -> None:
        self.accepted, self.duplicate = durable.accepted, durable.duplicate
        self.stored, self.dead_lettered, self.ahead = durable.stored, durable.dead_lettered, durable.ahead
        self.applied, self.superseded, self.late = durable.applied, durable.superseded, durable.late
        self.suppressed = durable.suppressed

    @property
    def acknowledged(self) -> int:
        """Messages that the source was told we have."""
        return self.accepted + self.duplicate

    @property
    def waiting(self) -> int:
        """Messages that are neither acknowledged nor refused yet."""
        return self.received - self.accepted - self.duplicate - self.refused

    @property
    def read(self) -> int:
        """Measurements in the messages, those of a dead letter that was taken in again included."""
        return self.stored + self.dead_lettered + self.unstored + self.suppressed

    @property
    def adds_up(self) -> bool:
        """Whether no message and no reading is unaccounted for."""
        return self.waiting >= 0 and self.stored == self.applied + self.superseded + self.late

    @property
    def lag(self) -> float | None:
        """How old the newest of the last readings was when it came [s]; None before there was any."""
        return max(0.0, (self.last_received - self.newest) / NS) if self.newest and self.last_received else None

    def numbers(self) -> dict[str, int]:
        """All counts by name, as every facade shows them."""
        return {name: getattr(self, name) for name in COUNTERS}


COUNTERS = {
    "received": "Messages that came",
    "received_bytes": "Bytes that came",
    "acknowledged": "Messages that their source was told we have: accepted + duplicate",
    "accepted": "Messages that became durable",
    "duplicate": "Messages that had been taken in before",
    "refused": "Messages that storage refused; they were not acknowledged",
    "waiting": "Messages that are neither acknowledged nor refused yet",
    "read": "Measurements in the messages",
    "stored": "Measurements that became readings",
    "applied": "Readings that became the latest of their signal",
    "superseded": "Readings that corrected the latest of their signal, at the same time",
    "late": "Readings older than the latest of their signal: history only",
    "dead_lettered": "Measurements that went to the dead letters",
    "unstored": "Measurements of messages that storage refused",
    "suppressed": "Readings that reporting left out",
    "ahead": "Readings whose time was too far in the future",
}
"""The counters of a source and their meanings."""


class SourceStatus:
    """The state machine of one source's connection, with its counters. Read by /health, /metrics and GraphQL.

    `error` is what is wrong now; `last_error` stays, with its time, when that has passed. stretched: polls that were
    left out because those before them took too long. remarks: what somebody should know though the connection runs:
    points that the source does not have, a certificate that expires.
    """

    def __init__(self, name: str, protocol: str = "", address: str = "") -> None:
        self.name = name
        self.protocol = protocol
        self.address = address
        self.state = SourceState.STOPPED
        self.since = now_ns()
        self.error: str | None = None
        self.last_error: str | None = None
        self.last_error_at: int | None = None
        self.connects = 0
        self.retry_at: int | None = None
        self.stretched = 0
        self.remarks: tuple[str, ...] = ()
        self.counters = SourceCounters()

    def connecting(self) -> None:
        """It tries to reach its peer."""
        self._become(SourceState.CONNECTING, self.error)

    def running(self) -> None:
        """It is connected and receives."""
        self.connects += 1
        self._become(SourceState.RUNNING, None)

    def backoff(self, error: str, retry_at: int | None = None) -> None:
        """It lost its peer, or never reached it, and will try again at `retry_at` [ns]."""
        self._become(SourceState.BACKOFF, error)
        self.retry_at = retry_at

    def failed(self, error: str) -> None:
        """It gave up: trying again makes no sense before somebody changes something."""
        self._become(SourceState.FAILED, error)

    def stopped(self) -> None:
        """It was asked to end."""
        self._become(SourceState.STOPPED, None)

    def _become(self, state: SourceState, error: str | None) -> None:
        self.error = error
        self.retry_at = None
        if error is not None and state in (SourceState.BACKOFF, SourceState.FAILED):
            self.last_error, self.last_error_at = error, now_ns()
        if state is self.state:
            return
        if state not in _NEXT[self.state]:
            raise RuntimeError(f"source {self.name}: a {self.state} source cannot become {state}")
        self.state = state
        self.since = now_ns()

    @property
    def healthy(self) -> bool:
        """Whether it does what it is there for."""
        return self.state in (SourceState.RUNNING, SourceState.STOPPED)

    def as_dict(self) -> dict[str, Any]:
        """For /health: state, since when, the last error, and the counters."""
        counters = self.counters
        return {
            "name": self.name,
            "protocol": self.protocol,
            "address": self.address,
            "state": str(self.state),
            "since": format_time(self.since),
            "error": self.error,
            "last_error": self.last_error,
            "last_error_at": _time(self.last_error_at),
            "next_attempt": _time(self.retry_at),
            "remarks": list(self.remarks),
            "connects": self.connects,
            "stretched": self.stretched,
            "lag_s": counters.lag,
            "messages_per_s": round(counters.messages.rate, 3),
            "readings_per_s": round(counters.readings.rate, 3),
            **counters.numbers(),
            "last_received": _time(counters.last_received),
        }


def _time(ns: int | None) -> str | None:
    return format_time(ns) if ns else None
