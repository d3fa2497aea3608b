"""Nodes put into an address space of asyncua at once.

Its own service makes some forty objects for a node and looks through all siblings, 0.4 ms each: a plant of 10,000
sensors (40,000 nodes) would hold everything else up for a quarter of a minute.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

_TYPES = {
    "IsAbstract": ua.VariantType.Boolean,
    "Symmetric": ua.VariantType.Boolean,
    "EventNotifier": ua.VariantType.Byte,
    "DataType": ua.VariantType.NodeId,
    "ValueRank": ua.VariantType.Int32,
    "AccessLevel": ua.VariantType.Byte,
    "UserAccessLevel": ua.VariantType.Byte,
    "Historizing": ua.VariantType.Boolean,
    "MinimumSamplingInterval": ua.VariantType.Double,
    "NodeClass": ua.VariantType.Int32,
    "WriteMask": ua.VariantType.UInt32,
    "UserWriteMask": ua.VariantType.UInt32,
}
# Looked up once: a member of an enumeration is found by a slow way each time.
_NODE_CLASS, _BROWSE_NAME, _DISPLAY_NAME = (
    ua.AttributeIds.NodeClass,
    ua.AttributeIds.BrowseName,
    ua.AttributeIds.DisplayName,
)
_HAS_TYPE_DEFINITION = ua.NodeId(ua.ObjectIds.HasTypeDefinition)


@dataclass(slots=True)
class Item:
    """A node to be: below `parent` by `reference`, with attributes by name beside those that all nodes have."""

    id: ua.NodeId
    browse: ua.QualifiedName
    display: ua.LocalizedText
    kind: ua.NodeClass
    parent: ua.NodeId
    reference: ua.NodeId
    type: ua.NodeId | None = None
    attributes: dict[str, ua.Variant] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)

    def with_shared(self, **values: Any) -> Self:
        """Attributes whose values many nodes have in common; a data type by its number."""
        self.shared |= values
        return self

    def describe(self, text: str | None) -> None:
        """A description, if there is one."""
        if text:
            self.attributes["Description"] = ua.Variant(ua.LocalizedText(text))


def insert(space: Any, item: Item) -> None:
    """Makes the node; raises RuntimeError if there is one of its id, or no parent."""
    parent = space.get(item.parent)
    if parent is None or item.id in space:
        why = "its parent is not there" if parent is None else "there is one already"
        raise RuntimeError(f"{item.id} cannot be added: {why}")
    node = NodeData(item.id)
    own = {
        "NodeId": ua.Variant(item.id),
        "BrowseName": ua.Variant(item.browse),
        "DisplayName": ua.Variant(item.display),
        **item.attributes,
    }
    for name, variant in own.items():
        node.attributes[ua.AttributeIds[name]] = AttributeValue(ua.DataValue(variant))
    for name, value in (item.shared | {"NodeClass": item.kind.value, "WriteMask": 0, "UserWriteMask": 0}).items():
        node.attributes[ua.AttributeIds[name]] = AttributeValue(_shared(name, value))
    space[item.id] = node
    parent.references.append(_reference(item.reference, True, node, item.type))
    node.references.append(_reference(item.reference, False, parent, None))
    if item.type is not None:
        node.references.append(_reference(_HAS_TYPE_DEFINITION, True, space[item.type], None))


def relate(space: Any, source: ua.NodeId, type: ua.NodeId, target: ua.NodeId) -> None:
    """Draws a reference and its inverse; two nodes may refer to each other, which the service of asyncua refuses."""
    from_, to = space[source], space[target]
    from_.references.append(_reference(type, True, to, _definition(to)))
    to.references.append(_reference(type, False, from_, _definition(from_)))


def unrelate(space: Any, source: ua.NodeId, type: ua.NodeId, target: ua.NodeId) -> None:
    """Takes a reference and its inverse away."""
    for at, to, forward in ((source, target, True), (target, source, False)):
        node = space[at]
        node.references[:] = [
            each
            for each in node.references
            if not (each.NodeId == to and each.ReferenceTypeId == type and each.IsForward == forward)
        ]


def _definition(node: NodeData) -> ua.NodeId | None:
    found = (each.NodeId for each in node.references if each.ReferenceTypeId == _HAS_TYPE_DEFINITION)
    return next(found, None)


@lru_cache(maxsize=1024)
def _shared(name: str, value: Any) -> ua.DataValue:
    shown = ua.NodeId(value) if name == "DataType" else value
    return ua.DataValue(ua.Variant(shown, _TYPES[name]))


def _reference(type: ua.NodeId, forward: bool, to: NodeData, definition: ua.NodeId | None) -> ua.ReferenceDescription:
    described = ua.ReferenceDescription()
    described.ReferenceTypeId, described.IsForward, described.NodeId = type, forward, to.nodeid
    described.NodeClass = ua.NodeClass(_attribute(to, _NODE_CLASS))
    described.BrowseName = _attribute(to, _BROWSE_NAME)
    described.DisplayName = _attribute(to, _DISPLAY_NAME)
    if definition is not None:
        described.TypeDefinition = definition
    return described


def _attribute(node: NodeData, attribute: ua.AttributeIds) -> Any:
    return node.attributes[attribute].value.Value.Value
