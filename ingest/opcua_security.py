"""How an OPC UA server is reached: the endpoint that the configuration asks for, certificates of both sides, the user.

What is configured is what is spoken: a server that does not offer it is an error that names what it offers.
"""

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..twin.define_opcua import OpcUaConnection
from ..twin.errors import InvalidValueError, MissingExtraError, SourceError
from ..twin.substitution import reveal
from .opcua_errors import translated
from .trust_store import TrustStore, application_uri_of, expiry_remarks, read_certificate, thumbprint

_POLICY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
_KEY_ENDINGS = (".key", ".pem", ".der", "_key.pem", "_key.der")
_DEFAULT_PORT = 4840


@dataclass(slots=True)
class Approach:
    """A client that is ready to connect.

    endpoint: what the server says of itself (asyncua's EndpointDescription). user_token: the way of logging in that
    was chosen of those that it offers. expected: the certificate (DER) that the
    server must show though the connection is not secured, because a password is encrypted for it. remarks: what
    somebody should know.
    """

    client: Any
    endpoint: Any
    user_token: Any = None
    username: str | None = None
    password: str | None = None
    expected: bytes | None = None
    remarks: list[str] = field(default_factory=list)


def require_library() -> None:
    """Raises MissingExtraError unless asyncua can be imported."""
    try:
        import asyncua  # noqa: F401
    except ImportError:
        raise MissingExtraError("OPC UA", "opcua") from None
    # It tells of every publication and of every connection that ends; we tell what matters.
    for part in ("client", "common", "crypto"):
        logging.getLogger(f"asyncua.{part}").setLevel(logging.CRITICAL + 1)


async def approach(url: str, settings: OpcUaConnection, trust: TrustStore) -> Approach:
    """Asks the server for its endpoints and prepares a client for the configured one.

    Raises SourceError if the server cannot be reached, does not offer it or is not trusted; InvalidValueError for
    files and secrets of ours that are missing or wrong.
    """
    require_library()
    found = Approach(_client(url, settings), None)
    with translated(f"asking {url} for its endpoints"):
        endpoints = await found.client.connect_and_get_server_endpoints()
    found.client = _client(url, settings)
    found.endpoint = _chosen(endpoints, settings)
    mode = _mode(settings)
    if settings.security_policy != "None":
        found.remarks += _check_server(found.endpoint, url, settings, trust)
        found.remarks += await _secure(found, settings, trust, mode)
    elif settings.server_certificate and not settings.username:
        raise InvalidValueError("server_certificate needs a `security_policy`: without one nobody proves who he is")
    await log_in(found, settings)
    if found.password and settings.security_policy == "None" and not settings.plain_password:
        # It is encrypted for whoever shows this certificate; that must not be anybody.
        found.remarks += _check_server(found.endpoint, url, settings, trust)
        found.expected = found.endpoint.ServerCertificate
    return found


def host_and_port(url: str) -> tuple[str, int]:
    """Where a server is; raises InvalidValueError for an address that cannot be spoken to."""
    parts = urlsplit(url)
    if parts.scheme != "opc.tcp":
        raise InvalidValueError(f"{url}: {parts.scheme} is not spoken here; use the server's opc.tcp address")
    if not parts.hostname:
        raise InvalidValueError(f"{url} names no host; write opc.tcp://HOST:4840")
    return parts.hostname, parts.port or _DEFAULT_PORT


def _client(url: str, settings: OpcUaConnection) -> Any:
    from asyncua import Client

    host, port = host_and_port(url)
    path = urlsplit(url).path
    shown = f"[{host}]" if ":" in host else host
    client = Client(f"opc.tcp://{shown}:{port}{path}", timeout=settings.timeout)
    client.name = client.description = "IoTSense"
    client.product_uri = "urn:iotsense"
    client.application_uri = settings.application_uri or _default_uri()
    client.session_timeout = round(settings.session_timeout * 1000)
    return client


def _default_uri() -> str:
    return f"urn:{socket.gethostname()}:iotsense"


def _mode(settings: OpcUaConnection) -> str:
    return settings.security_mode or ("None" if settings.security_policy == "None" else "SignAndEncrypt")


def _chosen(endpoints: Sequence[Any], settings: OpcUaConnection) -> Any:
    wanted = (settings.security_policy, _mode(settings))
    spoken = [each for each in endpoints if (each.EndpointUrl or "opc.tcp").startswith("opc.tcp")]
    offered = [(each.SecurityPolicyUri.rpartition("#")[2], _mode_name(each), each) for each in spoken]
    fitting = [each for policy, mode, each in offered if (policy, mode) == wanted]
    if not fitting:
        known = sorted({f"{policy} with {mode}" for policy, mode, _ in offered})
        raise SourceError(
            f"the server does not offer security_policy {wanted[0]} with security_mode {wanted[1]}; "
            f"it offers {', '.join(known) or 'nothing'}"
        )
    return fitting[0]


def _mode_name(endpoint: Any) -> str:
    return str(endpoint.SecurityMode.name).rstrip("_")


def _check_server(endpoint: Any, url: str, settings: OpcUaConnection, trust: TrustStore) -> list[str]:
    der = endpoint.ServerCertificate
    if not der:
        raise SourceError("the server shows no certificate, so nobody can know who it is")
    if settings.server_certificate:
        pinned = _file(settings.server_certificate, "server_certificate")
        shown = read_certificate(der)
        if shown != pinned:
            raise SourceError(
                f"the server shows the certificate {thumbprint(shown)[:16]}, but server_certificate "
                f"{settings.server_certificate} is {thumbprint(pinned)[:16]}: give the new file if it was renewed"
            )
        return []
    try:
        return trust.require_trusted(der, host_and_port(url)[0], endpoint.Server.ApplicationUri)
    except InvalidValueError as error:  # a file of the store is none; it may be mended while we try again
        raise SourceError(f"{error}: replace or remove it") from None


