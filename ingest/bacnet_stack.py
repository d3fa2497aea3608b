"""The BACnet stack (bacpypes3) in the words of this house: objects and properties by name, values as Python's own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from bacpypes3.apdu import (
    ErrorRejectAbortNack,
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    SimpleAckPDU,
    SubscribeCOVRequest,
    WritePropertyRequest,
)
from bacpypes3.basetypes import PropertyIdentifier, PropertyReference, ReadAccessSpecification
from bacpypes3.constructeddata import SequenceOf
from bacpypes3.ipv4.app import ForeignApplication, NormalApplication
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import Address, IPv4Address
from bacpypes3.primitivedata import Null, ObjectIdentifier

from ..twin.define_bacnet import BacnetProtocol
from ..twin.errors import InvalidValueError, SourceError
from .bacnet_encoding import BacnetId, BacnetRefusal, decoded, encoded, plain, property_type
from .host_address import first_address, own_device_id

Wanted = Sequence[tuple[BacnetId, Sequence[str]]]
Told = Callable[["Change"], None]
_REGISTRATION_S = 3.0
_LEAVING_S = 0.05


class BacnetSilence(SourceError):
    """No answer came in time."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a device tells of itself. confirm: to be called once it is durable; None if nobody waits for that."""

    address: str
    process: int
    id: BacnetId
    values: dict[str, Any]
    confirm: Callable[[], None] | None


class _Notified:
    """What both kinds of application do with notifications: hand them over, and answer later."""

    told: Told | None = None

    async def do_ConfirmedCOVNotificationRequest(self, apdu: Any) -> None:
        if self.told is not None:
            self.told(_change(apdu, lambda: self._confirm(apdu)))

    async def do_UnconfirmedCOVNotificationRequest(self, apdu: Any) -> None:
        if self.told is not None:
            self.told(_change(apdu, None))

    def _confirm(self, apdu: Any) -> None:
        task = asyncio.ensure_future(self.response(SimpleAckPDU(context=apdu)))  # type: ignore[attr-defined]
        _answering.add(task)
        task.add_done_callback(_answering.discard)


_answering: set[asyncio.Future[None]] = set()


class _Normal(_Notified, NormalApplication):  # type: ignore[misc]
    pass


class _Foreign(_Notified, ForeignApplication):  # type: ignore[misc]
    pass


