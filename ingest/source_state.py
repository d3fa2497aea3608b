"""How a source is doing: the state of its connection, and numbers that add up."""

from enum import StrEnum
from typing import Any

import msgspec

from ..twin.times import format_time, now_ns


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
    """What became of a source's messages and readings since the start. Both accounts add up:

    received = accepted + duplicate + refused + those that wait, in messages (accepted + duplicate are acknowledged);
    read = stored + dead_lettered + unstored, in readings; a payload that cannot be parsed counts as one.
    """

    received: int = 0
    received_bytes: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    read: int = 0
    stored: int = 0
    dead_lettered: int = 0
    unstored: int = 0
    ahead: int = 0
    last_received: int = 0

    @property
    def acknowledged(self) -> int:
        """Messages that the source was told we have."""
        return self.accepted + self.duplicate

    @property
    def waiting(self) -> int:
        """Messages that are neither acknowledged nor refused yet."""
        return self.received - self.accepted - self.duplicate - self.refused


class SourceStatus:
    """The state machine of one source's connection, with its counters. Read by /health, /metrics and GraphQL."""

    def __init__(self, name: str, protocol: str = "", address: str = "") -> None:
        self.name = name
        self.protocol = protocol
        self.address = address
        self.state = SourceState.STOPPED
        self.since = now_ns()
        self.error: str | None = None
        self.connects = 0
        self.retry_at: int | None = None
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
            "connects": self.connects,
            **{field: getattr(counters, field) for field in counters.__struct_fields__ if field != "last_received"},
            "last_received": format_time(counters.last_received) if counters.last_received else None,
        }
