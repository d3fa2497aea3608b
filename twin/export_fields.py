"""Nodes and signals as the fields of a definition."""

from typing import Any

from .desired import DesiredNode, DesiredSignal
from .durations import format_duration
from .model import DataType, Node, Signal
from .project_graph import RESERVED


def common_fields(node: Node | DesiredNode, name: str = "name") -> dict[str, Any]:
    """Type, name and the fields under their own names; free properties under `properties`."""
    fields: dict[str, Any] = {} if node.type is None else {"type": node.type}
    if node.name != node.short_id:
        fields[name] = node.name
    free = {key: value for key, value in node.properties.items() if key not in RESERVED}
    free |= node.properties.get("properties", {})
    fields |= {key: value for key, value in node.properties.items() if key in RESERVED - {"properties"}}
    return fields | ({"properties": free} if free else {})


def sensor_fields(node: Node | DesiredNode, signal: Signal | DesiredSignal | None) -> dict[str, Any]:
    """A sensor with what it measures."""
    return {"id": node.short_id, **common_fields(node), **(_signal_fields(signal) if signal else {})}


def _signal_fields(signal: Signal | DesiredSignal) -> dict[str, Any]:
    numeric_with_labels = signal.labels and signal.data_type == DataType.NUMBER
    fields = {
        "unit": signal.unit,
        # Readings may have turned out to be numbers, which a definition with labels must not claim.
        "data_type": None if signal.data_type is None or numeric_with_labels else str(signal.data_type),
        "labels": list(signal.labels) or None,
        "low": signal.low,
        "high": signal.high,
        "stepped": signal.stepped or None,
        "expected_interval": None if signal.expected_interval is None else format_duration(signal.expected_interval),
    }
    return {name: value for name, value in fields.items() if value is not None}
