"""A plan as a diff for the terminal."""

import json
from collections.abc import Iterator
from typing import Any

from .component_types import VERSION
from .difference import Difference
from .graph import VALUE
from .model import Level
from .plan_changes import Changes, NodeChange, RelationshipChange, SignalChange, TypeChange

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": "~", "adopted": "~", "reordered": "~"}
_COLOURS = {"+": "\033[32m", "-": "\033[31m", "~": "\033[33m"}
_PLAIN = "\033[0m"
_LONGEST = 60
_IDS = 4


def changes_text(changes: Changes, colour: bool = False) -> str:
    """The changes, one line a change, ending with what it adds up to."""
    if changes.empty:
        return "Nothing to change: the running graph is as the definition says.\n"
    lines: list[str] = []
    alike = [change for change in changes.types if len(change.instances) > 1]
    for change in alike:
        lines += _type(change)
    together = {id for change in alike for id in change.instances}
    for node in changes.nodes:
        owner = node.id if node.level is not Level.SENSOR else node.id.rpartition(".")[0]
        if owner not in together:
            lines += _node(node)
    for relationship in changes.relationships:
        lines += _relationship(relationship)
    for section in changes.sections:
        lines.append(f"{_SIGNS[section.change]} {_field(section)}")
    if colour:
        lines = [_coloured(line) for line in lines]
    return "\n".join([*lines, "", _summary(changes), *_warning(changes)]) + "\n"


def _coloured(line: str) -> str:
    sign = line.lstrip()[:1]
    return f"{_COLOURS[sign]}{line}{_PLAIN}" if sign in _COLOURS else line


def _node(node: NodeChange) -> Iterator[str]:
    kind = f"{node.level} of type {node.type}" if node.type else str(node.level)
    notes = [kind]
    if node.change == "adopted":
        notes.append(f"adopted with its history{f' from {node.moved_from}' if node.moved_from else ''}")
    elif node.moved_from:
        notes.append(f"moved from {node.moved_from}")
    if node.change == "removed" and node.history:
        notes.append("has history")
    yield f"{_SIGNS[node.change]} {node.id}  ({', '.join(notes)})"
    for field in node.fields:
        if not (node.change == "added" and field.path == "type"):
            yield f"    {_SIGNS[field.change]} {_field(field)}"
    for signal in node.signals:
        yield from _signal(signal)


def _type(change: TypeChange) -> Iterator[str]:
    """`~ pump 1 → 2: 40 instances (...)`, and below it what changes in each of them."""
    own = next((node for node in change.nodes if not node.id), None)
    new = own is not None and own.change == "added"
    version = f"{change.before} → {change.after}" if change.before not in (None, change.after) else change.after
    first, *others = change.instances
    ids = ", ".join(change.instances) if len(others) < _IDS else f"{first}, {others[0]}, … {others[-1]}"
    count = f"{len(change.instances)} {'new instances' if new else 'instances'}"
    yield f"{'+' if new else '~'} {change.type} {version}: {count} ({ids})"
    for field in own.fields if own else ():
        if field.path not in ("type", VERSION):
            yield f"    {_SIGNS[field.change]} {_field(field)}"
    for node in change.nodes:
        if node is not own:
            yield from (f"    {line}" for line in _node(node))
    for rule in change.rules:
        yield f"    {_SIGNS[rule.change]} rule {rule.path}"


def _signal(signal: SignalChange) -> Iterator[str]:
    if signal.change == "changed":
        for field in signal.fields:
            note = "  (stored readings are not converted)" if field.path == "unit" and signal.history else ""
            place = "" if signal.name == VALUE else f"{signal.name}: "
            yield f"    {_SIGNS[field.change]} {place}{_field(field)}{note}"
        return
    facts = ", ".join(_field(field) for field in signal.fields)
    note = "  (has history)" if signal.history else ""
    yield f"    {_SIGNS[signal.change]} signal {signal.name}{f' ({facts})' if facts else ''}{note}"


def _relationship(relationship: RelationshipChange) -> Iterator[str]:
    yield f"{_SIGNS[relationship.change]} {relationship.source} --{relationship.type}--> {relationship.target}"
    if relationship.change != "removed":
        for field in relationship.fields:
            yield f"    {_SIGNS[field.change]} {_field(field)}"


def _field(field: Difference) -> str:
    if field.change == "added":
        return f"{field.path}: {_value(field.after)}"
    if field.change == "removed":
        return f"{field.path}: {_value(field.before)}"
    note = " (order)" if field.change == "reordered" else ""
    return f"{field.path}{note}: {_value(field.before)} → {_value(field.after)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _summary(changes: Changes) -> str:
    counts = changes.counts()
    nodes = [f"{counts[kind]} {kind}" for kind in ("added", "changed", "moved", "adopted", "removed") if counts[kind]]
    parts = [f"nodes: {', '.join(nodes)}"] if nodes else []
    for kind, name in (("relationships", "relationships"), ("sections", "other definitions")):
        if counts[kind]:
            parts.append(f"{name}: {counts[kind]} changed")
    return "; ".join(parts)


def _warning(changes: Changes) -> Iterator[str]:
    if lost := changes.lost():
        shown = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        yield f"{shown} would be removed with history; apply refuses without --allow-remove"
