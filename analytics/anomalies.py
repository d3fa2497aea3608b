"""Anomalies: from the reading that breaches a limit to the reading that clears it, told as events.

An anomaly is told by an event when it opens and by another with its end. One whose end turns out to be another is told
again; one that should not have been is taken back by an event that names the one that counted until then.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

from ..twin.anomalies import ANOMALY
from ..twin.entry import EventDraft
from ..twin.model import Event
from .rules import Watch, WatchKey

_OF_THE_END = ("cleared_value", "reason")


@dataclass(frozen=True, slots=True)
class Anomaly:
    """`rule` found `signal` (index) of `component` (node key) beyond its limit from `onset` to `until` [ns]."""

    identity: str
    key: WatchKey
    component: int
    severity: str
    onset: int
    data: dict[str, Any]
    until: int | None = None

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.key[0]

    @property
    def signal(self) -> int:
        """The signal's index."""
        return self.key[3]

    @classmethod
    def begun(cls, watch: Watch, time: int, value: float) -> "Anomaly":
        """The anomaly that begins with a reading: `value` is what was compared, the reading or its rate of change."""
        rule, condition = watch.rule, watch.condition
        what = f"{condition.metric}/{condition.severity}/{condition.number}"
        identity = f"{rule.name}:{rule.version}:{watch.signal.index}:{what}:{time}"
        data: dict[str, Any] = {
            "rule": rule.name,
            "version": rule.version,
            "condition": condition.number,
            "signal": watch.signal.index,
            "signal_id": watch.signal_id,
            "severity": condition.severity,
            "metric": condition.metric,
            "operator": condition.operator,
            "threshold": watch.threshold,
            "value": value,
        }
        if watch.signal.unit is not None:
            data["unit"] = watch.signal.unit
        if condition.window is not None:
            data["window_s"] = condition.window / 1e9
        return cls(identity, watch.key, watch.component, condition.severity, time, data)

    @classmethod
    def of(cls, event: Event) -> "Anomaly":
        """The anomaly that an event of the log tells of."""
        data = event.data
        key = (data["rule"], data["version"], data["condition"], data["signal"])
        return cls(event.identity or "", key, event.node or 0, data["severity"], event.time, data, event.until)

    def is_open_before(self, time: int) -> bool:
        """Whether it was open just before `time`; a reading at that time may have ended it."""
        return self.onset < time and (self.until is None or self.until >= time)

    def reopened(self) -> Self:
        """The same without its end."""
        return replace(self, until=None, data=self._begin())

    def ended(self, until: int, **more: Any) -> Self:
        """The same with its end."""
        return replace(self, until=until, data=self._begin() | more)

    def ended_like(self, other: "Anomaly") -> Self:
        """The same with the end of another of its watch."""
        end = {name: other.data[name] for name in _OF_THE_END if name in other.data}
        return replace(self, until=other.until, data=self._begin() | end)

    def told_as(self, before: "Anomaly") -> Self:
        """The same as it was told before, but for the values that made it: its limit has the names of that time."""
        values = {name: self.data[name] for name in ("value", *_OF_THE_END) if name in self.data}
        return replace(self, data=before._begin() | values)

    def _begin(self) -> dict[str, Any]:
        return {name: value for name, value in self.data.items() if name not in _OF_THE_END}

    # Events

    def telling(self, before: "Anomaly | None") -> list[EventDraft]:
        """The events that tell of it, when it was last told as `before`, or never."""
        if before is not None:
            return [] if before == self else [self._event(self.until, self.data)]
        opening = self._event(None, self._begin())
        return [opening] if self.until is None else [opening, self._event(self.until, self.data)]

    def retraction(self, seq: int) -> EventDraft:
        """The event that takes it back: `seq` is the number of the event that counted until now."""
        return EventDraft(self.onset, ANOMALY, self.component, self.until, self.data, self.identity, seq)

    def _event(self, until: int | None, data: dict[str, Any]) -> EventDraft:
        return EventDraft(self.onset, ANOMALY, self.component, until, data, self.identity)
