"""The running graph written back as definitions: what `validate` accepts and `plan` finds equal."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import yaml

from .export_fields import common_fields, sensor_fields
from .export_instances import InstanceExport
from .graph import Graph
from .model import CONTAINS, Level, Node, Origin, Relationship, Role

HEADER = "# Written by `iotsense export`. Readings and discovered nodes are not part of a definition.\n"
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
# Words that some reader of YAML, of version 1.1 or 1.2, takes for something else than text.
_NO_PLAIN_KEY = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def export(graph: Graph) -> str:
    """All that definitions say about a graph, as one YAML document."""
    return HEADER + dump_yaml(exported(graph))


def exported(graph: Graph) -> dict[str, Any]:
    """The document as plain data: the kinds, the plant's nodes, then the other sections as they were applied."""
    return _Export(graph).document()


class _Export:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._instances = InstanceExport(graph)
        self._nodes = list(graph.nodes(origin=Origin.DEFINED))
        self._within: dict[str, list[Node]] = defaultdict(list)
        self._drawn: dict[str, list[Relationship]] = defaultdict(list)
        for node in self._nodes:
            owner, dot, _ = node.id.rpartition(".")
            if dot:
                self._within[owner].append(node)
            self._drawn[node.id.partition(".")[0]] += self._arrows(node)

    def _arrows(self, node: Node) -> Iterator[Relationship]:
        """What starts at the node, and its parent where its id does not tell it."""
        for one in self._graph.outgoing(node.key):
            if self._graph.node(one.target).origin is Origin.DEFINED:
                yield one
        owner = node.id.rpartition(".")[0]
        if owner and node.parent is not None and self._graph.node(node.parent).id != owner:
            yield Relationship(node.parent, CONTAINS, node.key)

    def document(self) -> dict[str, Any]:
        plant = {
            "enterprise": [{"id": node.id, **common_fields(node)} for node in self._of(Level.ENTERPRISE)],
            "site": [{"id": node.id, **self._place(node), **common_fields(node)} for node in self._of(Level.SITE)],
            "area": [{"id": node.id, **self._place(node), **common_fields(node)} for node in self._of(Level.AREA)],
            "digital_twins": [self._twin(node) for node in self._of(Level.LINE)],
        }
        sections = self._graph.definition
        kinds = {name: sections[name] for name in ("component_types", "relationship_types") if name in sections}
        return kinds | {name: nodes for name, nodes in plant.items() if nodes} | sections

    def _of(self, level: Level) -> Iterator[Node]:
        return (node for node in self._nodes if node.level is level)

    def _place(self, node: Node) -> dict[str, str]:
        if node.parent is None:
            return {}
        parent = self._graph.node(node.parent)
        return {str(parent.level): parent.id}

    def _twin(self, node: Node) -> dict[str, Any]:
        definition = {"name": node.id, **self._place(node), **common_fields(node, "title"), **self._contents(node)}
        if drawn := self._drawn[node.id]:
            definition["relationships"] = [self._relationship(node, one) for one in drawn]
        return definition

    def _contents(self, owner: Node) -> dict[str, list[dict[str, Any]]]:
        """What the ids say stands within it."""
        within = self._within[owner.id]
        contents = {
            "sensors": [self._sensor(node) for node in within if node.level is Level.SENSOR],
            "components": [self._component(node) for node in within if node.level is Level.COMPONENT],
        }
        return {key: nodes for key, nodes in contents.items() if nodes}

    def _component(self, node: Node) -> dict[str, Any]:
        return self._instances.own({"id": node.short_id, **common_fields(node), **self._contents(node)}, node)

    def _sensor(self, node: Node) -> dict[str, Any]:
        measured = [signal for signal in self._graph.signals_of(node.key) if signal.role is Role.MEASURED]
        return sensor_fields(node, measured[0] if measured else None)

    def _relationship(self, twin: Node, one: Relationship) -> dict[str, Any]:
        free = dict(one.properties)
        known = {"transfer_time": free.pop("transfer_time")} if "transfer_time" in free else {}
        source, target = (self._graph.node(key).id.removeprefix(f"{twin.id}.") for key in (one.source, one.target))
        return {"from": source, "to": target, "type": one.type, **known, **({"properties": free} if free else {})}


# YAML


class _Dumper(yaml.SafeDumper):
    """Every text is quoted, so that no reader of any YAML takes `22:00`, `on` or `1e3` for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"')

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        for key, _ in node.value:
            if _PLAIN_KEY.match(key.value) and key.value.lower() not in _NO_PLAIN_KEY:
                key.style = None
        return node


_Dumper.add_representer(str, _Dumper.represent_str)


def dump_yaml(document: dict[str, Any]) -> str:
    """Plain data as YAML with every text quoted, in the order in which it is given."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
