"""Events that people report: written, amended and taken back, each as an event of the log that names the one before."""

import secrets
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from .assets import installed_around, stays
from .entry import EventDraft
from .errors import ConflictError, InvalidValueError, NotFoundError
from .model import Event
from .report_capture import captured
from .report_words import CAPTURED, INSTALLATION, RESERVED, Amendment, Report, check_data, check_kind
from .times import format_time, now_ns, parse_time
from .twin import Twin

MAX_AHEAD_NS = 600_000_000_000
ENDED_BY = "ended_by"
_PREFIX = "report:"


def reports_of(twin: Twin) -> "Reports":
    """The reports of a twin: one for all who write them, so that each looks before it adds."""
    with _one:
        return _known.setdefault(twin, Reports(twin))


class Reports:
    """What people report about a twin. All methods block; each is durable when it returns."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._lock = threading.Lock()  # what is there is looked at before something is added

    def report(self, report: Report, key: str | None = None) -> Event:
        """A new event; with a `key` (of the caller's) that was used before, the event that it made then.

        Raises InvalidValueError, NotFoundError, ConflictError (the key was used for something else), StorageError.
        """
        check_kind(report.kind)
        with self._lock:
            identity = f"{_PREFIX}{key or secrets.token_hex(8)}"
            drafts = self._drafts(report, identity)
            known = self._newest(identity) if key else None
            if known is not None:
                if (known.kind, known.node) != (drafts[-1].kind, drafts[-1].node):
                    raise ConflictError(f"the key {key!r} was used for a {known.kind} already")
                return known
            return self._record(drafts)

    def amend(self, name: str, amendment: Amendment) -> Event:
        """The event (by its id or number) as it is to be; raises as `report`, NotFoundError if there is none."""
        with self._lock:
            event = self.find(name)
            if event.retracts is not None:
                raise ConflictError(f"{name} was retracted")
            time = event.time if amendment.time is None else _time(amendment.time, "time")
            until = event.until if amendment.until is None else _time(amendment.until, "until")
            _check_span(time, until)
            told = {key: value for key, value in event.data.items() if key not in CAPTURED}
            told |= amendment.data | _given(reason=amendment.reason, by=amendment.by)
            check_data(event.kind, told)
            told |= {key: event.data[key] for key in CAPTURED if key in event.data}
            told |= self._captured(event.node, time, until, self._captured_before(event), event)
            drafts = [EventDraft(time, event.kind, event.node, until, told, event.identity)]
            if time != event.time:
                drafts = [*self._ended_by(event, time), *drafts]
            return self._record(drafts)

    def retract(self, name: str, reason: str | None = None, by: str | None = None) -> Event:
        """Takes an event back (by its id or number): the event that says so. Raises NotFoundError, ConflictError."""
        with self._lock:
            event = self.find(name)
            if event.retracts is not None:
                raise ConflictError(f"{name} was retracted already")
            draft = EventDraft(
                event.time,
                event.kind,
                event.node,
                data=_given(reason=reason, by=by),
                identity=event.identity,
                retracts=event.seq,
            )
            return self._record([*self._ended_by(event, event.until), draft])

    def find(self, name: str) -> Event:
        """The newest state of a reported event, by its id or the number of any of its rows. Raises NotFoundError."""
        event = self._newest(name) or self._newest(f"{_PREFIX}{name}")
        if event is None and name.isdecimal():
            numbered = self._twin.events(int(name) - 1, 1)
            if numbered and numbered[0].seq == int(name) and numbered[0].identity:
                event = self._newest(numbered[0].identity)
        if event is None:
            raise NotFoundError(f"no event is called {name!r}")
        if event.kind in RESERVED:
            raise InvalidValueError(f"event {event.seq} is the service's own ({event.kind})", "id")
        return event

    def _newest(self, identity: str) -> Event | None:
        return self._twin.event(identity)

    def _drafts(self, report: Report, identity: str) -> list[EventDraft]:
        time = now_ns() if report.time is None else _time(report.time, "time")
        until = None if report.until is None else _time(report.until, "until")
        _check_span(time, until)
        node = self._twin.graph.find(report.node).key
        told = dict(report.data) | _given(reason=report.reason, by=report.by)
        check_data(report.kind, told)
        ended: list[EventDraft] = []
        if report.kind == INSTALLATION:
            ended, until = self._others(node, told["serial_number"], time, until, identity)
        told |= self._captured(node, time, until, report.capture)
        return [*ended, EventDraft(time, report.kind, node, until, told, identity)]

    def _others(
        self, node: int, serial: str, time: int, until: int | None, identity: str
    ) -> tuple[list[EventDraft], int | None]:
        """What an installation ends, and where the next one there ends it."""
        before, after = installed_around(self._twin.as_of(), node, serial, time)
        if any(event.time == time and event.identity != identity for event in before):
            raise ConflictError(f"something was installed at {format_time(time)} already; retract or amend that")
        ended = [
            EventDraft(event.time, event.kind, event.node, time, event.data | {ENDED_BY: identity}, event.identity)
            for event in before
            if event.identity != identity and (event.until is None or event.until > time)
        ]
        nexts = [event.time for event in after if event.identity != identity]
        return ended, min([*nexts, *([] if until is None else [until])], default=None)

    def _ended_by(self, event: Event, until: int | None) -> list[EventDraft]:
        """What an installation ended ends elsewhen if that is amended or taken back."""
        if event.kind != INSTALLATION:
            return []
        found = [stay.event for stay in stays(self._twin.as_of())]
        return [
            EventDraft(each.time, each.kind, each.node, until, each.data, each.identity)
            for each in found
            if each.data.get(ENDED_BY) == event.identity and (until is None or until > each.time)
        ]

    def _captured(
        self, node: int | None, time: int, until: int | None, signals: Sequence[str] | None, known: Event | None = None
    ) -> dict[str, Any]:
        """`at_begin` and `at_end`, those that are not known for these times yet."""
        found: dict[str, Any] = {}
        if node is None or signals == []:
            return found
        for name, moment, before in (
            (CAPTURED[0], time, None if known is None else known.time),
            (CAPTURED[1], until, None if known is None else known.until),
        ):
            if moment is not None and moment != before:
                found[name] = captured(self._twin.graph, self._twin.as_of(time=moment), node, signals)
        return found

    @staticmethod
    def _captured_before(event: Event) -> list[str] | None:
        """The signals that were captured at the beginning are captured at the end."""
        known = event.data.get(CAPTURED[0])
        return list(known) if known else [] if known is None else None

    def _record(self, drafts: Sequence[EventDraft]) -> Event:
        self._twin.record(drafts)
        identity = drafts[-1].identity
        assert identity is not None
        made = self._newest(identity)
        assert made is not None
        return made


def _given(**told: str | None) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def _time(text: str, field: str) -> int:
    try:
        moment = parse_time(text)
    except InvalidValueError as error:
        raise InvalidValueError(str(error), field) from None
    if moment > now_ns() + MAX_AHEAD_NS:
        raise InvalidValueError(f"{field}, {text}, is in the future: report what has happened", field)
    return moment


def _check_span(time: int, until: int | None) -> None:
    if until is not None and until <= time:
        raise InvalidValueError(
            f"until, {format_time(until)}, is not after the beginning, {format_time(time)}", "until"
        )


_one = threading.Lock()
_known: "weakref.WeakKeyDictionary[Twin, Reports]" = weakref.WeakKeyDictionary()
