"""Looking at BACnet/IP devices: who answers to Who-Is, what objects they have, and what they say of them."""

import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ..twin.define_bacnet import BacnetDevice, BacnetProtocol
from ..twin.define_types import MAX_ID_LENGTH
from ..twin.errors import InvalidValueError, MissingExtraError, SourceError
from .checked_settings import checked
from .found import DataType, Found, FoundNode, FoundPoint, Look

PORT = 47_808
_LIST = "object-list"
_NUMBERS = ("analog-", "integer-", "positive-integer-", "large-analog-", "accumulator")
_DESCRIBED = ("vendor-name", "model-name", "description", "location")


async def discover(
    url: str,
    look: Look,
    *,
    address: str | None = None,
    timeout: str = "2s",  # noqa: ASYNC109 a setting of the connection
    retries: int = 1,
    bbmd: str | None = None,
) -> Found:
    """Asks the device at bacnet://host:47808, or all that answer to Who-Is within `look.listen` at bacnet://*:47808.

    address: our own with its mask. Raises SourceError if none answers, InvalidValueError, MissingExtraError.
    """
    try:
        from .bacnet_stack import opened
    except ModuleNotFoundError:
        raise MissingExtraError("BACnet", "bacnet") from None
    host, port = _parts(url)
    settings = _settings(host, port, address, timeout, retries, bbmd)
    async with opened(settings) as stack:
        if host == "*":
            devices = await stack.all(seconds=look.listen)
        else:
            where = f"{socket.gethostbyname(host)}:{port}"
            devices = [(await stack.instance(where), where)]
        if not devices:
            raise SourceError(
                f"no BACnet device answered to Who-Is within {look.listen:g} s; is --address in their network? "
                "Devices of another network are reached by bacnet://HOST:47808, or with --set bbmd=HOST:47808"
            )
        search = _Search(stack, look, settings)
        nodes = [await search.device(*each) for each in devices]
    source: dict[str, Any] = {"name": "bacnet"} | ({"address": address} if address else {})
    source |= {"bbmd": bbmd} if bbmd else {}
    title = nodes[0].name if len(nodes) == 1 else "bacnet"
    return Found(source, nodes, title, search.notes)