class Stack:
    """Requests to devices. Addresses are texts such as 192.168.1.20:47808."""

    def __init__(self, application: Any, settings: BacnetProtocol) -> None:
        self._application = application
        self._patience = settings.timeout * (settings.retries + 1) + 1.0
        self._timeout = settings.timeout

    def listen(self, told: Told) -> None:
        """Calls this with each notification of a change."""
        self._application.told = told

    async def find(self, device: int) -> str:
        """The address of a device instance, by Who-Is; raises BacnetSilence."""
        found = await self._application.who_is(device, device, timeout=self._timeout)
        if not found:
            raise BacnetSilence(
                "no answer to Who-Is; is it on this network? Give its `address`, or a `bbmd` if it is on another one"
            )
        return str(found[0].pduSource)

    async def all(self, low: int | None = None, high: int | None = None, seconds: float = 3.0) -> list[tuple[int, str]]:
        """Instances and addresses of all devices that answer to Who-Is."""
        found = await self._application.who_is(low, high, timeout=seconds)
        return sorted({(int(each.iAmDeviceIdentifier[1]), str(each.pduSource)) for each in found})

    async def instance(self, address: str) -> int:
        """The instance of the device at an address."""
        try:
            id = await self.read_one(address, ("device", 4_194_303), "object-identifier")
        except BacnetRefusal:
            # Not every device knows the instance that stands for whichever it is; to Who-Is all of them answer.
            found = await self._application.who_is(address=Address(address), timeout=self._timeout)
            if not found:
                raise BacnetSilence(f"the device at {address} does not tell its instance") from None
            id = found[0].iAmDeviceIdentifier
        return int(id[1])

    async def read(self, address: str, wanted: Wanted) -> dict[tuple[BacnetId, str], Any]:
        """Properties of several objects in one request; a BacnetRefusal in place of a value that is refused.

        Raises BacnetRefusal if all of it is, BacnetSilence.
        """
        specifications = [
            ReadAccessSpecification(
                objectIdentifier=ObjectIdentifier(id),
                listOfPropertyReferences=[
                    PropertyReference(propertyIdentifier=PropertyIdentifier(name)) for name in names
                ],
            )
            for id, names in wanted
        ]
        request = ReadPropertyMultipleRequest(
            listOfReadAccessSpecs=SequenceOf(ReadAccessSpecification)(specifications), destination=Address(address)
        )
        answer = await self._ask(request)
        found: dict[tuple[BacnetId, str], Any] = {}
        for result in answer.listOfReadAccessResults:
            id = plain(result.objectIdentifier)
            for element in result.listOfResults:
                name = str(element.propertyIdentifier)
                found[id, name] = _outcome(id, name, element.readResult)
        return found

    async def read_one(self, address: str, id: BacnetId, name: str, index: int | None = None) -> Any:
        """One property, or one element of it. Raises BacnetRefusal, BacnetSilence."""
        request = ReadPropertyRequest(
            objectIdentifier=ObjectIdentifier(id),
            propertyIdentifier=PropertyIdentifier(name),
            destination=Address(address),
        )
        if index is not None:
            request.propertyArrayIndex = index
        answer = await self._ask(request)
        return decoded(answer.propertyValue, id, name, index)

    async def write(self, address: str, id: BacnetId, name: str, value: Any, priority: int | None) -> None:
        """Sets a property; None gives up what was written at this priority. Raises BacnetRefusal, BacnetSilence."""
        kind = property_type(id, name)
        try:
            given = Null(()) if value is None else encoded(kind, value)
        except (TypeError, ValueError) as error:
            raise InvalidValueError(f"found {value!r}, which {id[0]},{id[1]} cannot hold: {error}") from None
        request = WritePropertyRequest(
            objectIdentifier=ObjectIdentifier(id),
            propertyIdentifier=PropertyIdentifier(name),
            propertyValue=given,
            destination=Address(address),
        )
        if priority is not None:
            request.priority = priority
        await self._ask(request)

    async def subscribe(self, address: str, id: BacnetId, process: int, confirmed: bool, lifetime: int) -> None:
        """Asks to be told of changes for so long [s], or renews that. Raises BacnetRefusal, BacnetSilence."""
        await self._ask(
            SubscribeCOVRequest(
                subscriberProcessIdentifier=process,
                monitoredObjectIdentifier=ObjectIdentifier(id),
                issueConfirmedNotifications=confirmed,
                lifetime=lifetime,
                destination=Address(address),
            )
        )

    async def unsubscribe(self, subscriptions: Sequence[tuple[str, BacnetId, int]]) -> None:
        """Tells devices (address, object, process) that we go, without waiting for their answers."""
        sent = [
            self._application.request(
                SubscribeCOVRequest(
                    subscriberProcessIdentifier=process,
                    monitoredObjectIdentifier=ObjectIdentifier(id),
                    destination=Address(address),
                )
            )
            for address, id, process in subscriptions
        ]
        await asyncio.sleep(_LEAVING_S if sent else 0)
        for future in sent:
            if not future.cancel():
                future.exception()  # looked at, or asyncio would report it

    async def _ask(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(self._patience):
                return await self._application.request(request)
        except ErrorRejectAbortNack as refusal:
            code = str(refusal.reason)
            if code == "no-response":
                raise BacnetSilence(
                    f"no answer within {self._timeout:g} s; is it on, and is its address right?"
                ) from None
            raise BacnetRefusal(code) from None
        except TimeoutError:
            raise BacnetSilence(f"no answer within {self._patience:g} s") from None


def canonical(address: str) -> str:
    """As the stack itself writes an address, which notifications are compared with; raises InvalidValueError."""
    try:
        return str(Address(address))
    except ValueError:
        raise InvalidValueError(f"found address {address!r}, expected one such as 192.168.1.20:47808") from None


@asynccontextmanager
async def opened(settings: BacnetProtocol) -> AsyncIterator[Stack]:
    """A stack on our own address, as a foreign device if a `bbmd` is named. Raises SourceError."""
    address = f"{settings.address or first_address()}:{settings.port}"
    try:
        local = IPv4Address(address)
    except ValueError:
        raise InvalidValueError(
            f"found address {settings.address!r}, expected our own with its mask, such as 192.168.1.5/24"
        ) from None
    _require_free(local.addrTuple)
    device = DeviceObject(
        objectIdentifier=("device", settings.own_device_id or own_device_id()),
        objectName="iotsense",
        description="IoTSense",
        vendorIdentifier=999,
        apduTimeout=round(settings.timeout * 1000),
        numberOfApduRetries=settings.retries,
    )
    application = (_Foreign if settings.bbmd else _Normal)(device, local)
    try:
        await _bound(application)
        if settings.bbmd:
            await _register(application, settings)
        yield Stack(application, settings)
    finally:
        if settings.bbmd:
            with suppress(AssertionError, RuntimeError):
                application.unregister()
        application.close()
        await asyncio.sleep(0)


def _require_free(address: tuple[str, int]) -> None:
    """The stack itself waits for ever for an address that it cannot have, and shares a port with another program."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError as error:
            raise SourceError(
                f"UDP {address[0]}:{address[1]} cannot be used: {error.strerror}; give our own `address` with its mask "
                "(such as 192.168.1.5/24), and a `port` that no other BACnet program of this host uses"
            ) from None


async def _bound(application: Any) -> None:
    """Waits until its sockets are open: those that are still being opened would not be closed."""
    server = application.server if isinstance(application, _Foreign) else application.normal.server
    try:
        async with asyncio.timeout(_REGISTRATION_S):
            await asyncio.gather(*list(server._transport_tasks))
    except TimeoutError:
        raise SourceError("the sockets could not be opened; is `address` one of this host's, with its mask?") from None
    await asyncio.sleep(0)


async def _register(application: Any, settings: BacnetProtocol) -> None:
    try:
        bbmd = IPv4Address(settings.bbmd)
    except ValueError:
        raise InvalidValueError(f"found bbmd {settings.bbmd!r}, expected an address such as 10.0.0.2:47808") from None
    application.register(bbmd, round(settings.bbmd_lifetime))
    with suppress(TimeoutError):
        async with asyncio.timeout(_REGISTRATION_S):
            await application.foreign._registration_event.wait()
    status = application.foreign.bbmdRegistrationStatus
    if status != 0:
        why = "does not answer" if status < 0 else f"refuses us (result {status:#06x})"
        raise SourceError(f"the BBMD {settings.bbmd} {why}; does it accept foreign devices?")


def _change(apdu: Any, confirm: Callable[[], None] | None) -> Change:
    id = plain(apdu.monitoredObjectIdentifier)
    values = {}
    for each in apdu.listOfValues:
        name = str(each.propertyIdentifier)
        with suppress(BacnetRefusal):
            values[name] = decoded(each.value, id, name, each.propertyArrayIndex)
    return Change(str(apdu.pduSource), int(apdu.subscriberProcessIdentifier), id, values, confirm)


def _outcome(id: BacnetId, name: str, result: Any) -> Any:
    if result.propertyAccessError:
        return BacnetRefusal(str(result.propertyAccessError.errorCode))
    try:
        return decoded(result.propertyValue, id, name)
    except BacnetRefusal as refusal:
        return refusal
