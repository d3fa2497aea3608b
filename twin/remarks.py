"""What people say about an anomaly: that somebody has seen it, and comments.

All of it is one event of the kind `anomaly_remarks`, told anew with each remark under one identity and at the time of
that remark: so what was said by any instant is in the newest event that had happened by then, and the anomaly's own
events stay what rules alone tell. An anomaly that late readings move has another identity, and begins without remarks.
"""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .anomalies import anomaly
from .as_of import AsOf
from .entry import EventDraft
from .errors import ConflictError, InvalidValueError, ReusedKeyError
from .model import Event
from .report import MAX_DATA, request_mark, same_content, same_key
from .times import format_time, now_ns, parse_time

if TYPE_CHECKING:
    from .twin import Twin

REMARKS = "anomaly_remarks"
IDENTITY = "remarks:"
"""Before the anomaly's identity."""
LONGEST = 2_000
"""Characters of a comment."""


class Comment(NamedTuple):
    """What somebody (`by`) said at a time [ns]."""

    by: str
    time: int
    text: str


class Remarks(msgspec.Struct, frozen=True):
    """All that was said about an anomaly; who has seen it when [ns], if somebody has."""

    acknowledged_by: str | None = None
    acknowledged_at: int | None = None
    comments: tuple[Comment, ...] = ()

    @classmethod
    def of(cls, event: Event | None) -> "Remarks":
        """Those that an event tells; none without one."""
        if event is None:
            return cls()
        seen = event.data.get("acknowledged")
        said = [Comment(each["by"], parse_time(each["time"]), each["text"]) for each in event.data.get("comments", ())]
        return cls(seen and seen["by"], seen and parse_time(seen["time"]), tuple(said))

    def data(self) -> dict[str, Any]:
        """As the event tells them."""
        told: dict[str, Any] = {}
        if self.acknowledged_by is not None and self.acknowledged_at is not None:
            told["acknowledged"] = {"by": self.acknowledged_by, "time": format_time(self.acknowledged_at)}
        said = [each._asdict() | {"time": format_time(each.time)} for each in self.comments]
        return told | ({"comments": said} if said else {})


NONE = Remarks()


class Remarked(NamedTuple):
    """An anomaly, by the event that last told of it, and what is said about it."""

    anomaly: Event
    remarks: Remarks


class _Wanted(msgspec.Struct, frozen=True):
    """What makes two requests the same."""

    acknowledge: bool
    comment: str | None


def remarks_of(plant: AsOf, anomalies: Iterable[str]) -> dict[str, Remarks]:
    """What was said about anomalies, by their identity, from one look at the log; blocks. Only where something was."""
    asked = [IDENTITY + identity for identity in anomalies]
    told = plant.told_of(asked) if asked else {}
    return {id.removeprefix(IDENTITY): Remarks.of(rows[-1]) for id, rows in told.items() if rows}


class AnomalyRemarks:
    """Writing them: each call is one event, durable when it returns; all block.

    `by` is whoever was proven to ask. `key` is the client's: a request that comes again with it is the same request.
    Raises NotFoundError, ConflictError (the anomaly was taken back, or there is no room), InvalidValueError,
    ReusedKeyError, StorageError.
    """

    def __init__(self, twin: "Twin", look: Callable[[], AsOf] | None = None) -> None:
        self._twin = twin
        self._look = look or twin.as_of
        # One at a time: what is told anew must not change between the look and the write.
        self._turn = threading.RLock()

    def within(self, look: Callable[[], AsOf]) -> "AnomalyRemarks":
        """The same for those who see only a part of the plant."""
        part = AnomalyRemarks(self._twin, look)
        part._turn = self._turn
        return part

    def acknowledge(self, id: str, by: str, comment: str | None = None, key: str | None = None) -> Remarked:
        """Somebody has seen it; the first who says so counts. `id`: its identity, or the number of one of its events.

        A comment that comes along is one more, whoever was the first.
        """
        return self._say(id, by, _Wanted(True, comment), key)

    def comment(self, id: str, by: str, text: str, key: str | None = None) -> Remarked:
        """Somebody says something about it."""
        return self._say(id, by, _Wanted(False, text), key)

    def _say(self, id: str, by: str, wanted: _Wanted, key: str | None) -> Remarked:
        _check(wanted.comment)
        mark = request_mark(key, wanted, by)
        with self._turn:
            plant = self._look()
            about = anomaly(plant, id)
            identity = IDENTITY + str(about.identity)
            rows = plant.told_of([identity])[identity]
            if rows and (known := _repeated(rows, mark)) is not None:
                return Remarked(about, Remarks.of(known))
            if about.retracts is not None:
                raise ConflictError(f"anomaly {about.identity} was taken back: there is nothing to say about it")
            before = Remarks.of(rows[-1] if rows else None)
            # A clock that was set back must not put a remark before those that it adds to.
            now = max(now_ns(), rows[-1].time if rows else 0)
            after = _with(before, by, now, wanted)
            if after != before:
                self._twin.record([_draft(about, after, now, None if key is None else mark)])
            return Remarked(about, after)


def _check(text: str | None) -> None:
    if text is None:
        return
    if not text.strip():
        raise InvalidValueError("a comment says something", "comment")
    if len(text) > LONGEST:
        raise InvalidValueError(f"a comment has up to {LONGEST:,} characters, not {len(text):,}", "comment")


def _with(before: Remarks, by: str, now: int, wanted: _Wanted) -> Remarks:
    after = before
    if wanted.acknowledge and before.acknowledged_by is None:
        after = msgspec.structs.replace(after, acknowledged_by=by, acknowledged_at=now)
    if wanted.comment is not None:
        after = msgspec.structs.replace(after, comments=(*after.comments, Comment(by, now, wanted.comment)))
    return after


def _draft(about: Event, remarks: Remarks, now: int, mark: str | None) -> EventDraft:
    named: dict[str, Any] = {n: about.data[n] for n in ("rule", "signal", "signal_id") if n in about.data}
    data: dict[str, Any] = {"anomaly": about.identity, **named, **remarks.data()}
    data |= {} if mark is None else {"request": mark}
    if len(msgspec.json.encode(data)) > MAX_DATA:
        raise ConflictError(f"there is no more room for comments on anomaly {about.identity}")
    # It has an end, so that it is nothing that has begun and not ended.
    return EventDraft(now, REMARKS, about.node, now, data, IDENTITY + str(about.identity))


def _repeated(rows: list[Event], mark: str) -> Event | None:
    """What the same request wrote; raises ReusedKeyError if the key came with something else."""
    found = next((row for row in rows if same_key(row, mark)), None)
    if found is not None and not same_content(found, mark):
        raise ReusedKeyError("the idempotency key was used for another remark about this anomaly")
    return found
