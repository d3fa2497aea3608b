"""What the facades tell the audit log: changes, each of them; refusals and sessions, within bounds."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .access import LOCAL
from .audit_log import AuditLog
from .audit_record import OK, SERVICE, AuditDraft
from .errors import IoTSenseError, NotFoundError, StorageError
from .times import now_ns
from .twin import Twin

HERE = "this machine's socket"
WINDOW_S = 3600.0
AN_ADDRESS = 100
IN_ALL = 600
"""So many refusals are recorded within an hour, from one address and from all: nobody fills the disk with them."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for what, and where from."""

    by: str
    address: str
    what: str
    target: str | None = None
    asked: Any = None

    def draft(self, **more: Any) -> AuditDraft:
        """The record that it becomes, as of now."""
        given = {"target": self.target, "asked": self.asked} | more
        return AuditDraft(now_ns(), self.by, self.address or HERE, self.what, **given)


class _Bounds:
    """How many were recorded within the present hour, and how many were not."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._seen: Counter[str] = Counter()
        self._in_all = 0
        self.left_out = 0

    def take(self, name: str) -> int | None:
        """Whether there is room for another one: how many were left out before it; None if there is no room."""
        now = self._clock()
        if now - self._began >= WINDOW_S:
            self._began, self._in_all = now, 0
            self._seen.clear()
        if self._in_all >= IN_ALL or self._seen[name] >= AN_ADDRESS:
            self.left_out += 1
            return None
        self._in_all += 1
        self._seen[name] += 1
        left_out, self.left_out = self.left_out, 0
        return left_out


class AuditTrail:
    """The way into the audit log. log: the log itself."""

    def __init__(self, log: AuditLog, clock: Callable[[], float] = time.monotonic) -> None:
        self.log = log
        self._refusals = _Bounds(clock)
        self._sessions = _Bounds(clock)

    async def require_writable(self) -> None:
        """Raises StorageError if what is done now could not be recorded."""
        if self.log.trouble is not None:
            try:
                await asyncio.wrap_future(self.log.append(None))
            except StorageError as error:
                raise type(error)(f"changes are refused, since the audit log cannot be written: {error}") from error

    async def changed(self, asking: Asking, **more: Any) -> None:
        """Records what was done, durably. What cannot be written is owed, and told in /health."""
        with contextlib.suppress(StorageError):
            await asyncio.wrap_future(self.log.append(asking.draft(**more)))

    async def setting(self, asking: Asking, twin: Twin, signal: str, doing: Callable[[], Awaitable[Any]]) -> None:
        """Has a value set, and records it. Raises what setting raises, StorageError if it could not be recorded."""
        await self.require_writable()
        before, revision = wanted_value(twin, signal), twin.graph.revision
        told = {"before": before, "revisions": (revision, revision)}
        try:
            await doing()
        except BaseException as error:
            self.noted(asking, outcome=outcome_of(error), detail=str(error), **told)
            raise
        await self.changed(asking, after=wanted_value(twin, signal), **told)

    def noted(self, asking: Asking, **more: Any) -> None:
        """Records without waiting."""
        self.log.append(asking.draft(**more))

    def refused(self, asking: Asking, outcome: str, detail: str | None) -> None:
        """Records that somebody may not do that, unless too many were told so of late."""
        if (left_out := self._refusals.take(asking.address)) is not None:
            self.noted(asking, outcome=outcome, detail=detail, left_out=left_out)

    def session(self, asking: Asking) -> None:
        """Records that somebody came or went, unless the same key does so all the time."""
        if (left_out := self._sessions.take(asking.by)) is not None:
            self.noted(asking, left_out=left_out)

    async def done_by_itself(self, what: str, **more: Any) -> None:
        """Records what the service did without being asked."""
        await self.changed(Asking(SERVICE, SERVICE, what), **more)

    def end(self) -> None:
        """Records how many were left out at last; blocks until all is written, and closes the log."""
        left_out = self._refusals.left_out + self._sessions.left_out
        if left_out:
            self.noted(Asking(SERVICE, SERVICE, "leave out refusals and sessions"), left_out=left_out)
        self.log.close()


def record_here(data: Path, what: str, **more: Any) -> None:
    """Records what was done to a data directory that no service has; blocks. Raises StorageError."""
    log = AuditLog(data)
    try:
        log.append(Asking(LOCAL.name, LOCAL.name, what).draft(**more)).result()
    finally:
        log.close()


def wanted_value(twin: Twin, signal: str) -> Any:
    """What a signal shall be, before somebody sets it; None if that is not known."""
    with contextlib.suppress(NotFoundError):
        beside = twin.graph.desired_of(twin.graph.find_signal(signal))
        wanted = None if beside is None else twin.state.read(beside.index)
        return None if wanted is None else {"value": wanted.value}
    return None


def outcome_of(error: BaseException | None) -> str:
    """A word for how it ended that does not depend on the facade."""
    if error is None:
        return OK
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if not isinstance(error, IoTSenseError) or type(error) is IoTSenseError:
        return "error"
    return _word(type(error))


def _word(kind: type) -> str:
    name = kind.__name__.removesuffix("Error")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