def _parts(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "bacnet" or not parts.hostname:
        raise InvalidValueError(f"found {url!r}, expected bacnet://HOST:47808, or bacnet://*:47808 for all that answer")
    return parts.hostname, parts.port or PORT


def _settings(
    host: str, port: int, address: str | None, timeout: str, retries: int, bbmd: str | None
) -> BacnetProtocol:
    """A connection of our own for a while: to one device from any port, to all from theirs, as broadcasts go there."""
    one = host != "*"
    return checked(
        BacnetProtocol,
        {
            "name": "bacnet",
            "address": address or (f"{_our_address(host, port)}/32" if one else None),
            "port": _free_port() if one or bbmd else port,
            "timeout": timeout,
            "retries": retries,
            "bbmd": bbmd,
            "devices": [{"device_id": 0, "objects": [{"object": "device,0", "name": "x"}]}],
        },
    )


def _our_address(host: str, port: int) -> str:
    """By which address of ours the way leads to a host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect((host, port))
        except OSError as error:
            raise SourceError(f"{host} cannot be reached: {error.strerror or error}") from None
        found: str = way.getsockname()[0]
        return found


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


class _Search:
    def __init__(self, stack: Any, look: Look, settings: BacnetProtocol) -> None:
        self._stack = stack
        self._look = look
        self._settings = settings
        self.notes: list[str] = []
        self._count = 0

    async def device(self, instance: int, address: str) -> FoundNode:
        """A device and those of its objects that have values."""
        from .bacnet_device import Device

        self._look.tell(f"device {instance}", self._count)
        about = await self._about(instance, address)
        ids = [id for id in await self._objects(instance, address) if _has_value(id[0])]
        left = max(0, self._look.limit - self._count)
        if len(ids) > left:
            self.notes.append(f"device {instance}: {len(ids) - left} objects beyond the limit of {self._look.limit}")
            ids = ids[:left]
        points: list[FoundPoint] = []
        if ids:
            objects = [{"object": f"{kind},{number}", "name": f"{kind},{number}"} for kind, number in ids]
            definition = BacnetDevice.model_validate({"device_id": instance, "address": address, "objects": objects})
            device = Device(definition, self._settings, "bacnet")
            told = await device.read(self._stack, range(len(ids)), lambda thing: _asked(thing.id[0]))
            points = self._points(instance, address, ids, told)
        self._count += len(points)
        texts = {name: value for name, value in about.items() if isinstance(value, str) and value.strip()}
        make = " ".join(texts[name] for name in ("vendor-name", "model-name") if name in texts)
        return FoundNode(
            texts.get("object-name", f"device_{instance}"),
            points,
            type="bacnet_device",
            model=make or None,
            description=texts.get("description"),
            parameters={"bacnet_device_id": instance}
            | ({"location": texts["location"]} if "location" in texts else {}),
        )

    async def _about(self, instance: int, address: str) -> dict[str, Any]:
        about = {}
        for name in ("object-name", *_DESCRIBED):
            try:
                about[name] = await self._stack.read_one(address, ("device", instance), name)
            except SourceError:
                continue  # it does not say
        return about

    async def _objects(self, instance: int, address: str) -> list[tuple[str, int]]:
        """The object list: whole, or one by one from devices that cannot send so much at once."""
        from .bacnet_encoding import BacnetRefusal

        device = ("device", instance)
        try:
            found: list[tuple[str, int]] = await self._stack.read_one(address, device, _LIST)
        except BacnetRefusal:
            size = await self._stack.read_one(address, device, _LIST, 0)
            found = [await self._stack.read_one(address, device, _LIST, index) for index in range(1, size + 1)]
        others = Counter(kind for kind, _ in found if not _has_value(kind) and kind != "device")
        if others:
            words = ", ".join(f"{number} {kind}" for kind, number in sorted(others.items()))
            self.notes.append(f"device {instance}: objects without a value that can be read were left out: {words}")
        return found

    def _points(
        self, instance: int, address: str, ids: Sequence[tuple[str, int]], told: dict[int, dict[str, Any]]
    ) -> list[FoundPoint]:
        names = Counter(_name(id, told.get(row, {})) for row, id in enumerate(ids))
        points = []
        for row, id in enumerate(ids):
            about = told.get(row, {})
            name = _name(id, about)
            called = name if names[name] == 1 else f"{name} {id[0]},{id[1]}"
            points.append(_point(instance, address, id, called, about))
        return points


def _has_value(kind: str) -> bool:
    return kind.startswith((*_NUMBERS, "binary-", "multi-state-", "characterstring-"))


def _asked(kind: str) -> list[str]:
    """What is worth asking of an object."""
    asked = ["object-name", "description", "present-value"]
    if kind.startswith(_NUMBERS):
        asked += ["units", "min-pres-value", "max-pres-value"]
    elif kind.startswith("binary-"):
        asked += ["inactive-text", "active-text"]
    elif kind.startswith("multi-state-"):
        asked += ["state-text"]
    return asked


def _name(id: tuple[str, int], about: dict[str, Any]) -> str:
    name = about.get("object-name")
    return name.strip()[:MAX_ID_LENGTH] if isinstance(name, str) and name.strip() else f"{id[0]},{id[1]}"


def _point(instance: int, address: str, id: tuple[str, int], name: str, about: dict[str, Any]) -> FoundPoint:
    from .bacnet_encoding import BacnetRefusal
    from .bacnet_units import unit_of

    def text(key: str) -> str | None:
        value = about.get(key)
        return value.strip() or None if isinstance(value, str) else None

    kind, units, states = id[0], text("units"), about.get("state-text")
    refusal = about.get("present-value")
    item = {"device_id": instance, "address": address, "objects": [{"object": f"{kind},{id[1]}", "name": name}]}
    limits = [about.get(key) if isinstance(about.get(key), float | int) else None for key in _LIMITS]
    texts = [each for each in (text("inactive-text"), text("active-text")) if each]
    notes = [f"unit: {units}"] if units not in (None, "no-units") and unit_of(units or "") is None else []
    notes += [f"its value cannot be read: {refusal}"] if isinstance(refusal, BacnetRefusal) else []
    return FoundPoint(
        name,
        {"devices": [item]},
        source=f"bacnet/{instance}/{kind},{id[1]}",
        data_type=_data_type(kind),
        unit=unit_of(units or ""),
        low=limits[0],
        high=limits[1],
        labels=[str(each) for each in states] if isinstance(states, list) else (),
        stepped=not kind.startswith(_NUMBERS),
        writable=kind.endswith(("-output", "-value")),
        description=text("description") or " / ".join(texts) or None,
        note="; ".join(notes) or None,
    )


_LIMITS = ("min-pres-value", "max-pres-value")


def _data_type(kind: str) -> DataType:
    if kind.startswith("binary-"):
        return "boolean"
    return "number" if kind.startswith(_NUMBERS) else "text"
