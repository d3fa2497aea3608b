"""Instances written back: what they have from their types is left out, so that a new version of a type reaches them."""

from typing import Any

from .component_types import PINNED, VERSION, EffectiveType, Json, TypeLibrary
from .define_twins import Component
from .desired import DesiredNode
from .errors import InvalidValueError
from .export_fields import sensor_fields
from .graph import Graph
from .instances import has_templates, own_sensors, sensor_of
from .model import DataType, Level, Node
from .parameter_values import fit
from .project_graph import properties_of, signals_of

# What says that something of the type's is not so here.
_OTHERWISE: Json = {
    "stepped": False, "writable": False, "labels": [], "properties": {}, "external_ids": {}, "documents": [],
}  # fmt: skip


class InstanceExport:
    """Knows what the instances of a graph have from their types."""

    def __init__(self, graph: Graph) -> None:
        self._library = TypeLibrary.of(graph.definition)
        self._sensors: dict[tuple[str, int], dict[str, Json]] = {}

    def own(self, component: Json, node: Node) -> Json:
        """The definition of a component without what it has from its type."""
        pinned = component.pop(PINNED, False)
        kind = self._library.of_node(node)
        if kind is None or not pinned:
            component.pop(VERSION, None)
        if kind is None:
            return component
        expected = self._expected(kind, component, node)
        sensors: dict[str, Json] = {sensor["id"]: sensor for sensor in component.pop("sensors", ())}
        components = component.pop("components", None)
        parameters = component.pop("parameters", {})
        fields: Json = {
            "parameters": {name: value for name, value in parameters.items() if value != _default(kind, name)},
            "sensors": [one for id, sensor in sensors.items() if len(one := _differing(sensor, expected.get(id))) > 1],
            "without": [id for id in expected if id not in sensors],
            "components": components,
        }
        # A sensor of its own that says nothing but its id is one all the same.
        fields["sensors"] += [{"id": id} for id, sensor in sensors.items() if len(sensor) == 1 and id not in expected]
        return component | {name: value for name, value in fields.items() if value}

    def _expected(self, kind: EffectiveType, component: Json, node: Node) -> dict[str, Json]:
        """The sensors that it would have if it said nothing, as they would be written."""
        key = (kind.name, kind.version)
        if key in self._sensors:
            return self._sensors[key]
        named = {
            name: component[name] for name in ("name", "parameters", "external_ids", "properties") if name in component
        }
        instance = Component.model_validate({"id": node.short_id, **named})
        filled = own_sensors(kind, instance, node.id, node.id.partition(".")[0])
        expected = {id: _written(fields) for id, fields in filled.items()}
        if not any(has_templates(item.fields) for item in kind.sensors.values()):
            self._sensors[key] = expected
        return expected


def _written(fields: Json) -> Json:
    sensor = sensor_of(fields)
    node = DesiredNode(sensor.id, Level.SENSOR, sensor.name or sensor.id, sensor.type, properties=properties_of(sensor))
    return sensor_fields(node, signals_of(sensor)[0])


def _default(kind: EffectiveType, name: str) -> Any:
    declared = kind.parameters.get(name, {})
    try:
        return fit(declared, declared["default"]) if declared.get("default") is not None else None
    except InvalidValueError:
        return None


def _differing(sensor: Json, expected: Json | None) -> Json:
    """The fields in which a sensor is not as its type says; its id alone if there are none."""
    if expected is None:
        return sensor
    own = {name: value for name, value in sensor.items() if name == "id" or expected.get(name) != value}
    if "data_type" not in expected and own.get("data_type") == DataType.NUMBER:
        del own["data_type"]  # The first reading taught it, and will do so again.
    gone = {
        name: _OTHERWISE.get(name, sensor["id"] if name == "name" else None) for name in expected.keys() - sensor.keys()
    }
    return own | {name: value for name, value in gone.items() if value is not None}
