"""Filler and palletiser as an OPC UA server: an object for each, with units, ranges and the texts of its states."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ..twin.errors import MissingExtraError, SourceError
from ..twin.units import parse_unit
from .machine import Value
from .packml import PackML
from .wiring import OPCUA, RANGES, Moment

NAMESPACE = "urn:bottling-line"
_UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OpcUaMachines:
    """The variables of the machines; `say` sets them."""

    def __init__(self, server: Any, namespace: int) -> None:
        self._server = server
        self._namespace = namespace
        self._types: dict[str, Any] = {}

    async def say(self, moment: Moment) -> None:
        """Whoever reads or subscribes gets these values."""
        from asyncua import ua

        at = _EPOCH + timedelta(microseconds=moment.time // 1000)
        for machine, values in moment.spoken(OPCUA).items():
            for name, value in values.items():
                id = ua.NodeId(f"{machine}.{name}", self._namespace)
                shown = ua.Variant(_plain(value), self._types[f"{machine}.{name}"])
                await self._server.write_attribute_value(id, ua.DataValue(shown, SourceTimestamp=at))

    async def build(self, moment: Moment) -> None:
        """Makes the machines with what their sensors show at a moment."""
        from asyncua import ua

        folder = await self._server.nodes.objects.add_folder(self._id("line"), self._name("BottlingLine"))
        for machine, values in moment.spoken(OPCUA).items():
            kind = await self._server.nodes.base_object_type.add_object_type(
                self._id(f"type:{machine}"), self._name(f"{machine.capitalize()}Type")
            )
            node = await folder.add_object(self._id(machine), self._name(machine), objecttype=kind.nodeid)
            for name, value in values.items():
                await self._add(node, machine, name, value, ua)

    async def _add(self, node: Any, machine: str, name: str, value: Value, ua: Any) -> None:
        type, kind, properties = _described(name, value, ua)
        self._types[f"{machine}.{name}"] = type
        attributes = ua.VariableAttributes()
        attributes.DisplayName = ua.LocalizedText(name)
        attributes.Value, attributes.DataType = ua.Variant(_plain(value), type), ua.NodeId(type.value)
        attributes.ValueRank = ua.ValueRank.OneDimension if isinstance(value, list) else ua.ValueRank.Scalar
        attributes.AccessLevel = attributes.UserAccessLevel = 1 << ua.AccessLevel.CurrentRead
        item = ua.AddNodesItem()
        item.RequestedNewNodeId, item.BrowseName = self._id(f"{machine}.{name}"), self._name(name)
        item.NodeClass, item.NodeAttributes = ua.NodeClass.Variable, attributes
        item.ParentNodeId, item.ReferenceTypeId = node.nodeid, ua.NodeId(ua.ObjectIds.HasComponent)
        item.TypeDefinition = ua.NodeId(kind)
        (added,) = await self._server.iserver.isession.add_nodes([item])
        added.StatusCode.check()
        variable = self._server.get_node(added.AddedNodeId)
        for key, shown in properties.items():
            await variable.add_property(self._id(f"{machine}.{name}.{key}"), ua.QualifiedName(key, 0), shown)

    def _id(self, text: str) -> Any:
        from asyncua import ua

        return ua.NodeId(text, self._namespace)

    def _name(self, text: str) -> Any:
        from asyncua import ua

        return ua.QualifiedName(text, self._namespace)


def _plain(value: Value) -> Any:
    """A state is told by its number in PackML."""
    return int(PackML[value.upper()]) if isinstance(value, str) else value


def _described(name: str, value: Value, ua: Any) -> tuple[Any, int, dict[str, Any]]:
    """The type of a variable, its type definition, and its properties."""
    if isinstance(value, str):
        texts = ua.Variant([ua.LocalizedText(state.label) for state in PackML], ua.VariantType.LocalizedText)
        return ua.VariantType.UInt32, ua.ObjectIds.MultiStateDiscreteType, {"EnumStrings": texts}
    if isinstance(value, bool):
        states = {"FalseState": "open", "TrueState": "closed"}
        texts = {key: ua.Variant(ua.LocalizedText(text)) for key, text in states.items()}
        return ua.VariantType.Boolean, ua.ObjectIds.TwoStateDiscreteType, texts
    if name not in RANGES:
        return ua.VariantType.Double, ua.ObjectIds.BaseDataVariableType, {}
    range = RANGES[name]
    unit = parse_unit(range.unit)
    number = int.from_bytes(unit.unece.encode(), "big") if unit.unece else -1
    properties = {
        "EngineeringUnits": ua.EUInformation(
            _UNECE, number, ua.LocalizedText(unit.symbol), ua.LocalizedText(unit.name)
        ),
        "EURange": ua.Range(range.low, range.high),
    }
    return ua.VariantType.Double, ua.ObjectIds.AnalogItemType, properties


@contextlib.asynccontextmanager
async def opcua_machines(
    first: Moment, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[OpcUaMachines, str]]:
    """The server of the machines, which shows a first moment, and its address; port 0 chooses a free one.

    Raises MissingExtraError, SourceError.
    """
    try:
        from asyncua import Server, ua
    except ImportError:
        raise MissingExtraError("the demo's OPC UA machines", "demo") from None
    # It tells of every request, and of policies that it does not offer.
    logging.getLogger("asyncua.server").setLevel(logging.CRITICAL)
    server = Server()
    server.iserver.disabled_clock = True
    await server.init()
    server.set_server_name("Bottling line")
    server.set_endpoint(f"opc.tcp://{host}:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    machines = OpcUaMachines(server, await server.register_namespace(NAMESPACE))
    await machines.build(first)
    await machines.say(first)
    try:
        await server.start()
    except OSError as error:
        raise SourceError(f"the demo's OPC UA machines cannot listen on {host}:{port}: {error}") from error
    try:
        yield machines, f"opc.tcp://{host}:{server.bserver.port}"
    finally:
        await asyncio.shield(server.stop())
