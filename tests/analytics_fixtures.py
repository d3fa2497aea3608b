"""A small plant for tests of analytics: a line of two machines with a few sensors, and rules in its definition."""

from pathlib import Path
from typing import Any

from iotsense.analytics.monitor import Monitor
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Event, Level
from iotsense.twin.twin import Twin

S = 1_000_000_000
T0 = 1_700_000_000 * S

SPIKE: dict[str, Any] = {
    "name": "temperature_spike",
    "type": "threshold",
    "sensor": "motor_temperature",
    "conditions": [
        {"metric": "value", "operator": ">", "threshold": 80, "hysteresis": 2, "severity": "warning"},
        {"metric": "value", "operator": ">", "threshold": 95, "hysteresis": 2, "severity": "critical"},
    ],
}
RISE: dict[str, Any] = {
    "name": "temperature_rise",
    "type": "threshold",
    "sensor": "temperature",
    "conditions": [
        {"metric": "rate_of_change", "window": "5m", "operator": ">", "threshold": 10, "severity": "warning"}
    ],
}


def build(edit: GraphEdit) -> None:
    """site, area, line `l1`; machines `m1` and `m2`; each a motor_temperature (type temperature) and a speed."""
    site = edit.add_node(id="plant", level=Level.SITE)
    area = edit.add_node(id="hall", level=Level.AREA, parent=site.key)
    line = edit.add_node(id="l1", level=Level.LINE, parent=area.key)
    for machine in ("m1", "m2"):
        component = edit.add_node(id=f"l1.{machine}", level=Level.COMPONENT, parent=line.key)
        for name, type in (("motor_temperature", "temperature"), ("speed", "encoder")):
            id = f"l1.{machine}.{name}"
            sensor = edit.add_node(id=id, level=Level.SENSOR, type=type, parent=component.key)
            edit.add_signal(sensor.key, unit="celsius" if type == "temperature" else "m/s")


def set_rules(twin: Twin, *rules: dict[str, Any]) -> None:
    """The rules of the definition, all others go."""
    twin.change(lambda edit: edit.set_definition({"anomaly_detection": {"rules": list(rules)}}), "test")


def plant(directory: Path, *rules: dict[str, Any]) -> Twin:
    """A new twin of the small plant."""
    twin = Twin.open(directory)
    twin.change(build, "test")
    set_rules(twin, *rules)
    return twin


def index(twin: Twin, id: str) -> int:
    """A signal's index."""
    return twin.graph.find_signal(id).index


def say(twin: Twin, id: str, *readings: tuple[float, float], quality: int = 192) -> None:
    """Readings of one signal: (seconds after T0, value)."""
    times = [T0 + round(second * S) for second, _ in readings]
    values = [value for _, value in readings]
    twin.apply(ReadingBatch.of([index(twin, id)] * len(readings), times, values, [quality] * len(readings)))


def settle(monitor: Monitor) -> None:
    """Lets the monitor come to rest."""
    while monitor.step():
        pass


def health(twin: Twin, id: str) -> float | None:
    """The health that the twin shows for a node."""
    reading = twin.state.read(index(twin, f"{id}.health"))
    return reading.value if reading else None


def anomaly_events(twin: Twin) -> list[Event]:
    """All events of anomalies, in order."""
    return twin.events(kind="anomaly")
