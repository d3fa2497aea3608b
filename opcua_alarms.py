"""Open anomalies as alarm conditions (Part 9): told when they begin and end, and again to whoever asks."""

import asyncio
from typing import Any

from asyncua import ua
from asyncua.common.event_objects import AlarmCondition, GeneralModelChangeEvent
from asyncua.server.event_generator import EventGenerator

from .opcua_space import Change, Space
from .opcua_values import datetime_of
from .twin.anomalies import ANOMALY
from .twin.model import Event
from .twin.twin import Twin

_SEVERITY = {"info": 200, "warning": 500, "critical": 900}
_OTHER_SEVERITY = 500
_MOST_CHANGES = 1000


class Alarms:
    """Follows the log of events; `told` is the number of the last one that clients know."""

    def __init__(self, session: Any, twin: Twin, space: Space) -> None:
        self._session = session
        self._twin = twin
        self._space = space
        self.told = twin.last_event_seq

    async def tell_open(self) -> None:
        """What is open already: nobody listens yet, but a refresh will tell it."""
        for event in self._twin.open_events(ANOMALY):
            await self._tell(event)

    async def follow(self) -> None:
        """Tells of what began and ended since."""
        last = self._twin.last_event_seq
        while self.told < last:
            events = await asyncio.to_thread(self._twin.events, self.told, 1000, kind=ANOMALY)
            for event in events:
                if event.seq <= last:
                    await self._tell(event)
            full = len(events) == 1000
            self.told = min(events[-1].seq, last) if full else last

    async def _tell(self, event: Event) -> None:
        data = event.data
        if "rule" not in data or "signal" not in data:
            return
        active = event.until is None and event.retracts is None
        alarm = AlarmCondition(severity=_SEVERITY.get(data.get("severity", ""), _OTHER_SEVERITY))
        source = self._space.variable(data["signal"])
        alarm.SourceNode = source or self._space.plant
        alarm.SourceName = data.get("signal_id", "")
        alarm.add_property("NodeId", self._condition(data), ua.VariantType.NodeId)
        _fill(alarm, data, active, source)
        at = datetime_of(event.time if event.until is None else event.until)
        await _send(self._session, alarm, _message(data, active, event.retracts is not None), at)

    def _condition(self, data: dict[str, Any]) -> ua.NodeId:
        """One condition for each limit of a rule on a signal, whatever the number of its anomalies."""
        return self._space.items.id(f"alarm:{data['rule']}:{data.get('condition', 0)}:{data.get('signal_id', '')}")


def _fill(alarm: AlarmCondition, data: dict[str, Any], active: bool, source: ua.NodeId | None) -> None:
    states = (
        ("EnabledState", True, "Enabled"),
        ("AckedState", True, "Acknowledged"),
        ("ActiveState", active, "Active" if active else "Inactive"),
    )
    for name, is_so, word in states:
        setattr(alarm, f"{name}/Id", is_so)
        setattr(alarm, name, ua.LocalizedText(word))
    alarm.ConditionName = data["rule"]
    alarm.ConditionClassId = ua.NodeId(ua.ObjectIds.ProcessConditionClassType)
    alarm.ConditionClassName = ua.LocalizedText("ProcessConditionClass")
    alarm.Retain = active
    alarm.InputNode = source
    alarm.SuppressedOrShelved = False
    alarm.Comment = ua.LocalizedText("")
    alarm.Quality = ua.StatusCode()
    alarm.LastSeverity = alarm.Severity
    alarm.BranchId = ua.NodeId()


def _message(data: dict[str, Any], active: bool, retracted: bool) -> str:
    what = f"{data['rule']} ({data.get('severity', '')}) on {data.get('signal_id', '')}"
    if retracted:
        return f"{what}: taken back"
    if not active:
        return f"{what}: ended"
    if "threshold" not in data:
        return what
    unit = f" {data['unit']}" if "unit" in data else ""
    return f"{what}: {data.get('metric', 'value')} {data['value']:.6g} {data['operator']} {data['threshold']:g}{unit}"


async def tell_changes(session: Any, changes: list[Change]) -> None:
    """A GeneralModelChangeEvent for nodes that came and went; many are told at once."""
    for start in range(0, len(changes), _MOST_CHANGES):
        event = GeneralModelChangeEvent(severity=100)
        event.add_property("Changes", changes[start : start + _MOST_CHANGES], ua.VariantType.ExtensionObject)
        event.SourceName = "Server"
        await _send(session, event, "nodes of the plant came or went", None)


async def _send(session: Any, event: Any, message: str, at: Any) -> None:
    generator = EventGenerator(session)
    await generator.init(event, emitting_node=ua.ObjectIds.Server, add_generates_event=False)
    await generator.trigger(time_attr=at, message=message)
