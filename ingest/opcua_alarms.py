"""Alarms and conditions of an OPC UA server as events of the twin.

One event for each time that a condition is active: `until` is when it became inactive, and each change of it
(acknowledged, another severity) amends the event. Its identity is the condition and when it became active.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..twin.define_opcua import OpcUaConnection
from ..twin.entry import EventDraft
from ..twin.errors import SourceError
from ..twin.model import Event, Level
from ..twin.times import datetime_to_ns, now_ns
from ..twin.twin import Twin
from .address_book import AddressBook
from .opcua_changes import plain
from .opcua_errors import explain, translated
from .opcua_memory import Subscription
from .opcua_session import OpcUaSession
from .opcua_subscribing import create_items, create_subscription

KIND = "alarm"
"""The kind of the events."""
HANDLE = 0xFFFF_0000
_EVENT_NOTIFIER = 12
_PUBLISHING_MS = 500.0
_QUEUE = 1000
# BaseEventType, ConditionType, AlarmConditionType, AcknowledgeableConditionType
_BASE, _CONDITION, _ALARM, _ACKNOWLEDGEABLE = 2041, 2782, 2915, 2881
_REFRESH = (2782, 3875)  # ConditionType.ConditionRefresh
_REFRESH_START, _REFRESH_END = "i=2787", "i=2788"
# Name of a field, the type that has it, the path to it. The first clause is the condition's node id itself.
_FIELDS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("event_type", _BASE, ("EventType",)),
    ("source_node", _BASE, ("SourceNode",)),
    ("source", _BASE, ("SourceName",)),
    ("time", _BASE, ("Time",)),
    ("message", _BASE, ("Message",)),
    ("severity", _BASE, ("Severity",)),
    ("condition", _CONDITION, ("ConditionName",)),
    ("branch", _CONDITION, ("BranchId",)),
    ("retain", _CONDITION, ("Retain",)),
    ("comment", _CONDITION, ("Comment",)),
    ("acknowledged", _ACKNOWLEDGEABLE, ("AckedState", "Id")),
    ("active", _ALARM, ("ActiveState", "Id")),
    ("active_since", _ALARM, ("ActiveState", "TransitionTime")),
)
_TOLD = ("source", "message", "severity", "condition", "comment")


class Alarms:
    """Those of one source. `take` raises StorageError if the twin cannot keep them."""

    def __init__(self, source: str, settings: OpcUaConnection, twin: Twin) -> None:
        self._source = source
        self._settings = settings
        self._twin = twin
        self._book = AddressBook(twin.graph)
        self._namespaces: list[str] = []
        self._mentioned: set[str] | None = None
        self.subscribed = False
        self.remarks: list[str] = []

    async def subscribe(self, session: OpcUaSession) -> Subscription:
        """Subscribes to the events, and has the server tell those that stand; raises SourceError."""
        from asyncua import ua

        interval = min(self._settings.publishing_interval_ms, _PUBLISHING_MS)
        subscription = await create_subscription(session, self._settings, interval)
        self._namespaces = session.namespaces
        node = session.node_id(self._settings.alarm_source)
        parameters = ua.MonitoringParameters(HANDLE, 0.0, _filter(), _QUEUE, True)
        value = ua.ReadValueId(node, ua.AttributeIds(_EVENT_NOTIFIER))
        item = ua.MonitoredItemCreateRequest(value, ua.MonitoringMode.Reporting, parameters)
        result = (await create_items(session, subscription, [item]))[0]
        if not result.StatusCode.is_good():
            raise SourceError(f"alarms of {self._settings.alarm_source}: {explain(result.StatusCode.value)}")
        self.subscribed = True
        if (reason := await _refresh(session, subscription)) is not None:
            self.remarks.append(f"alarms that stood before we came are not known: {reason}")
        return subscription

    def go_on(self, session: OpcUaSession) -> None:
        """The subscription of an earlier session goes on."""
        self._namespaces = session.namespaces
        self.subscribed = True

    async def take(self, events: Sequence[tuple[int, list[Any]]]) -> None:
        """Records what happened to conditions; durable when it returns."""
        for handle, fields in events:
            if handle == HANDLE and len(fields) == len(_FIELDS) + 1:
                # One by one: what an event means depends on those before it.
                drafts = await asyncio.to_thread(self._drafts, [plain_field(field) for field in fields])
                if drafts:
                    await self._twin.record_async(drafts)

    def _drafts(self, fields: Sequence[Any]) -> list[EventDraft]:
        condition, told = fields[0], dict(zip((name for name, _, _ in _FIELDS), fields[1:], strict=True))
        if told["event_type"] == _REFRESH_START:
            self._mentioned = set()
        elif told["event_type"] == _REFRESH_END and self._mentioned is not None:
            mentioned, self._mentioned = self._mentioned, None
            return [self._ended(event, now_ns()) for event in self._open() if event.data["opcua"] not in mentioned]
        if condition is None or told["active"] is None:
            return []
        if self._mentioned is not None:
            self._mentioned.add(condition)
        draft = self._draft(condition, told)
        if draft is None:
            return []
        standing = self._standing(condition)
        if standing is None or standing.identity == draft.identity:
            return [draft]
        # It ended and became active again while we were not told.
        return [self._ended(standing, draft.time), draft]

    def _open(self) -> list[Event]:
        """Those of this source that are active, as far as the twin knows."""
        return [event for event in self._twin.open_events(KIND) if event.data.get("origin") == self._source]

    def _ended(self, event: Event, until: int) -> EventDraft:
        """It was over by `until` [ns]; the server does not tell since when."""
        data = event.data | {"active": False, "note": "ended while the server could not be reached"}
        return EventDraft(event.time, KIND, event.node, max(until, event.time), data, event.identity)

    def _draft(self, condition: str, told: Mapping[str, Any]) -> EventDraft | None:
        time = told["time"] or now_ns()
        standing = self._standing(condition)
        if told["branch"]:
            return self._acknowledged(condition, told)
        if told["active"]:
            since = told["active_since"] or (time if standing is None else standing.time)
        elif standing is None:
            return None  # it was over before we came
        else:
            since = standing.time
        data = {name: told[name] for name in _TOLD if told[name] is not None}
        if told["source"]:
            data["source"] = _plain_name(told["source"])
        data |= {"active": told["active"], "acknowledged": bool(told["acknowledged"])}
        data |= {"opcua": condition, "origin": self._source}
        until = None if told["active"] else max(told["active_since"] or time, since)
        return EventDraft(since, KIND, self._node(told), until, data, self._identity(condition, since))

    def _acknowledged(self, condition: str, told: Mapping[str, Any]) -> EventDraft | None:
        """A branch is an earlier time of the condition, kept at the server until somebody acknowledges it."""
        identity = self._identity(condition, told["active_since"] or 0)
        for event in self._twin.standing_events(KIND, identity=identity):
            data = event.data | {"acknowledged": bool(told["acknowledged"])}
            if data != event.data:
                return EventDraft(event.time, KIND, event.node, event.until, data, identity)
        return None

    def _identity(self, condition: str, since: int) -> str:
        mark = hashlib.sha256(condition.encode()).hexdigest()[:16]
        return f"opcua:{self._source}:{mark}:{since}"

    def _standing(self, condition: str) -> Event | None:
        """The time at which a condition is active, as far as the twin knows."""
        return next((event for event in self._open() if event.data["opcua"] == condition), None)

    def _node(self, told: Mapping[str, Any]) -> int | None:
        """The component that a condition is about: by its node id at the server, else by its name."""
        graph = self._twin.graph
        if graph is not self._book.graph:
            self._book = AddressBook(graph)
        for text in self._names(told):
            found = self._book.sensors_at(text) or graph.candidates(text)
            if len(found) == 1:
                return found[0].parent if found[0].level is Level.SENSOR else found[0].key
        return None

    def _names(self, told: Mapping[str, Any]) -> Iterator[str]:
        """What the source of an event may be called in a definition."""
        if told["source_node"]:
            yield told["source_node"]
            index, _, rest = told["source_node"].removeprefix("ns=").partition(";")
            if rest and int(index) < len(self._namespaces):
                yield f"nsu={self._namespaces[int(index)]};{rest}"
        if told["source"]:
            yield _plain_name(told["source"])


def _plain_name(name: str) -> str:
    """Some servers give a qualified name, `2:Line`."""
    index, colon, rest = name.partition(":")
    return rest if colon and index.isdecimal() and rest else name


def _filter() -> Any:
    from asyncua import ua

    clauses = [ua.SimpleAttributeOperand(ua.NodeId(_CONDITION), [], ua.AttributeIds.NodeId)]
    clauses += [
        ua.SimpleAttributeOperand(ua.NodeId(type), [ua.QualifiedName(name) for name in path], ua.AttributeIds.Value)
        for _, type, path in _FIELDS
    ]
    return ua.EventFilter(SelectClauses=clauses)


async def _refresh(session: OpcUaSession, subscription: Subscription) -> str | None:
    """Has the server tell the conditions that stand already; why it does not, if so."""
    from asyncua import ua

    type, method = _REFRESH
    request = ua.CallMethodRequest(
        ua.NodeId(type), ua.NodeId(method), [ua.Variant(subscription.id, ua.VariantType.UInt32)]
    )
    with translated("asking for the standing conditions"):
        status = (await session.client.uaclient.session.call([request]))[0].StatusCode
    return None if status.is_good() else explain(status.value)


def plain_field(field: Any) -> Any:
    """A field of an event: times as ns since the epoch, node ids as texts."""
    from asyncua import ua

    value = field.Value
    if isinstance(value, datetime):
        return datetime_to_ns(value) if value.year > 1970 else None
    if isinstance(value, ua.NodeId):
        return None if value.is_null() else value.to_string()
    return plain(value)
