"""What a server tells of its variables: units, ranges, texts of enumerations, types, and what may be done with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..twin.define_opcua import OpcUaNode
from ..twin.errors import InvalidValueError, SourceError
from ..twin.units import parse_unit
from .opcua_errors import explain
from .opcua_session import OpcUaSession

_UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
_DATA_TYPE, _VALUE_RANK, _ACCESS = 14, 15, 18
_CAN_WRITE, _CAN_READ_HISTORY = 2, 4
_PROPERTIES = ("EngineeringUnits", "EURange", "InstrumentRange", "EnumStrings", "EnumValues", "TrueState", "FalseState")
_HAS_PROPERTY = 46
_BUILT_IN = 29


@dataclass(slots=True)
class Variable:
    """A variable of a server as a session sees it.

    id: its node id in this session, None if it has none. unit: what its values are in, by a name that we know.
    said_unit: as the server writes it. low, high: its EURange [unit]. labels: texts of an enumeration, by number.
    data_type: node id of its type. rank: -1 for one value, 1 and more for arrays. problem: why it cannot be read.
    """

    id: Any = None
    unit: str | None = None
    said_unit: str | None = None
    low: float | None = None
    high: float | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    data_type: Any = None
    rank: int = -1
    writable: bool = False
    has_history: bool = False
    problem: str | None = None


async def configured_variables(
    session: OpcUaSession, nodes: Sequence[OpcUaNode], earlier: Sequence[str] = ()
) -> list[Variable]:
    """The configured nodes in their order; those that the server does not have say so in `problem`.

    earlier: the server's namespaces when `ns=` was first understood.
    """
    variables = [Variable() for _ in nodes]
    for node, variable in zip(nodes, variables, strict=True):
        try:
            variable.id = session.node_id(node.id, earlier)
        except SourceError as error:
            variable.problem = str(error)
    await look_up(session, [variable for variable in variables if variable.id is not None])
    for node, variable in zip(nodes, variables, strict=True):
        variable.unit = node.unit or variable.unit
        if node.enumeration == "number":
            variable.labels = {}
    return variables


async def look_up(session: OpcUaSession, variables: Sequence[Variable]) -> None:
    """Fills in what the server tells of variables whose `id` is known."""
    ids = [variable.id for variable in variables]
    types, ranks, access = [await session.read(ids, each) for each in (_DATA_TYPE, _VALUE_RANK, _ACCESS)]
    for variable, data_type, rank, may in zip(variables, types, ranks, access, strict=True):
        if data_type.StatusCode is not None and data_type.StatusCode.is_bad():
            variable.problem = explain(data_type.StatusCode.value)
            continue
        variable.data_type = _value(data_type)
        variable.rank = _value(rank) if isinstance(_value(rank), int) else -1
        flags = _value(may) if isinstance(_value(may), int) else 0
        variable.writable, variable.has_history = bool(flags & _CAN_WRITE), bool(flags & _CAN_READ_HISTORY)
    good = [variable for variable in variables if variable.problem is None]
    for variable, told in zip(good, await properties(session, [v.id for v in good], _PROPERTIES), strict=True):
        _take(variable, told)
    await _label_by_type(session, [variable for variable in good if not variable.labels])


async def properties(session: OpcUaSession, ids: Sequence[Any], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The values of these properties of nodes, by browse name; those that a node has."""
    from asyncua import ua

    descriptions = [
        ua.BrowseDescription(
            node,
            ua.BrowseDirection.Forward,
            ua.NodeId(_HAS_PROPERTY),
            True,
            ua.NodeClass.Variable,
            ua.BrowseResultMask.BrowseName,
        )
        for node in ids
    ]
    found: list[dict[str, Any]] = [{} for _ in ids]
    places: list[tuple[int, str]] = []
    targets = []
    for number, references in enumerate(await session.browse(descriptions)):
        for reference in references:
            if reference.BrowseName.Name in wanted:
                places.append((number, reference.BrowseName.Name))
                targets.append(_local(reference.NodeId))
    for (number, name), value in zip(places, await session.read(targets), strict=True):
        if value.StatusCode is None or value.StatusCode.is_good():
            found[number][name] = _value(value)
    return found


def unit_of(information: Any) -> tuple[str | None, str | None]:
    """The unit that an EUInformation means, by a name that we know (None if none does), and as the server writes it."""
    said = _text(getattr(information, "DisplayName", None))
    code = getattr(information, "UnitId", -1)
    texts = []
    if information is not None and information.NamespaceUri in (_UNECE, None) and code > 0:
        texts.append(code.to_bytes(4, "big").lstrip(b"\0").decode("ascii", "replace"))
    for text in (*texts, said):
        try:
            if text:
                return parse_unit(text).name, said or text
        except InvalidValueError:
            continue
    return None, said or None


def _take(variable: Variable, told: Mapping[str, Any]) -> None:
    variable.unit, variable.said_unit = unit_of(told.get("EngineeringUnits"))
    span = told.get("EURange") or told.get("InstrumentRange")
    low, high = getattr(span, "Low", None), getattr(span, "High", None)
    if low is not None and high is not None and low < high:
        variable.low, variable.high = float(low), float(high)
    variable.labels = labels_of(told)


def labels_of(told: Mapping[str, Any]) -> dict[int, str]:
    """The texts of an enumeration's numbers, from the properties of its variable or of its type."""
    if told.get("EnumValues"):
        return {int(each.Value): _text(each.DisplayName) or str(each.Value) for each in told["EnumValues"]}
    texts = told.get("EnumStrings") or ()
    return {number: text for number, each in enumerate(texts) if (text := _text(each))}


async def _label_by_type(session: OpcUaSession, variables: Sequence[Variable]) -> None:
    """Variables whose type is an enumeration of the server's own have their texts there."""
    kinds = {v.data_type for v in variables if v.data_type is not None and not _is_built_in(v.data_type)}
    told = dict(zip(kinds, await properties(session, list(kinds), ("EnumStrings", "EnumValues")), strict=True))
    for variable in variables:
        if variable.data_type in told:
            variable.labels = labels_of(told[variable.data_type])


def _is_built_in(data_type: Any) -> bool:
    number = data_type.Identifier
    return bool(data_type.NamespaceIndex == 0 and isinstance(number, int) and number < _BUILT_IN)


def _local(node: Any) -> Any:
    """An expanded node id as a node id of the server itself."""
    from asyncua import ua

    return ua.NodeId(node.Identifier, node.NamespaceIndex)


def _value(data_value: Any) -> Any:
    return data_value.Value.Value if data_value.Value is not None else None


def _text(localized: Any) -> str | None:
    return getattr(localized, "Text", None) or (localized if isinstance(localized, str) else None)
