"""What an OPC UA server offers: its objects as equipment, their variables as points with units, ranges and texts.

Servers that follow the companion specifications DI, Machinery or PackML show the plant in their words: what stands in
`DeviceSet` or `Machines` is equipment, the variables of a `ParameterSet` are the device's own, and its identification
becomes its make, model and parameters.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..twin.define_opcua import OpcUaProtocol
from ..twin.errors import InvalidValueError
from .found import SEPARATOR, Found, FoundNode, FoundPoint, Look, Scalar
from .opcua_browsing import Place, browse_tree, id_text
from .opcua_changes import plain
from .opcua_security import approach
from .opcua_session import OpcUaSession
from .opcua_variables import Variable, look_up
from .trust_store import TrustStore

# Folders of the companion specifications whose content belongs to what they stand in.
_TRANSPARENT = {"DeviceSet", "Machines", "Components", "ParameterSet", "PackMLObjects", "MachineryBuildingBlocks"}
# Their objects that hold no values of the plant.
_LEFT_OUT = {"MethodSet", "NetworkSet", "DeviceTopology", "DeviceFeatures", "Lock", "SupportedTypes", "Aliases"}
_IDENTIFICATION = "Identification"
_MODEL, _MAKER, _DESCRIPTION = "Model", ("Manufacturer", "ManufacturerUri"), ("DeviceClass", "ProductCode")
_BROWSE_NAME, _DESCRIPTION_ATTRIBUTE = 3, 5
_NO_TYPES = {"BaseObjectType", "FolderType", "FunctionalGroupType"}
_LONGEST_PARAMETER = 200


async def discover(
    url: str,
    look: Look,
    *,
    security_policy: str | None = None,
    security_mode: str | None = None,
    certificate: str | None = None,
    private_key: str | None = None,
    private_key_password: str | None = None,
    server_certificate: str | None = None,
    username: str | None = None,
    password: str | None = None,
    plain_password: bool | None = None,
    user_certificate: str | None = None,
    user_private_key: str | None = None,
    data: str | None = None,
) -> Found:
    """Browses a server. The settings are those of a source; data: the data directory whose trust list counts."""
    given = {name: value for name, value in locals().items() if value is not None}
    for name in ("url", "look", "data"):
        given.pop(name, None)
    source = {"name": "opcua", "endpoint": url, **given}
    try:
        settings = OpcUaProtocol.model_validate(source)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    place = Path(data or os.environ.get("IOTSENSE_DATA") or "iotsense-data")
    found = await approach(url, settings, TrustStore(place / "trust"))
    session = OpcUaSession(found)
    await session.open()
    try:
        root = await browse_tree(session, look.under, look.limit, lambda count: look.tell("browsing", count))
        title = plain(found.endpoint.Server.ApplicationName) or urlsplit(url).hostname
        return await _Finding(session, look, str(title)).found(source, root)
    finally:
        await session.close()


class _Finding:
    """Makes equipment of a tree."""

    def __init__(self, session: OpcUaSession, look: Look, title: str) -> None:
        self._session = session
        self._look = look
        self._title = title
        self._variables: dict[Any, Variable] = {}
        self._values: dict[Any, Any] = {}
        self._descriptions: dict[Any, str] = {}
        self._types: dict[Any, str] = {}
        self._unreadable: Counter[str] = Counter()
        self._alarms = 0

    async def found(self, source: Mapping[str, Any], root: Place) -> Found:
        """All of it."""
        wanted = [place for path, place in _variables_of(root, ()) if self._look.wants(path)]
        await self._read(wanted, _all(root))
        top = self._node(root)
        nodes = [top] if self._look.under else list(top.nodes)
        if top.points and not self._look.under:
            nodes.append(FoundNode(self._title, top.points))
        notes = [f"variables that are no values ({kind}): {count}" for kind, count in self._unreadable.items()]
        if self._alarms:
            notes.append(f"alarms: {self._alarms}; with `alarms: true` in the source they become events")
        if len(wanted) >= self._look.limit:
            notes.append(f"stopped at {self._look.limit} variables; begin lower down, or allow more")
        return Found(source, nodes, self._title, sorted(notes))

    async def _read(self, wanted: Sequence[Place], every: Sequence[Place]) -> None:
        session, look = self._session, self._look
        look.tell("reading units and ranges", len(wanted))
        variables = [Variable(place.id) for place in wanted]
        await look_up(session, variables)
        self._variables = {variable.id: variable for variable in variables}
        properties = [place.id for place in every if place.is_property]
        look.tell("reading values", len(wanted))
        ids = [*self._variables, *properties]
        self._values = dict(zip(ids, await session.read(ids), strict=True))
        descriptions = await session.read(list(self._variables), _DESCRIPTION_ATTRIBUTE)
        for id, value in zip(self._variables, descriptions, strict=True):
            text = plain(value.Value.Value) if value.Value is not None else None
            if isinstance(text, str) and text:
                self._descriptions[id] = text
        kinds = list({place.type for place in every if place.type is not None and not place.is_variable})
        for kind, value in zip(kinds, await session.read(kinds, _BROWSE_NAME), strict=True):
            name = getattr(value.Value.Value, "Name", None) if value.Value is not None else None
            if name and name not in _NO_TYPES:
                self._types[kind] = name

    def _node(self, place: Place) -> FoundNode:
        points: list[FoundPoint] = []
        nodes: list[FoundNode] = []
        parameters = self._parameters(place)
        for child in place.children:
            if _is_left_out(child):
                self._alarms += _is_condition(child)
                continue
            if child.is_variable:
                points += self._points(child, ())
            elif child.name == _IDENTIFICATION:
                parameters |= self._parameters(child)
            else:
                below = self._node(child)
                if child.name in _TRANSPARENT:
                    points += below.points
                    nodes += below.nodes
                elif below.points or below.nodes:
                    nodes.append(below)
        maker = next((str(parameters[name]) for name in _MAKER if parameters.get(name)), "")
        model = f"{maker} {parameters.get(_MODEL, '')}".strip()
        about = next((str(parameters[name]) for name in _DESCRIPTION if parameters.get(name)), None)
        kind = self._types.get(place.type)
        return FoundNode(place.name, points, nodes, kind, model or None, about, parameters)

    def _parameters(self, place: Place) -> dict[str, Scalar]:
        """The properties of an object: fixed values that tell what it is."""
        found: dict[str, Scalar] = {}
        for child in place.children:
            value = self._parameter(child.id) if child.is_property else None
            if value is not None:
                found[child.name] = value
        return found

    def _parameter(self, id: Any) -> Scalar | None:
        value = self._values.get(id)
        raw = value.Value.Value if value is not None and value.Value is not None else None
        text = getattr(raw, "Text", raw)
        if isinstance(text, str):
            return text if 0 < len(text) <= _LONGEST_PARAMETER else None
        return raw if isinstance(raw, bool | int | float) else None

    def _points(self, place: Place, within: tuple[str, ...]) -> list[FoundPoint]:
        """A variable, and those that it consists of."""
        path = (*within, place.name)
        found = []
        variable = self._variables.get(place.id)
        if variable is not None and (point := self._point(place, ".".join(path), variable)) is not None:
            found.append(point)
        for child in place.children:
            if child.is_variable and not child.is_property:
                found += self._points(child, path)
        return found

    def _point(self, place: Place, name: str, variable: Variable) -> FoundPoint | None:
        if variable.problem is not None:
            self._unreadable[variable.problem] += 1
            return None
        value = self._present(place.id)
        first = value[0] if isinstance(value, list) and value else value
        kind = _data_type(first, variable)
        if kind is None:
            self._unreadable[_kind_name(self._values.get(place.id), variable)] += 1
            return None
        id = id_text(place.id, self._session.namespaces)
        return FoundPoint(
            name,
            {"nodes": [{"id": id}]},
            id,
            data_type=kind,
            unit=variable.unit or variable.said_unit,
            low=variable.low,
            high=variable.high,
            labels=_labels(variable),
            elements=len(value) if isinstance(value, list) else None,
            writable=variable.writable,
            description=self._descriptions.get(place.id),
        )

    def _present(self, id: Any) -> Any:
        value = self._values.get(id)
        return plain(value.Value.Value) if value is not None and value.Value is not None else None


def _variables_of(place: Place, within: tuple[str, ...]) -> list[tuple[str, Place]]:
    """All variables below a place with their paths, as they are going to be called."""
    found = []
    for child in place.children:
        if _is_left_out(child):
            continue
        path = within if child.name in _TRANSPARENT else (*within, child.name)
        if child.is_variable:
            found.append((SEPARATOR.join(path), child))
        found += _variables_of(child, path)
    return found


def _is_left_out(place: Place) -> bool:
    return place.is_property or place.name in _LEFT_OUT or _is_condition(place)


def _is_condition(place: Place) -> bool:
    """Alarms show themselves as objects, which bear the fields of their events."""
    return any(child.is_property and child.name == "ConditionClassId" for child in place.children)


def _all(place: Place) -> list[Place]:
    return [place, *(below for child in place.children for below in _all(child))]


def _data_type(value: Any, variable: Variable) -> Any:
    """What sort of value it is: by what it holds, else by its type."""
    if variable.labels:
        return "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    kind = getattr(variable.data_type, "Identifier", None)
    standard = getattr(variable.data_type, "NamespaceIndex", None) == 0
    if standard and kind in (12, 21):
        return "text"
    if value is None and standard and kind is not None:
        return "boolean" if kind == 1 else "number" if kind in (*range(2, 12), 26, 27, 28, 29, 290) else None
    return None


def _labels(variable: Variable) -> list[str]:
    """Texts of 0, 1, ...; gaps are named by their number."""
    if not variable.labels or min(variable.labels) < 0:
        return []
    return [variable.labels.get(number, str(number)) for number in range(max(variable.labels) + 1)]


def _kind_name(value: Any, variable: Variable) -> str:
    kind = getattr(getattr(value, "Value", None), "VariantType", None)
    return str(getattr(kind, "name", None) or variable.data_type)
