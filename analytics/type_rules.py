"""Rules of component types: each watches the own sensors of every instance, defined, adopted or discovered later.

They are not copied into the definition: a rule of a type is told once, and reaches the instances through the graph.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..twin.component_types import EffectiveType, TypeLibrary
from ..twin.errors import IoTSenseError
from ..twin.graph import HEALTH, Graph
from ..twin.model import Level, Node, Role, Signal
from ..twin.placeholders import fill, plain_name

PARAMETERS = "parameters"


class TypeRule(NamedTuple):
    """A rule as JSON and the nodes that it watches; its name, `pump.hot`, begins with the type that says it."""

    name: str
    raw: dict[str, Any]
    nodes: list[Node]


def type_rules(graph: Graph, problems: dict[str, str]) -> Iterator[TypeRule]:
    """The rules of all instances of component types, with the instances' parameters as thresholds.

    Those whose parameters are missing are told in `problems`.
    """
    for kind, nodes in _instances(graph):
        for rule, item in kind.rules.items():
            name = f"{item.owner}.{rule}"
            if not any(_is_template(each.get("threshold")) for each in item.fields.get("conditions", ())):
                yield TypeRule(name, item.fields, nodes)
                continue
            for node in nodes:
                try:
                    yield TypeRule(name, _with_parameters(item.fields, kind, node), [node])
                except IoTSenseError as error:
                    problems[f"{name} on {node.id}"] = str(error)


def _instances(graph: Graph) -> Iterator[tuple[EffectiveType, list[Node]]]:
    library = TypeLibrary.of(graph.definition)
    found: defaultdict[tuple[str, int], list[Node]] = defaultdict(list)
    for node in graph.nodes(level=Level.COMPONENT) if library else ():
        if (kind := library.of_node(node)) is not None and kind.rules:
            found[kind.name, kind.version].append(node)
    for (name, version), nodes in found.items():
        if (kind := library.find(name, version)) is not None:
            yield kind, nodes


def _with_parameters(rule: dict[str, Any], kind: EffectiveType, node: Node) -> dict[str, Any]:
    return rule | {"conditions": [_condition(each, kind, node) for each in rule["conditions"]]}


def _condition(condition: dict[str, Any], kind: EffectiveType, node: Node) -> dict[str, Any]:
    text = condition.get("threshold")
    if not _is_template(text):
        return condition
    threshold = fill(str(text), {PARAMETERS: node.properties.get(PARAMETERS, {})})
    name = (plain_name(str(text)) or "").removeprefix(f"{PARAMETERS}.")
    unit = condition.get("unit") or kind.parameters.get(name, {}).get("unit")
    return condition | {"threshold": threshold} | ({"unit": unit} if unit else {})


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def own_signals(graph: Graph, node: Node, word: str) -> Iterator[Signal]:
    """The signals of the node's own sensors of that id, name or type, and what is computed on it by that name."""
    for sensor in graph.sensors(node.key):
        if word in (sensor.short_id, sensor.name, sensor.type):
            yield from graph.values_of(sensor.key)
    if (computed := computed_signal(graph, node, word)) is not None:
        yield computed


def computed_signal(graph: Graph, node: Node, name: str) -> Signal | None:
    """The signal of that name that is computed on a node; health is none."""
    signal = graph.signal_of(node.key, name) if name != HEALTH else None
    return signal if signal is not None and signal.role is Role.DERIVED else None
