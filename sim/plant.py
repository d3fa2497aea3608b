"""The demo's plant: all machines of the bottling line with their servers, in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from .bacnet_controller import bacnet_controller, free_udp_port
from .bottling_line import BottlingLine
from .broker import mqtt_broker
from .machines import Tally, mqtt_machines
from .modbus_drives import modbus_drives
from .opcua_machines import opcua_machines
from .performance import Performance
from .wiring import BACNET, MODBUS, MQTT, OPCUA

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Plant:
    """The line that lives, where its machines can be reached by protocol, and what was told over MQTT.

    variables: by which the line's definition says where they are.
    """

    performance: Performance
    addresses: dict[str, str]
    variables: dict[str, str]
    tally: Tally


@contextlib.asynccontextmanager
async def bottling_plant(line: BottlingLine, speed: float) -> AsyncIterator[Plant]:
    """Starts the machines. Raises MissingExtraError, SourceError."""
    performance = Performance(line, speed)
    first = performance.moment(0)
    async with contextlib.AsyncExitStack() as stack:
        broker, (opcua, endpoint), (modbus, port), (bacnet, controller) = await asyncio.gather(
            stack.enter_async_context(mqtt_broker(HOST)),
            stack.enter_async_context(opcua_machines(first, HOST)),
            stack.enter_async_context(modbus_drives(first, HOST)),
            stack.enter_async_context(bacnet_controller(first, HOST)),
        )
        machines = await stack.enter_async_context(mqtt_machines(broker))
        performance.speakers = (machines, opcua, modbus, bacnet)
        variables = {
            "BOTTLING_LINE_BROKER": broker,
            "BOTTLING_LINE_OPCUA": endpoint,
            "BOTTLING_LINE_MODBUS_PORT": str(port),
            "BOTTLING_LINE_BACNET": controller,
            "BOTTLING_LINE_BACNET_PORT": str(free_udp_port(HOST)),
        }
        gateway = f"modbus://{HOST}:{port}"
        yield Plant(
            performance,
            {MQTT: broker, OPCUA: endpoint, MODBUS: gateway, BACNET: f"bacnet://{controller}"},
            variables,
            machines.tally,
        )
