"""How nodes and signals are described, and what differs between two of them."""

from typing import Any

from .difference import differences
from .durations import format_duration
from .model import Node, Signal
from .plan_changes import NodeChange, SignalChange

_GOVERNED = ("unit", "data_type", "labels", "low", "high", "stepped", "expected_interval")


def node_change(old: Node, node: Node, signals: tuple[SignalChange, ...]) -> NodeChange | None:
    """What became of a node; None where nothing is to be told."""
    fields = tuple(differences(described(old), described(node)))
    adopted = old.origin is not node.origin
    # What only moves along with its parent is not told again.
    moved = old.short_id != node.short_id or old.parent != node.parent
    if not (fields or signals or adopted or moved):
        return None
    change = "adopted" if adopted else "moved" if moved else "changed"
    return NodeChange(change, node.id, node.level, node.type, old.id if old.id != node.id else None, fields, signals)


def described(node: Node) -> dict[str, Any]:
    """A node's fields as a definition writes them."""
    named: dict[str, Any] = {"type": node.type} if node.type else {}
    if node.name != node.short_id:
        named["name"] = node.name
    return named | node.properties


def governed(signal: Signal) -> dict[str, Any]:
    """The fields of a signal that a definition writes."""
    values = {name: getattr(signal, name) for name in _GOVERNED}
    if signal.expected_interval is not None:
        values["expected_interval"] = format_duration(signal.expected_interval)
    # 0.0 is a bound like any other, so only what says nothing is left out.
    said = {name: value for name, value in values.items() if value is not None and value is not False and value != ()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
