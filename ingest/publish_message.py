"""What is told to an endpoint: a change of a signal or an event, and how it is written on the wire."""

from typing import Any

import msgspec

from ..twin.as_of import AsOf
from ..twin.graph import Graph
from ..twin.model import DataType, Event, Level, Signal, quality_word
from ..twin.state import Reading
from ..twin.times import format_time

STATE = "state.changed"
TWIN = "twin.changed"
JSON = "application/json"
CLOUD_EVENT = "application/cloudevents+json"
_encode = msgspec.json.encode


class Outgoing(msgspec.Struct, frozen=True):
    """One message. `type` is such as `anomaly.detected`, `id` the same whenever it is sent again.

    topic: where it goes, if the endpoint has topics. key: what it is about; messages of one key stay in order. data: a
    JSON object. bare: of a state, its value alone. retain: the broker keeps it for those who come later.
    """

    type: str
    id: str
    key: str
    time: int
    data: dict[str, Any]
    format: str | None = None
    topic: str = ""
    bare: Any = None
    retain: bool = False

    @property
    def is_document(self) -> bool:
        """Whether `data` stands for itself: the state of a signal or of a twin."""
        return self.type in (STATE, TWIN)

    @property
    def media_type(self) -> str:
        """Of `encoded`."""
        return CLOUD_EVENT if self.format == "cloudevents" else JSON

    def encoded(self, plain: Any = None) -> bytes:
        """As its rule wants it; where that leaves it open, `plain` if the endpoint gives it, else `data`."""
        if self.format == "cloudevents":
            return _encode(self._cloud_event())
        if self.format == "value":
            return _encode(self.bare)
        return _encode(self.data if plain is None or self.format == "telemetry" else plain)

    def _cloud_event(self) -> dict[str, Any]:
        """Structured mode of CloudEvents 1.0."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": "/iotsense",
            "type": f"iotsense.{self.type}",
            "subject": self.key,
            "time": format_time(self.time),
            "datacontenttype": JSON,
            "data": self.data,
        }


def state_message(plant: AsOf, signal: Signal, reading: Reading, **route: Any) -> Outgoing:
    """A signal's reading as a telemetry document, whose device is the node that the signal is shown at."""
    graph = plant.graph
    node = graph.node(signal.node)
    device, name = node, signal.name
    if node.level is Level.SENSOR and node.parent is not None:
        device, name = graph.node(node.parent), node.name + signal.name.removeprefix("value")
    value = _shown(plant, signal, reading.value)
    measurement = {"name": name, "value": value, "unit": signal.unit, "quality": quality_word(reading.quality)}
    document = {
        "device_id": device.id,
        "timestamp": format_time(reading.time),
        "measurements": [{key: each for key, each in measurement.items() if each is not None or key == "value"}],
        "metadata": {"signal": graph.signal_id(signal)},
    }
    id = f"{signal.index}-{reading.time}-{reading.seq}"
    return Outgoing(STATE, id, graph.signal_id(signal), reading.time, document, bare=value, **route)


def event_message(graph: Graph, event: Event, **route: Any) -> Outgoing:
    """An event: its own data, with what all events have."""
    node = None if event.node is None else graph.node_map.get(event.node)
    data = event.data | {
        "seq": event.seq,
        "kind": event.kind,
        "id": event.identity,
        "node": None if node is None else node.id,
        "time": format_time(event.time),
        "until": None if event.until is None else format_time(event.until),
        "recorded": format_time(event.recorded),
        "retracts": event.retracts,
    }
    if node is not None:
        data["equipment_id"] = _equipment(graph, event)
    key = data["node"] or event.kind
    return Outgoing(event_type(event), f"event-{event.seq}", key, event.recorded, data, **route)


def event_type(event: Event) -> str:
    """What an event is called: `anomaly.detected`, `failure.begun`, `command.confirmed`, `structure.changed` ..."""
    if event.kind in ("structure", "gone"):
        return f"{event.kind}.changed" if event.kind == "structure" else "events.gone"
    if event.kind == "command":
        return f"command.{event.data.get('state', 'requested')}"
    if event.retracts is not None:
        return f"{event.kind}.retracted"
    if event.kind == "anomaly":
        return "anomaly.cleared" if event.until is not None else "anomaly.detected"
    return f"{event.kind}.{'begun' if event.until is None else 'ended'}"


def _equipment(graph: Graph, event: Event) -> str:
    """The component or line that an event is about."""
    node = graph.node(event.node or 0)
    return node.id if node.level is not Level.SENSOR or node.parent is None else graph.node(node.parent).id


def _shown(plant: AsOf, signal: Signal, value: float) -> Any:
    if value != value or value in (float("inf"), float("-inf")):
        return None
    if signal.labels or signal.data_type is not DataType.NUMBER:
        if signal.data_type is DataType.BOOLEAN and not signal.labels:
            return value != 0
        text = plant.label(signal.index, value)
        if text is not None:
            return text
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
