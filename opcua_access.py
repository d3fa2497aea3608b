"""Who may use the OPC UA server: policies, users, and certificates that somebody has to trust first."""

import hmac
import logging
from contextvars import ContextVar
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyFactory

from .ingest.trust_store import TrustStore
from .twin.define_opcua_server import OpcUaServerConfig
from .twin.errors import SourceError
from .twin.substitution import reveal

log = logging.getLogger("iotsense.opcua_server")

# The certificate that the client of the running connection signs with. A connection is served by one task, which
# opens the channel and activates the session, so what the one learns the other knows.
_CHANNEL: ContextVar[bytes | None] = ContextVar("channel", default=None)


class Channel(SecurityPolicyFactory):  # type: ignore[misc]
    """A policy that remembers whose channel it secures."""

    def create(self, peer_certificate: bytes | None) -> Any:
        secured = self.mode is not ua.MessageSecurityMode.None_
        _CHANNEL.set((peer_certificate or b"") if secured else None)
        return super().create(peer_certificate)


class GuardedServer(Server):  # type: ignore[misc]
    """A server whose secured channels are open to trusted certificates only."""

    def trust(self, store: TrustStore) -> None:
        """Whom it believes."""
        self._store = store
        self.iserver.certificate_validator = self._validate

    async def _setup_server_nodes(self) -> None:
        await super()._setup_server_nodes()
        self._policies[:] = [
            Channel(each.cls, each.mode, each.certificate, each.private_key, each.permission_ruleset)
            for each in self._policies
        ]

    async def _validate(self, certificate: Any, application: ua.ApplicationDescription) -> None:
        require_trusted(self._store, application.ApplicationUri)


def require_trusted(store: TrustStore, application_uri: str | None = None) -> None:
    """Refuses the running connection if it is secured by a certificate that nobody trusts, which is kept for them."""
    certificate = _CHANNEL.get()
    if certificate is None:
        return
    try:
        store.require_trusted_client(certificate, application_uri)
    except SourceError as error:
        log.warning("OPC UA server: refused a client: %s", error)
        raise ServiceError(ua.StatusCodes.BadCertificateUntrusted) from None


class Users:
    """Tells who logs in. All that get in may read; see `Writes` for who may set."""

    def __init__(self, config: OpcUaServerConfig, store: TrustStore) -> None:
        self._passwords = {user.username: reveal(user.password) for user in config.users}
        self._anonymous = config.admits_anonymous
        self._store = store

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """The user, or None; asked at every login, on every channel."""
        require_trusted(self._store)
        if username is None:
            return User(role=UserRole.User) if self._anonymous else None
        known = self._passwords.get(username)
        if known is None or not hmac.compare_digest(known.encode(), (password or "").encode()):
            return None
        return User(role=UserRole.User, name=username)


def policies(config: OpcUaServerConfig) -> list[ua.SecurityPolicyType]:
    """What is offered, the safest first."""
    names = [name.replace("_", "") for name in config.security_policies if name != "None"]
    found = [
        ua.SecurityPolicyType[f"{name}_{mode}"]
        for mode in sorted(config.security_modes, reverse=True)
        for name in sorted(names)
    ]
    return found + ([ua.SecurityPolicyType.NoSecurity] if "None" in config.security_policies else [])


def identity_tokens(config: OpcUaServerConfig) -> list[type]:
    """How users may tell who they are."""
    tokens: list[type] = [ua.AnonymousIdentityToken] if config.admits_anonymous else []
    return [*tokens, ua.UserNameIdentityToken] if config.users else tokens
