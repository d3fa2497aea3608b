"""What the nodes of a twin are in an OPC UA address space.

Enterprises, sites, areas and lines are folders; components are objects, of a type for each kind of equipment; sensors
and other signals are variables, AnalogItemType with EURange and EngineeringUnits where the plant knows them. Node ids
are the twin's dotted ids; those with a colon or a `#` are no twin's.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from asyncua import ua

from .opcua_insert import Item
from .opcua_values import is_text, variant_type
from .twin.errors import InvalidValueError
from .twin.graph import VALUE, Graph
from .twin.model import DataType, Level, Node, Signal
from .twin.units import parse_unit

UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
OTHER_UNITS = "urn:iotsense:units"
PLANT = "plant:"
READ = 1 << ua.AccessLevel.CurrentRead
READ_HISTORY = READ | 1 << ua.AccessLevel.HistoryRead
WRITE = 1 << ua.AccessLevel.CurrentWrite
_BASE_ANALOG_TYPE = 15_318
_SCALARS = {
    bool: ua.VariantType.Boolean,
    int: ua.VariantType.Int64,
    float: ua.VariantType.Double,
    str: ua.VariantType.String,
}
_NOTHING = ua.Variant(None, ua.VariantType.Null)
_FOLDER, _OBJECT, _PROPERTY = (
    ua.NodeId(type) for type in (ua.ObjectIds.FolderType, ua.ObjectIds.BaseObjectType, ua.ObjectIds.PropertyType)
)
Property: TypeAlias = tuple[str, ua.Variant, int]


Settable: TypeAlias = Callable[[Node, Signal], bool]


class Items:
    """Makes the items of a twin's nodes in one namespace.

    interval [ms]: how often values are looked at. settable: whether clients may set a signal.
    """

    def __init__(self, namespace: int, interval: float, settable: Settable) -> None:
        self._namespace = namespace
        self._interval = interval
        self.settable = settable

    def id(self, text: str) -> ua.NodeId:
        """The node id of a text."""
        return ua.NodeId(text, self._namespace)

    def type_id(self, kind: str) -> ua.NodeId:
        """The object type of a kind of equipment."""
        return self.id(f"type:{kind}")

    def reference_id(self, type: str) -> ua.NodeId:
        """The reference type of a type of relationships."""
        return self.id(f"relationship:{type}")

    def plant(self) -> Item:
        """The folder of all."""
        return self._object(PLANT, "Plant", ua.NodeId(ua.ObjectIds.ObjectsFolder), _FOLDER)

    def object_type(self, kind: str) -> Item:
        """The type of a kind of equipment."""
        item = self._item(self.type_id(kind), kind, kind, ua.NodeClass.ObjectType, _OBJECT, ua.ObjectIds.HasSubtype)
        return item.with_shared(IsAbstract=False)

    def reference_type(self, type: str) -> Item:
        """The type of a type of relationships."""
        id, parent = self.reference_id(type), ua.NodeId(ua.ObjectIds.NonHierarchicalReferences)
        item = self._item(id, type, type, ua.NodeClass.ReferenceType, parent, ua.ObjectIds.HasSubtype)
        item.attributes["InverseName"] = ua.Variant(ua.LocalizedText(f"{type} (inverse)"))
        return item.with_shared(IsAbstract=False, Symmetric=False)

    def of_node(self, graph: Graph, node: Node) -> Iterator[tuple[Item, Signal | None]]:
        """All that a node is by itself, parents first; with what shows a signal comes the signal."""
        signals = graph.signals_of(node.key)
        parent = self.id(PLANT if node.parent is None else graph.node(node.parent).id)
        measured = next((each for each in signals if each.name == VALUE), None) if node.level is Level.SENSOR else None
        if measured is not None:
            item_of = (node.id, node.short_id, node.name, parent)
            yield from self._variable(*item_of, measured, self.settable(node, measured), _description(node))
        else:
            yield self._of_equipment(node, parent), None
            yield from ((item, None) for item in self._parameters(node))
        for signal in signals:
            if signal is measured:
                continue
            id = graph.signal_id(signal)
            settable = self.settable(node, signal)
            yield from self._variable(id, signal.name, signal.name, self.id(node.id), signal, settable)

    def _of_equipment(self, node: Node, parent: ua.NodeId) -> Item:
        folder = node.level not in (Level.COMPONENT, Level.SENSOR)
        type = _FOLDER if folder else self.type_id(node.type) if node.type else _OBJECT
        item = self._object(node.id, node.name, parent, type, browse=node.short_id)
        item.describe(_description(node))
        return item

    def _parameters(self, node: Node) -> Iterator[Item]:
        """Fixed values, in a folder of their own: one of them may be called like a sensor."""
        parameters = node.properties.get("parameters") or {}
        fixed = {key: value for key, value in parameters.items() if type(value) in _SCALARS}
        if model := node.properties.get("model"):
            fixed.setdefault("model", str(model))
        if not fixed:
            return
        id = f"{node.id}#parameters"
        yield self._object(id, "Parameters", self.id(node.id), _FOLDER, reference=ua.ObjectIds.HasComponent)
        for key, value in fixed.items():
            kind = _SCALARS[type(value)]
            yield self._property(f"{id}.{key}", key, self.id(id), ua.Variant(value, kind), kind.value, self._namespace)

    def _variable(
        self,
        id: str,
        browse: str,
        name: str,
        parent: ua.NodeId,
        signal: Signal,
        settable: bool,
        description: str | None = None,
    ) -> Iterator[tuple[Item, Signal]]:
        kind, properties = _kind(signal)
        access = READ_HISTORY | (WRITE if settable else 0)
        item = self._item(self.id(id), browse, name, ua.NodeClass.Variable, parent, ua.ObjectIds.HasComponent)
        item.type = ua.NodeId(kind)
        item.describe(description)
        item.attributes["Value"] = _NOTHING
        item.with_shared(
            DataType=variant_type(signal).value,
            ValueRank=ua.ValueRank.Scalar.value,
            AccessLevel=access,
            UserAccessLevel=access,
            Historizing=True,
            MinimumSamplingInterval=self._interval,
        )
        yield item, signal
        for key, value, data_type in properties:
            yield self._property(f"{id}#{key}", key, item.id, value, data_type, 0), signal

    def _property(
        self, id: str, name: str, parent: ua.NodeId, value: ua.Variant, data_type: int, namespace: int
    ) -> Item:
        item = self._item(self.id(id), name, name, ua.NodeClass.Variable, parent, ua.ObjectIds.HasProperty)
        item.browse = ua.QualifiedName(name, namespace)
        item.type = _PROPERTY
        item.attributes["Value"] = value
        return item.with_shared(
            DataType=data_type,
            ValueRank=ua.ValueRank.Scalar.value,
            AccessLevel=READ,
            UserAccessLevel=READ,
            Historizing=False,
            MinimumSamplingInterval=0.0,
        )

    def _object(
        self,
        id: str,
        name: str,
        parent: ua.NodeId,
        type: ua.NodeId,
        *,
        browse: str | None = None,
        reference: int | None = None,
    ) -> Item:
        by_kind = ua.ObjectIds.Organizes if type is _FOLDER else ua.ObjectIds.HasComponent
        item = self._item(self.id(id), browse or name, name, ua.NodeClass.Object, parent, reference or by_kind)
        item.type = type
        return item.with_shared(EventNotifier=0)

    def _item(
        self, id: ua.NodeId, browse: str, name: str, kind: ua.NodeClass, parent: ua.NodeId, reference: int
    ) -> Item:
        name_here = ua.QualifiedName(browse, self._namespace)
        return Item(id, name_here, ua.LocalizedText(name), kind, parent, ua.NodeId(reference))


def engineering_unit(unit: str) -> ua.EUInformation:
    """A unit as EUInformation: by its UNECE code where it has one (Part 8, 5.6.3), else by name alone."""
    try:
        known = parse_unit(unit)
    except InvalidValueError:
        return ua.EUInformation(OTHER_UNITS, -1, ua.LocalizedText(unit), ua.LocalizedText(unit))
    name = ua.LocalizedText(known.name)
    if known.unece is None:
        return ua.EUInformation(OTHER_UNITS, -1, ua.LocalizedText(known.symbol), name)
    return ua.EUInformation(UNECE, int.from_bytes(known.unece.encode(), "big"), ua.LocalizedText(known.symbol), name)


def _kind(signal: Signal) -> tuple[int, list[Property]]:
    """The type definition of a signal's variable, and its properties."""
    if signal.data_type is DataType.BOOLEAN and len(signal.labels) == 2:
        states = zip(("FalseState", "TrueState"), signal.labels, strict=True)
        properties = [
            (name, ua.Variant(ua.LocalizedText(text)), int(ua.ObjectIds.LocalizedText)) for name, text in states
        ]
        return ua.ObjectIds.TwoStateDiscreteType, properties
    if signal.data_type is DataType.BOOLEAN or is_text(signal):
        return ua.ObjectIds.BaseDataVariableType, []
    properties = []
    if signal.unit is not None:
        value = ua.Variant(engineering_unit(signal.unit), ua.VariantType.ExtensionObject)
        properties.append(("EngineeringUnits", value, ua.ObjectIds.EUInformation))
    if signal.low is None or signal.high is None:
        return _BASE_ANALOG_TYPE, properties
    value = ua.Variant(ua.Range(signal.low, signal.high), ua.VariantType.ExtensionObject)
    return ua.ObjectIds.AnalogItemType, [("EURange", value, ua.ObjectIds.Range), *properties]


def _description(node: Node) -> str | None:
    text = node.properties.get("description")
    return text if isinstance(text, str) else None
