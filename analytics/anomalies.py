"""Anomalies: open from the reading that breaches a limit to the reading that clears it, told as events."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..twin.entry import EventDraft
from ..twin.model import Event
from .rules import Watch

ANOMALY = "anomaly"
WatchKey = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """An open anomaly: `rule` found `signal` (index) of `component` (node key) beyond its limit since `onset` [ns]."""

    identity: str
    key: WatchKey
    component: int
    severity: str
    onset: int
    data: dict[str, Any]

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
        """The anomaly that an open event of the log tells of."""
        data = event.data
        key = (data["rule"], data["version"], data["condition"], data["signal"])
        return cls(event.identity or "", key, event.node or 0, data["severity"], event.time, data)

    def opening(self) -> EventDraft:
        """The event of its beginning."""
        return EventDraft(self.onset, ANOMALY, self.component, data=self.data, identity=self.identity)

    def ending(self, until: int, **more: Any) -> EventDraft:
        """The event that amends it with its end; an end before the onset (a clock was set) counts as the onset."""
        data = self.data | more
        return EventDraft(self.onset, ANOMALY, self.component, max(until, self.onset), data, self.identity)


class OpenAnomalies:
    """The anomalies that are open now, by watch and by component."""

    def __init__(self, anomalies: Iterable[Anomaly] = ()) -> None:
        self._by_key: dict[WatchKey, Anomaly] = {}
        self._by_component: dict[int, dict[WatchKey, Anomaly]] = {}
        for anomaly in anomalies:
            self.add(anomaly)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Anomaly]:
        return iter(tuple(self._by_key.values()))

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def add(self, anomaly: Anomaly) -> None:
        """One more is open."""
        self._by_key[anomaly.key] = anomaly
        self._by_component.setdefault(anomaly.component, {})[anomaly.key] = anomaly

    def remove(self, key: WatchKey) -> Anomaly:
        """The one of this watch is no longer open."""
        anomaly = self._by_key.pop(key)
        of_component = self._by_component[anomaly.component]
        del of_component[key]
        if not of_component:
            del self._by_component[anomaly.component]
        return anomaly

    def of(self, component: int) -> list[Anomaly]:
        """Those of one component, the oldest first."""
        found = tuple(self._by_component.get(component, {}).values())
        return sorted(found, key=lambda anomaly: (anomaly.onset, anomaly.identity))
