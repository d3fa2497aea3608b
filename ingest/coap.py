"""CoAP (RFC 7252): what both sides share, and which of them a configured source is. Needs the extra `coap`."""

import importlib.util
import logging
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..twin.errors import InvalidValueError, MissingExtraError, SourceError
from ..twin.substitution import reveal
from .configured import Configured
from .reconnecting import ReconnectingAdapter, Surroundings
from .tls import tls_reason

if TYPE_CHECKING:
    import aiocoap

DEFAULT_MAX_AGE = 60.0
"""How long a representation is fresh that does not say it (RFC 7252, 5.10.5) [s]."""
_PORTS = {"coap": 5683, "coap+tcp": 5683, "coaps": 5684, "coaps+tcp": 5684}
_MEDIA = {0: "text/plain", 42: "application/octet-stream", 50: "application/json", 60: "application/cbor",
          110: "application/senml+json", 112: "application/senml+cbor"}  # fmt: skip


def coap_adapter(source: Configured, surroundings: Surroundings) -> ReconnectingAdapter:
    """A client for an `endpoint`, a server for `listen`."""
    if source.settings.listen is not None:
        from .coap_server import CoapServerAdapter

        return CoapServerAdapter(source, surroundings)
    from .coap_client import CoapClientAdapter

    return CoapClientAdapter(source, surroundings)


def require_coap(scheme: str) -> None:
    """Raises MissingExtraError if a library is missing that this scheme needs."""
    # What it tells of each block and each closed session would fill the log; what ends an exchange is an exception.
    for name in ("coap", "coap-server"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if importlib.util.find_spec("aiocoap") is None:
        raise MissingExtraError("CoAP", "coap")
    if scheme == "coaps" and importlib.util.find_spec("DTLSSocket") is None:
        raise MissingExtraError("CoAP over DTLS (coaps://)", "coap-dtls")


def address_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def media_type(number: int | None) -> str | None:
    """The media type of a content format; None if it is not said."""
    if number is None:
        return None
    return _MEDIA.get(int(number), f"application/x-coap-content-format-{int(number)}")


def psk_credentials(settings: Any) -> dict[str, Any]:
    """The pre-shared key of a source as aiocoap's credentials know one. Raises InvalidValueError if it is not there."""
    return {"psk": reveal(settings.psk).encode(), "client-identity": settings.psk_identity.encode()}


def failure(error: Exception, scheme: str) -> SourceError:
    """A failed exchange in words."""
    import aiocoap.error as coap
    from aiocoap.credentials import CredentialsMissingError

    text = str(error) or type(error).__name__
    if isinstance(error, coap.TimeoutError | TimeoutError):
        hint = "; with DTLS a wrong `psk` or `psk_identity` looks like that, too" if scheme == "coaps" else ""
        return SourceError(f"it does not answer{hint}")
    if isinstance(error, coap.ResolutionError):
        return SourceError(f"the host's name cannot be resolved: {text}")
    if isinstance(error, CredentialsMissingError):
        return SourceError("there is no key for it: set `psk` and `psk_identity`")
    if "DTLS" in type(error).__name__ or "DTLS" in text:
        return SourceError(f"the DTLS handshake failed: check `psk` and `psk_identity` ({text})")
    cause: BaseException | None = error
    while cause is not None:
        if (words := tls_reason(cause)) is not None:
            return SourceError(words)
        if isinstance(cause, OSError):
            reason = os.strerror(cause.errno) if cause.errno else str(cause)
            return SourceError(f"it cannot be reached: {reason}")
        cause = cause.__cause__
    return SourceError(f"it cannot be reached: {text}")


def refusal(answer: "aiocoap.Message") -> SourceError:
    """An answer that is none, in words: its code, and what its diagnostic payload says."""
    words = answer.payload[:200].decode("utf-8", "replace").strip()
    text = f"it answers {answer.code}" + (f": {words}" if words else "")
    number = int(answer.code)
    if number in (0x81, 0x83):
        text += "; check `psk` and what its owner lets us read"
    elif number == 0x84:
        text += "; check the `path`"
    return SourceError(text)


def client_transport(scheme: str) -> str:
    """aiocoap's name of the transport of a scheme."""
    if scheme == "coap":
        from aiocoap.defaults import get_default_clienttransports

        return "udp6" if "udp6" in get_default_clienttransports(use_env=False) else "simple6"
    try:
        return {"coaps": "tinydtls", "coap+tcp": "tcpclient", "coaps+tcp": "tlsclient"}[scheme]
    except KeyError:
        raise InvalidValueError(f"{scheme}:// is no CoAP") from None
