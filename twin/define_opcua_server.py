"""Definition of the OPC UA server that shows the twin to others."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from .define_types import Model, Name, Positive, Secret, refuse

ServerPolicy = Literal["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d{1,5})\Z")


def _listen(text: str) -> str:
    match = _LISTEN.match(text)
    if match is None or int(match["port"]) > 65_535:
        raise refuse(f"found {text!r}, expected HOST:PORT, such as 127.0.0.1:4840")
    return text


ListenText = Annotated[str, AfterValidator(_listen), WithJsonSchema({"type": "string", "examples": ["127.0.0.1:4840"]})]


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of a valid address to listen on."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class OpcUaUser(Model):
    """Somebody who may log in with a password."""

    username: Name
    """The user's name."""
    password: Secret
    """The user's password."""


class OpcUaServerConfig(Model):
    """The OPC UA server that shows the twin: its nodes, live values, history and alarms."""

    enabled: bool = True
    """Whether it runs."""
    listen: ListenText = "127.0.0.1:4840"
    """HOST:PORT; port 0 lets the system choose one. Beyond this machine only where every policy encrypts or signs."""
    security_policies: Annotated[list[ServerPolicy], Field(min_length=1)] = [
        "None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss",
    ]  # fmt: skip
    """What is offered; clients that sign or encrypt need a certificate that is trusted."""
    security_modes: Annotated[list[Literal["Sign", "SignAndEncrypt"]], Field(min_length=1)] = ["SignAndEncrypt"]
    """What is offered with each policy but None."""
    anonymous: bool | None = None
    """Whether clients need no user; left out, only where no `users` are named."""
    users: list[OpcUaUser] = []
    """Who may log in with a password."""
    writable: bool = False
    """Whether `users` may set, by commands, what its sensor's definition lets be set."""
    application_uri: Name | None = None
    """Its application URI, as in its certificate; left out, made from the host's name."""
    publishing_interval_ms: Positive = 100.0
    """How often changes are taken from the twin [ms]; subscriptions see at most one change of a signal in this time."""

    @model_validator(mode="after")
    def _safe(self) -> "OpcUaServerConfig":
        host, _ = listen_address(self.listen)
        if "None" in self.security_policies and not is_loopback(host):
            raise refuse(
                f"found {self.listen}, which others can reach, with the policy None, which lets them read unseen; "
                "leave None out of `security_policies`, or listen on 127.0.0.1",
                field="listen",
            )
        if self.anonymous is False and not self.users:
            raise refuse("nobody could log in: name `users`, or leave `anonymous` out", field="anonymous")
        if self.writable and not self.users:
            raise refuse("found writable without `users`: commands are on record with who asks", field="writable")
        return self

    @property
    def admits_anonymous(self) -> bool:
        """Whether clients need no user."""
        return not self.users if self.anonymous is None else self.anonymous
