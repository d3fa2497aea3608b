"""The building's controller as a BACnet/IP device: it looks after the product tank, and tells of changes (COV)."""

import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

from ..twin.errors import MissingExtraError, SourceError
from .wiring import BACNET, RANGES, Moment

DEVICE = 120
_ANY_DEVICE = 4_194_303
# object instance -> machine, sensor, unit in the words of BACnet, change that is told [unit]
OBJECTS = {
    1: ("filler", "tank_level", "percent", 0.2),
    2: ("filler", "tank_pressure", "bars", 0.01),
    3: ("filler", "product_temperature", "degreesCelsius", 0.05),
}


class BacnetController:
    """The controller's analog inputs; `say` sets them."""

    def __init__(self, inputs: dict[int, Any]) -> None:
        self._inputs = inputs

    async def say(self, moment: Moment) -> None:
        """Whoever asks gets these values, whoever subscribed is told of what changed enough."""
        spoken = moment.spoken(BACNET)
        for number, (machine, sensor, _, _) in OBJECTS.items():
            self._inputs[number].presentValue = float(spoken[machine][sensor])  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def bacnet_controller(first: Moment, host: str = "127.0.0.1") -> AsyncIterator[tuple[BacnetController, str]]:
    """The controller, which shows a first moment, and its address, host:port. Raises MissingExtraError, SourceError."""
    try:
        from bacpypes3.local.analog import AnalogInputObject
    except ImportError:
        raise MissingExtraError("the demo's BACnet controller", "demo") from None
    logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)
    address = f"{host}:{free_udp_port(host)}"
    application = _application(address)
    inputs = {}
    for number, (machine, sensor, unit, step) in OBJECTS.items():
        range = RANGES[sensor]
        inputs[number] = AnalogInputObject(
            objectIdentifier=("analog-input", number),
            objectName=f"{machine}.{sensor}",
            description=f"{sensor.replace('_', ' ')} of the {machine}",
            presentValue=float(first.values[machine][sensor]),  # type: ignore[arg-type]
            units=unit,
            covIncrement=step,
            minPresValue=range.low,
            maxPresValue=range.high,
        )
        application.add_object(inputs[number])
    try:
        yield BacnetController(inputs), address
    finally:
        application.close()


def _application(address: str) -> Any:
    from bacpypes3.ipv4.app import NormalApplication
    from bacpypes3.local.device import DeviceObject
    from bacpypes3.pdu import IPv4Address
    from bacpypes3.primitivedata import ObjectType

    device = DeviceObject(
        objectIdentifier=("device", DEVICE),
        objectName="Building controller",
        description="Product tank of the filler",
        vendorIdentifier=999,
        vendorName="IoTSense",
        modelName="tank controller",
    )

    class Controller(NormalApplication):  # type: ignore[misc]
        async def do_ReadPropertyRequest(self, apdu: Any) -> None:
            # "Whoever you are" (Clause 12.11.1); the library compares it with a word and never recognises it.
            if tuple(apdu.objectIdentifier) == (ObjectType.device, _ANY_DEVICE):
                apdu.objectIdentifier = device.objectIdentifier
            await super().do_ReadPropertyRequest(apdu)

    return Controller(device, IPv4Address(address))


def free_udp_port(host: str) -> int:
    """A port on which nobody listens now: the library can neither choose one nor say that one is taken."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise SourceError(f"the demo's BACnet controller cannot listen on {host}: {error}") from error
