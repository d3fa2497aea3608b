"""Settings of a service: where its definitions and data are, and where it listens."""

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .graphql.options import DEFAULTS, Options
from .twin.errors import InvalidValueError, IoTSenseError
from .twin.oidc_config import OidcConfig

DEFAULT_DATA = Path("iotsense-data")
DEFAULT_LISTEN = "127.0.0.1:8080"
SOCKET_NAME = "iotsense.sock"


class NotLoopbackError(IoTSenseError):
    """The service was asked to listen where others can reach it, and has no key that tells them apart."""


class AddressInUseError(IoTSenseError):
    """The address is taken by another process, or is not one of this machine."""


class Listen(NamedTuple):
    """A TCP address to listen on; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_LISTEN = Listen("127.0.0.1", 8080)


@dataclass(frozen=True, slots=True)
class Settings:
    """What `iotsense run` was told.

    tls: the files of certificate and key. syslog: where the audit log is sent, too. graphql: what may be asked there.
    tls_client_ca: who signs client certificates. origins: whose pages may use the service. oidc: whose tokens are
    believed.
    """

    data: Path = DEFAULT_DATA
    definitions: tuple[Path, ...] = ()
    listen: Listen = _LISTEN
    tls: tuple[Path, Path] | None = None
    log_format: str = "text"
    log_level: str = "info"
    syslog: str | None = None
    graphql: Options = DEFAULTS
    origins: tuple[str, ...] = ()
    tls_client_ca: Path | None = None
    oidc: OidcConfig | None = None

    @property
    def socket(self) -> Path:
        """Where the verbs reach the service."""
        return self.data / SOCKET_NAME


def parse_listen(text: str) -> Listen:
    """`HOST:PORT`, `[::1]:PORT`, `:PORT` or `PORT`; raises InvalidValueError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise InvalidValueError(f"{text!r} is no address to listen on, such as {DEFAULT_LISTEN}", "listen")
    return Listen(host, int(port))


def beyond_loopback(listen: Listen) -> str | None:
    """The first address of it that others could reach; None if only this machine can. Raises InvalidValueError."""
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidValueError(f"{listen.host!r} is no address of this machine: {error}", "listen") from None
    return next((str(each[4][0]) for each in found if not ipaddress.ip_address(each[4][0]).is_loopback), None)


def bind(listen: Listen) -> socket.socket:
    """A listening TCP socket; raises AddressInUseError."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    # With the protocol named, asyncio knows that this is TCP and switches off Nagle's delay: 40 ms an answer.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((listen.host, listen.port))
        taken.listen(2048)
    except OSError as error:
        taken.close()
        raise AddressInUseError(f"cannot listen on {listen}: {error.strerror or error}") from error
    taken.setblocking(False)
    return taken


def bind_unix(path: Path) -> socket.socket:
    """A listening socket that only this user may open; raises AddressInUseError.

    Call it only with the data directory locked: a socket that is there was left by a process that is gone.
    """
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        taken.bind(str(path))
        taken.listen(128)
    except OSError as error:
        taken.close()
        raise AddressInUseError(f"cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    taken.setblocking(False)
    return taken
