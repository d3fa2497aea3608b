"""This host in its network: the address and mask of its first interface, for protocols that broadcast."""

import asyncio
import fcntl
import ipaddress
import socket
import struct
import zlib

from ..twin.errors import InvalidValueError, SourceError

# Linux: sockios.h.
_ADDRESS, _MASK = 0x8915, 0x891B
_OURS = 4_000_000


def first_address() -> str:
    """Address and mask of the first interface that is not the loopback, such as 192.168.1.5/24."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                address, mask = (_asked(asking, code, name) for code in (_ADDRESS, _MASK))
            except OSError:
                continue  # it has none
            if not ipaddress.ip_address(address).is_loopback:
                return f"{address}/{ipaddress.ip_network(f'0.0.0.0/{mask}').prefixlen}"
    raise InvalidValueError("this host has no network address; give our own `address`, such as 192.168.1.5/24")


def _asked(asking: socket.socket, code: int, name: str) -> str:
    answer = fcntl.ioctl(asking.fileno(), code, struct.pack("256s", name.encode()[:15]))
    return socket.inet_ntoa(answer[20:24])


async def resolved(address: str) -> str:
    """`host:port` with the host as a number, as BACnet wants it; SourceError if nobody knows the host."""
    host, colon, port = address.partition(":")
    if not any(char.isalpha() for char in host):
        return address
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
    except OSError as error:
        raise SourceError(f"the host {host} is not known: {error.strerror or error}") from None
    return f"{found[0][4][0]}{colon}{port}"


def own_device_id() -> int:
    """A BACnet device instance that is the same after a restart, and another one on another host."""
    return _OURS + zlib.crc32(socket.gethostname().encode()) % 100_000
