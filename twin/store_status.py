"""How an external store is doing: the state of its connection, and how far it is behind the journal."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from .times import format_time, now_ns


class StoreState(StrEnum):
    """Where a store stands. `catching_up`: connected, and behind by more than what has just come."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    RUNNING = "running"
    BACKOFF = "backoff"
    FAILED = "failed"


_ATTACHED = {StoreState.BACKOFF, StoreState.FAILED, StoreState.STOPPED, StoreState.CONNECTING}
_NEXT = {
    StoreState.STOPPED: {StoreState.CONNECTING},
    StoreState.CONNECTING: {
        StoreState.CATCHING_UP,
        StoreState.RUNNING,
        StoreState.BACKOFF,
        StoreState.FAILED,
        StoreState.STOPPED,
    },
    StoreState.CATCHING_UP: {StoreState.RUNNING, *_ATTACHED},
    StoreState.RUNNING: {StoreState.CATCHING_UP, *_ATTACHED},
    StoreState.BACKOFF: {StoreState.CONNECTING, StoreState.FAILED, StoreState.STOPPED},
    StoreState.FAILED: {StoreState.CONNECTING, StoreState.STOPPED},
}


class StoreStatus:
    """The state machine of one store, read by /health, /metrics and GraphQL.

    `since` [ns] is when it came into this state, `error` what keeps it from running. `position` is the journal entry
    that it has come to, `lag_entries` how many are behind that, `written` how many rows (or nodes) it has taken since
    the start. `gaps` are the ranges of entries (first, last) that it will never have. `drift` is in how many places
    somebody changed it by hand, noticed since `drift_since` [ns].
    """

    def __init__(self, name: str, type: str, address: str = "") -> None:
        self.name = name
        self.type = type
        self.address = address
        self.state = StoreState.STOPPED
        self.since = now_ns()
        self.error: str | None = None
        self.connects = 0
        self.position = 0
        self.lag_entries = 0
        self.written = 0
        self.gaps: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self.drift = 0
        self.drift_since: int | None = None

    def connecting(self) -> None:
        """It tries to reach the server; what went wrong last is still told."""
        self._become(StoreState.CONNECTING, self.error)

    def catching_up(self) -> None:
        """It is connected, and behind."""
        self._connected(StoreState.CATCHING_UP)

    def running(self) -> None:
        """It is connected, and as new as it can be."""
        self._connected(StoreState.RUNNING)

    def backoff(self, error: str) -> None:
        """It lost the server, or never reached it, and tries again."""
        self._become(StoreState.BACKOFF, error)

    def failed(self, error: str) -> None:
        """Trying again makes no sense before somebody changes something."""
        self._become(StoreState.FAILED, error)

    def stopped(self) -> None:
        """It was asked to end."""
        self._become(StoreState.STOPPED, None)

    def moved(self, position: int, last: int) -> None:
        """It holds the entries up to `position`; the journal's last is `last`."""
        self.position = position
        self.lag_entries = max(0, last - position)

    def drifted(self, places: int) -> None:
        """It was compared: somebody changed it by hand in so many places."""
        if not places:
            self.drift_since = None
        elif not self.drift:
            self.drift_since = now_ns()
        self.drift = places

    def _connected(self, state: StoreState) -> None:
        if self.state is StoreState.CONNECTING:
            self.connects += 1
        self._become(state, None)

    def _become(self, state: StoreState, error: str | None) -> None:
        self.error = error
        if state is self.state:
            return
        if state not in _NEXT[self.state]:
            raise RuntimeError(f"store {self.name}: a {self.state} store cannot become {state}")
        self.state = state
        self.since = now_ns()

    @property
    def healthy(self) -> bool:
        """Whether it does what it is there for."""
        return self.state in (StoreState.RUNNING, StoreState.CATCHING_UP, StoreState.STOPPED)

    def as_dict(self) -> dict[str, Any]:
        """For /health."""
        return {
            "name": self.name,
            "type": self.type,
            "address": self.address,
            "state": str(self.state),
            "since": format_time(self.since),
            "error": self.error,
            "connects": self.connects,
            "position": self.position,
            "lag_entries": self.lag_entries,
            "written": self.written,
            "gaps": [{"first": first, "last": last} for first, last in self.gaps],
            "notes": list(self.notes),
            "drift": self.drift,
            "drift_since": None if self.drift_since is None else format_time(self.drift_since),
        }


def store_reasons(statuses: Iterable[StoreStatus]) -> list[str]:
    """Why the service is degraded, as far as the stores are the cause."""
    reasons = []
    for status in statuses:
        if status.error:
            reasons.append(
                f"store {status.name} is in {status.state} since {format_time(status.since)}: {status.error}"
            )
        if status.drift_since is not None:
            reasons.append(
                f"store {status.name} was changed by hand in {status.drift} places, noticed at"
                f" {format_time(status.drift_since)}; `iotsense plan --from {status.name}` shows them"
            )
        reasons += [f"store {status.name} will never have the entries {a} to {b}" for a, b in status.gaps]
    return reasons
