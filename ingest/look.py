"""Looks at a device by the protocol that it speaks; each protocol's way of looking is loaded when it is wanted."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from ..twin.errors import InvalidValueError
from .found import Found, Look

PROTOCOLS = ("opcua", "modbus", "bacnet", "mqtt", "sparkplug")


async def look_at(protocol: str, url: str, look: Look, settings: Mapping[str, Any]) -> Found:
    """What the device at the address offers; settings are those of its connection, by the definition's names.

    Raises InvalidValueError for an address or a setting that makes no sense, SourceError, MissingExtraError.
    """
    _check_url(url)
    discover = import_module(f".discover_{protocol}", __package__).discover
    known = [name for name in inspect.signature(discover).parameters if name not in ("url", "look")]
    for name in settings:
        if name not in known:
            raise InvalidValueError(f"{protocol} has no setting {name} here; it knows {', '.join(known)}", name)
    found: Found = await discover(url, look, **settings)
    return found


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        without_host = not parts.netloc and not parts.path
        _ = parts.port
    except ValueError:
        raise InvalidValueError(f"{url!r} is no address", "url") from None
    if parts.password is not None:
        # The address is not repeated: it holds a secret.
        raise InvalidValueError("found a password in the address; name the user and where the password is", "url")
    if "://" not in url or without_host:
        raise InvalidValueError(f"found {url!r}, expected an address such as opc.tcp://host:4840", "url")
