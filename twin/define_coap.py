"""Definition of CoAP: servers that are read, and addresses of ours that devices send to."""

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import model_validator

from .define_payload import Payload, Polled, Protocol, Tls
from .define_types import Duration, Name, Secret, refuse
from .define_url import Url

COAP_SCHEMES = ("coap", "coaps", "coap+tcp", "coaps+tcp")


class CoapResource(Payload, Polled):
    """A resource of a CoAP server, or of ours. An observed one is asked when it was silent for its interval."""

    path: Name
    """Its path, such as /sensors/temp."""
    observe: bool = True
    """Whether the server tells of changes (RFC 7641) instead of being asked."""


class CoapProtocol(Protocol):
    """A CoAP server that is read (`endpoint`), or an address of ours that devices send to (`listen`)."""

    name: Literal["coap"]
    """CoAP."""
    endpoint: Annotated[str, Url(COAP_SCHEMES)] | None = None
    """coap://host:5683 or coaps://, coap+tcp://, coaps+tcp:// of a server."""
    listen: Annotated[str, Url(COAP_SCHEMES)] | None = None
    """Address on which we are the server, such as coap://127.0.0.1:5683."""
    resources: list[CoapResource] = []
    """What is read; of ours, the paths whose payloads are not in the telemetry shape."""
    timeout: Duration = 10.0
    """How long an answer may take."""
    psk_identity: Name | None = None
    """Identity of the pre-shared key (DTLS)."""
    psk: Secret | None = None
    """The pre-shared key (DTLS)."""
    tls: Tls | None = None
    """Transport security of coaps+tcp://."""
    anonymous: bool = False
    """Whether anybody who reaches an address of ours beyond this machine may send to it without a key."""

    @model_validator(mode="after")
    def _one_side(self) -> "CoapProtocol":
        if (self.endpoint is None) == (self.listen is None):
            raise refuse("expected either `endpoint` (a server is read) or `listen` (devices send to us)")
        if self.endpoint is not None and not self.resources:
            raise refuse("expected `resources` of the endpoint, at least one", field="endpoint")
        if (self.psk is None) != (self.psk_identity is None):
            raise refuse("`psk` and `psk_identity` belong together", field="psk")
        url = self.endpoint or self.listen or ""
        if self.psk is not None and not url.startswith("coaps:"):
            raise refuse("a `psk` is for coaps:// (DTLS)", field="psk")
        if self.listen is not None and not (self.anonymous or url.startswith("coaps") or _is_loopback(url)):
            raise refuse(
                "found an address beyond this machine without security: anybody could send readings; "
                "use coaps:// with `psk`, or say `anonymous: true`",
                field="listen",
            )
        return self


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
