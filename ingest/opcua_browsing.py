"""The address space of an OPC UA server as a tree of objects and variables, each once."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..twin.errors import InvalidValueError, SourceError
from .opcua_session import OpcUaSession

_OBJECTS = "i=85"
_HIERARCHICAL, _HAS_PROPERTY = 33, 46
_OBJECT, _VARIABLE = 1, 2
_DEEPEST = 20


@dataclass(slots=True)
class Place:
    """A node of the tree. id: asyncua's; type: node id of its type definition; is_property: hangs by HasProperty."""

    id: Any
    name: str
    is_variable: bool = False
    is_property: bool = False
    type: Any = None
    children: list["Place"] = field(default_factory=list)


async def browse_tree(session: OpcUaSession, under: str | None, limit: int, tell: Callable[[int], None]) -> Place:
    """Everything below a place that is not the server's own.

    under: a node id, or names joined by `/` from the folder Objects on. limit: at most so many variables. tell: is
    called with their number. Raises SourceError; InvalidValueError if there is no such place.
    """
    root = await _beginning(session, under)
    seen = {root.id}
    frontier, variables = [root], 0
    for _ in range(_DEEPEST):
        found = await session.browse([_below(place.id) for place in frontier])
        following: list[Place] = []
        for place, references in zip(frontier, found, strict=True):
            for child in _places(references):
                if child.id in seen or child.id.NamespaceIndex == 0 or variables >= limit:
                    continue
                seen.add(child.id)
                place.children.append(child)
                variables += child.is_variable and not child.is_property
                if not child.is_property:
                    following.append(child)
        tell(variables)
        frontier = following
        if not frontier:
            break
    return root


def id_text(node: Any, namespaces: Sequence[str]) -> str:
    """A node id with the URI of its namespace, which holds when the server orders them anew."""
    identifier = node.Identifier
    if isinstance(identifier, int):
        rest = f"i={identifier}"
    elif isinstance(identifier, str):
        rest = f"s={identifier}"
    elif isinstance(identifier, bytes):
        rest = f"b={base64.b64encode(identifier).decode()}"
    else:
        rest = f"g={identifier}"
    index = node.NamespaceIndex
    return f"nsu={namespaces[index]};{rest}" if 0 < index < len(namespaces) else rest


async def _beginning(session: OpcUaSession, under: str | None) -> Place:
    root = Place(session.node_id(_OBJECTS), "Objects")
    if not under:
        return root
    if under.startswith(("ns=", "nsu=", "i=", "s=", "g=", "b=")):
        try:
            return Place(session.node_id(under), under)
        except SourceError as error:
            raise InvalidValueError(str(error), "under") from None
    place = root
    for name in filter(None, under.split("/")):
        children = _places((await session.browse([_below(place.id)]))[0])
        below = next((child for child in children if child.name == name), None)
        if below is None:
            known = ", ".join(sorted(child.name for child in children)[:10])
            raise InvalidValueError(f"there is no {name} below {place.name}; there are {known or 'none'}", "under")
        place = below
    return place


def _below(node: Any) -> Any:
    from asyncua import ua

    return ua.BrowseDescription(
        node,
        ua.BrowseDirection.Forward,
        ua.NodeId(_HIERARCHICAL),
        True,
        _OBJECT | _VARIABLE,
        ua.BrowseResultMask.All,
    )


def _places(references: Sequence[Any]) -> list[Place]:
    from asyncua import ua

    return [
        Place(
            ua.NodeId(each.NodeId.Identifier, each.NodeId.NamespaceIndex),
            each.BrowseName.Name or "",
            int(each.NodeClass) == _VARIABLE,
            each.ReferenceTypeId.Identifier == _HAS_PROPERTY,
            ua.NodeId(each.TypeDefinition.Identifier, each.TypeDefinition.NamespaceIndex),
        )
        for each in references
        if not getattr(each.NodeId, "ServerIndex", 0)
    ]