async def _secure(found: Approach, settings: OpcUaConnection, trust: TrustStore, mode: str) -> list[str]:
    from asyncua import ua
    from asyncua.crypto import security_policies, uacrypto

    certificate, key = own_certificate(settings, trust)
    ours = read_certificate(certificate.read_bytes(), str(certificate))
    uri = application_uri_of(ours)
    if settings.application_uri and uri != settings.application_uri:
        raise InvalidValueError(f"the certificate {certificate} is for {uri}, not for {settings.application_uri}")
    found.client.application_uri = uri or found.client.application_uri
    password = reveal(settings.private_key_password) if settings.private_key_password else None
    policy = getattr(security_policies, f"SecurityPolicy{settings.security_policy.replace('_', '')}")
    server = read_certificate(found.endpoint.ServerCertificate)
    try:
        await found.client.set_security(
            policy,
            uacrypto.CertProperties(uacrypto.der_from_x509(ours), "der"),
            uacrypto.CertProperties(*_key(key), password),
            server_certificate=uacrypto.CertProperties(uacrypto.der_from_x509(server), "der"),
            mode=getattr(ua.MessageSecurityMode, mode),
        )
    except (ValueError, TypeError, OSError) as error:
        raise InvalidValueError(f"the private key {key} cannot be used: {error}") from None
    return expiry_remarks(certificate, "our certificate")


def own_certificate(settings: OpcUaConnection, trust: TrustStore) -> tuple[Path, Path]:
    """Our certificate and its key: those of the configuration, or ones of our own making."""
    if settings.certificate is None:
        return trust.own(settings.application_uri or _default_uri(), socket.gethostname())
    certificate = Path(settings.certificate)
    _file(settings.certificate, "certificate")
    if settings.private_key is not None:
        key = Path(settings.private_key)
        if not key.is_file():
            raise InvalidValueError(f"private_key {key} is not there")
        return certificate, key
    beside = [certificate.parent / f"{certificate.stem}{ending}" for ending in _KEY_ENDINGS]
    for path in beside:
        if path.is_file() and path != certificate:
            return certificate, path
    raise InvalidValueError(f"the certificate {certificate} has no key beside it: give its `private_key`")


def _key(path: Path) -> tuple[bytes, str]:
    """A file and what asyncua is to take it for; by what is in it, as names mean little."""
    data = path.read_bytes()
    return data, "pem" if data.lstrip().startswith(b"-----") else "der"


def _file(name: str, key: str) -> Any:
    try:
        return read_certificate(Path(name).read_bytes(), f"{key} {name}")
    except OSError as error:
        raise InvalidValueError(f"{key} {name} cannot be read: {error.strerror}") from None


async def log_in(found: Approach, settings: OpcUaConnection) -> None:
    """Chooses how we log in, of what the endpoint offers; a password is encrypted if any way encrypts it.

    Raises SourceError if the server does not take what is configured, InvalidValueError for secrets and files of ours.
    """
    from asyncua import ua

    kind = ua.UserTokenType.Anonymous
    if settings.user_certificate:
        kind = ua.UserTokenType.Certificate
        await _load_user(found.client, settings)
    elif settings.username:
        kind = ua.UserTokenType.UserName
        found.username = settings.username
        found.password = reveal(settings.password) if settings.password else None
    offered = found.endpoint.UserIdentityTokens or ()
    fitting = [token for token in offered if token.TokenType == kind]
    if not fitting:
        ways = ", ".join(sorted({_WAYS[token.TokenType.name] for token in offered if token.TokenType.name in _WAYS}))
        raise SourceError(f"the server does not let us in with {_WAYS[kind.name]}; it takes {ways or 'nobody'}")
    encrypting = [token for token in fitting if _policy_of(token, found) != "None"]
    found.user_token = (encrypting or fitting)[0]
    plain = not encrypting and not _encrypted(settings)
    if found.password and plain and not settings.plain_password:
        raise InvalidValueError(
            "the server would take the password in plain text: set `security_policy`, or `plain_password: true` if "
            "nobody can listen on this network"
        )


def _policy_of(token: Any, found: Approach) -> str:
    """By which policy a user's secret is encrypted; left open, by that of the connection."""
    uri: str = token.SecurityPolicyUri or found.endpoint.SecurityPolicyUri
    return uri.removeprefix(_POLICY_URI)


_WAYS = {"Anonymous": "no user", "UserName": "a `username`", "Certificate": "a `user_certificate`"}


def _encrypted(settings: OpcUaConnection) -> bool:
    return _mode(settings) == "SignAndEncrypt"


async def _load_user(client: Any, settings: OpcUaConnection) -> None:
    from asyncua.crypto import uacrypto

    client.user_certificate = _file(settings.user_certificate or "", "user_certificate")
    password = reveal(settings.user_private_key_password) if settings.user_private_key_password else None
    try:
        data, extension = _key(Path(settings.user_private_key or ""))
        client.user_private_key = await uacrypto.load_private_key(data, password, extension)
    except (ValueError, TypeError, OSError) as error:
        raise InvalidValueError(f"user_private_key {settings.user_private_key} cannot be used: {error}") from None
