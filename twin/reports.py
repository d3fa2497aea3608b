"""Writing what people report: each call is one transaction, durable when it returns, and the same request is one event.

A later event of the same identity amends a report; one that names it in `retracts` takes it back. Where the begin or
the node is corrected, the old row is taken back and the report told anew under its identity, in one transaction: so no
old row is in the way of who asks for one node, or as of a time before the corrected begin. All calls block.
"""

import threading
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from .captured import captured
from .entry import EventDraft
from .errors import ConflictError, NotFoundError
from .installations import Installations, asset_of, removed
from .model import Event
from .past import Past
from .report import (
    INSTALLATION,
    RESERVED,
    Amendment,
    Report,
    check_data,
    check_report,
    check_span,
    identity_of,
    max_ahead,
    request_mark,
    same_content,
    same_key,
)
from .times import format_time, now_ns

if TYPE_CHECKING:
    from .twin import Twin


class Reports:
    """What was reported to a twin. `key` is the client's: a request that comes again with it is the same request."""

    def __init__(self, twin: "Twin", past: Past) -> None:
        self._twin = twin
        self._past = past
        self._installations = Installations(twin)
        # One at a time: what is amended must not change between the look and the write.
        self._turn = threading.RLock()

    def report(self, report: Report, key: str | None = None) -> Event:
        """Tells of an event; raises InvalidValueError, NotFoundError, ConflictError (its id or key is another's)."""
        check_report(report)
        mark = request_mark(key, report)
        with self._turn:
            identity = identity_of(report, key)
            known = self._past.told(identity) if key is not None or report.id is not None else []
            if known:
                if not same_content(known[0], mark):
                    raise ConflictError(f"{identity} was reported already, and differently; amend it instead")
                return known[0]
            data = {} if key is None and report.id is None else {"request": mark}
            return self._tell(self._draft(report, identity, data))

    def amend(self, id: str, change: Amendment, key: str | None = None) -> Event:
        """Corrects a report, or gives its end; `id` is its identity or the number of any of its events."""
        mark = request_mark(key, change)
        with self._turn:
            rows = self._rows(id)
            if known := _repeated(rows, mark):
                return known
            newest = rows[-1]
            if newest.retracts is not None:
                raise ConflictError(f"{newest.identity} was taken back; report it anew")
            draft = self._amended(newest, change)
            if _same(draft, newest):
                return newest
            if key is not None:
                draft.data["request"] = mark
            return self._tell(draft, newest)

    def retract(self, id: str, reason: str | None = None, key: str | None = None) -> Event:
        """Takes a report back; taking back what was taken back changes nothing."""
        mark = request_mark(key, reason if reason is None else f"retract {reason}")
        with self._turn:
            rows = self._rows(id)
            if known := _repeated(rows, mark):
                return known
            newest = rows[-1]
            if newest.retracts is not None:
                return newest
            data = {name: value for name, value in newest.data.items() if name != "request"}
            data |= {} if reason is None else {"retraction": reason}
            data |= {} if key is None else {"request": mark}
            return self._tell(_retraction(newest, data))

    def remove(
        self,
        time: int | None = None,
        *,
        node: str | None = None,
        serial_number: str | None = None,
        maker: str | None = None,
        reason: str | None = None,
        key: str | None = None,
    ) -> Event:
        """Ends the stay of what is installed at a node, or of an asset, at `time` [ns], now unless told.

        Raises NotFoundError if there is none, ConflictError if several fit.
        """
        place = None if node is None else self._twin.graph.find(node).key
        with self._turn:
            stays = [
                event
                for event in self._installations.standing()
                if place in (None, event.node)
                and serial_number in (None, asset_of(event).serial_number)
                and maker in (None, asset_of(event).maker)
            ]
            at = now_ns() if time is None else time
            change = Amendment(until=at, reason=UNSET if reason is None else reason)
            if key is not None:
                # The key counts, not the instant: a request without one means another now each time.
                mark = request_mark(key, None)
                for event in stays:
                    if known := _repeated(self._past.told(event.identity or ""), mark, content=False):
                        return known
            there = [e for e in stays if e.time <= at and (e.until is None or e.until > at)]
            if len(there) != 1:
                raise _none_or_several(there, node or serial_number, at)
            return self.amend(str(there[0].identity), change, key)

    def find(self, id: str) -> Event:
        """The row of a report that counts, by its identity or the number of any of its events."""
        return self._rows(id)[-1]

    def known(self, identity: str) -> bool:
        """Whether anything was reported under this identity."""
        return bool(self._past.told(identity))

    # What is written

    def _draft(self, report: Report, identity: str, data: dict[str, Any]) -> EventDraft:
        graph = self._twin.graph
        node = graph.find(report.node)
        now = now_ns()
        time = now if report.time is None else report.time
        check_span(time, report.until, now + max_ahead(graph))
        if report.reason is not None:
            data["reason"] = report.reason
        if report.values:
            data["values"] = {name: value for name, value in report.values.items() if value is not None}
        if report.capture is not None:
            data["capture"] = list(report.capture)
        if report.asset is not None:
            data |= {n: v for n in report.asset.__struct_fields__ if (v := getattr(report.asset, n)) is not None}
            data |= {} if report.until is None else {"removed": format_time(report.until)}
        if begin := captured(self._twin, node, time, report.capture):
            data["captured"] = {"begin": begin}
        self._capture_end(data, node.key, time, report.until)
        return EventDraft(time, report.kind, node.key, report.until, data, identity)

    def _amended(self, event: Event, change: Amendment) -> EventDraft:
        graph = self._twin.graph
        node = event.node if change.node is UNSET else graph.find(change.node).key
        time = event.time if change.time is UNSET else change.time
        until = event.until if change.until is UNSET else change.until
        # The end of a stay follows from other installations unless it was reported; then it is settled when told.
        told = removed(event) if event.kind == INSTALLATION and change.until is UNSET else until
        check_span(time, told, now_ns() + max_ahead(graph))
        data = {name: value for name, value in event.data.items() if name != "request"}
        if change.reason is not UNSET:
            _put(data, "reason", change.reason)
        values = data.get("values", {}) | change.values
        _put(data, "values", {name: value for name, value in values.items() if value is not None} or None)
        if event.kind == INSTALLATION and change.until is not UNSET:
            _put(data, "removed", None if change.until is None else format_time(change.until))
        place = None if node is None else graph.node_map.get(node)
        if (node, time) != (event.node, event.time) and place is not None:
            begin = captured(self._twin, place, time, data.get("capture"), strict=False)
            data["captured"] = data.get("captured", {}) | {"begin": begin}
        if (node, until) != (event.node, event.until):
            self._capture_end(data, node, time, until)
        return EventDraft(time, event.kind, node, until, data, event.identity)

    def _capture_end(self, data: dict[str, Any], node: int | None, time: int, until: int | None) -> None:
        kept = {name: value for name, value in data.get("captured", {}).items() if name != "end"}
        place = None if node is None else self._twin.graph.node_map.get(node)
        if until is not None and until > time and place is not None:
            end = captured(self._twin, place, until, data.get("capture"), strict=False)
            kept |= {"end": end} if end else {}
        _put(data, "captured", kept or None)

    def _tell(self, draft: EventDraft, before: Event | None = None) -> Event:
        check_data(draft.data)
        drafts = [draft]
        if before is not None and (before.time, before.node) != (draft.time, draft.node):
            drafts.insert(0, _retraction(before, before.data))
        if draft.kind == INSTALLATION:
            drafts, moved = self._installations.settled(drafts)
            last = drafts.pop()
            self._capture_end(last.data, last.node, last.time, last.until)
            drafts += [*(self._moved(event, until) for event, until in moved), last]
        self._twin.record(drafts)
        return self._past.told(draft.identity or "")[-1]

    def _moved(self, event: Event, until: int | None) -> EventDraft:
        data = {name: value for name, value in event.data.items() if name != "request"}
        self._capture_end(data, event.node, event.time, until)
        return EventDraft(event.time, event.kind, event.node, until, data, event.identity)

    def _rows(self, id: str) -> list[Event]:
        rows = self._past.told(self._identity(int(id)) if id.isdecimal() else id)
        if not rows:
            raise NotFoundError(f"nothing was reported under the id {id!r}")
        if rows[-1].kind in RESERVED:
            raise ConflictError(f"{id} is of the kind {rows[-1].kind}, which nobody reported")
        return rows

    def _identity(self, seq: int) -> str:
        found = self._past.events(seq - 1, 1, None, None, False) if seq > 0 else []
        if not found or found[0].seq != seq:
            raise NotFoundError(f"there is no event {seq}")
        if found[0].identity is None:
            raise ConflictError(f"event {seq} is of the kind {found[0].kind}, which nobody reported")
        return found[0].identity


def _repeated(rows: list[Event], mark: str, *, content: bool = True) -> Event | None:
    """The last row that the same request wrote; raises ConflictError if the key came with something else."""
    found = [row for row in rows if same_key(row, mark)]
    if found and content and not same_content(found[-1], mark):
        raise ConflictError("the idempotency key was used for another request about this event")
    return found[-1] if found else None


def _retraction(event: Event, data: dict[str, Any]) -> EventDraft:
    return EventDraft(event.time, event.kind, event.node, event.until, data, event.identity, event.seq)


def _same(draft: EventDraft, event: Event) -> bool:
    was = {name: value for name, value in event.data.items() if name != "request"}
    given = (draft.time, draft.node, draft.until, draft.data)
    return given == (event.time, event.node, event.until, was)


def _put(data: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        data.pop(name, None)
    else:
        data[name] = value


def _none_or_several(there: list[Event], what: str | None, at: int) -> NotFoundError | ConflictError:
    if not there:
        return NotFoundError(f"nothing is known to be installed at {format_time(at)} that goes by {what!r}")
    return ConflictError(f"several assets go by {what!r}: {', '.join(str(asset_of(event)) for event in there)}")
