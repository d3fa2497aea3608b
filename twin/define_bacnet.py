"""Definitions of BACnet/IP: devices, their objects, and how they are read and written."""

from typing import Annotated, Literal

from pydantic import Field

from .define_payload import Polled, Protocol
from .define_types import Duration, Model, Name, Port, UnitText

LAST_DEVICE = 4_194_302
Priority = Annotated[int, Field(ge=1, le=16)]
DeviceId = Annotated[int, Field(ge=0, le=LAST_DEVICE)]


class BacnetObject(Polled):
    """An object of a BACnet device."""

    object: Annotated[str, Field(pattern=r"^[a-z-]+[,:]\d+$")]
    """Its type and instance, such as analog-input,1."""
    property: Name = "present-value"
    """The property that is read."""
    name: Name
    """What its readings are called."""
    device: Name | None = None
    """Whose value it is (the id of a component or sensor); left out, the device's `device`."""
    change_of_value: bool = True
    """Whether the device tells of changes instead of being asked, if it can."""
    unit: UnitText | None = None
    """Unit of its values; left out, what the device says."""
    state_texts: bool = True
    """Whether a multi-state value is given as the device's text for it, instead of as its number."""
    writable: bool | None = None
    """Whether it may be written; left out, as the source."""
    priority: Priority | None = None
    """Priority of our writes, 1 being the highest; left out, the source's."""


class BacnetDevice(Model):
    """A device on BACnet/IP."""

    device_id: DeviceId
    """Its device instance."""
    address: Name | None = None
    """Its address, such as 192.168.1.20 or 192.168.1.20:47808; left out, it is found by Who-Is."""
    device: Name | None = None
    """Whose values they are (the id of a component or sensor); left out, the names of the objects alone tell."""
    objects: Annotated[list[BacnetObject], Field(min_length=1)]
    """What is read."""


class BacnetProtocol(Protocol):
    """Devices on BACnet/IP."""

    name: Literal["bacnet"]
    """BACnet/IP."""
    address: Name | None = None
    """Our own address with its mask, such as 192.168.1.5/24; left out, the host's first."""
    port: Port = 47_808
    """UDP port."""
    own_device_id: DeviceId | None = None
    """Our own device instance; left out, one that is made of the host's name."""
    devices: Annotated[list[BacnetDevice], Field(min_length=1)]
    """The devices."""
    interval: Duration = 10.0
    """How often objects are asked that say nothing else."""
    timeout: Duration = 3.0
    """How long an answer may take."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often a request that got no answer is repeated before the device counts as silent."""
    heartbeat: Duration = 10.0
    """How often a device that only tells of changes is asked whether it is still there."""
    cov_lifetime: Annotated[Duration, Field(ge=2)] = 300.0
    """How long a subscription to changes lasts; it is renewed after half of it."""
    cov_confirmed: bool = True
    """Whether the device repeats what it tells until we have made it durable."""
    priority: Priority = 16
    """Priority of our writes, 1 being the highest; 8 is the manual operator's."""
    bbmd: Name | None = None
    """Broadcast management device of another network that we join as a foreign device, such as 10.0.0.2:47808."""
    bbmd_lifetime: Annotated[Duration, Field(ge=10, le=65_535)] = 60.0
    """How long that registration lasts; it is renewed before it ends."""
