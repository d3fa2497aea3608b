"""OpenID Connect as it is configured: whose tokens are believed, for whom they must be made, and what they allow."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .access import Role
from .errors import InvalidValueError


@dataclass(frozen=True, slots=True)
class OidcConfig:
    """An issuer of tokens. Raises InvalidValueError for one that cannot be used.

    issuer: its URL, letter by letter as it stands in tokens (`iss`). audience: what `aud` must name. groups_claim: the
    claim with the groups of whoever asks; dots lead into objects (`realm_access.roles`). roles: by group.
    """

    issuer: str
    audience: str
    roles: Mapping[str, Role]
    groups_claim: str = "groups"

    def __post_init__(self) -> None:
        require_safe_url(self.issuer, "oidc issuer")
        if urlsplit(self.issuer).query or urlsplit(self.issuer).fragment:
            raise InvalidValueError(f"an issuer has neither query nor fragment: {self.issuer!r}", "oidc issuer")
        if not self.audience:
            raise InvalidValueError("say what the tokens' audience (`aud`) must be, such as iotsense", "oidc audience")
        if not self.groups_claim:
            raise InvalidValueError("the claim that holds the groups has no name", "oidc groups claim")
        if not self.roles:
            raise InvalidValueError(
                "no group has a role, so no token would allow anything: say GROUP=ROLE, such as"
                f" plant-operators={Role.OPERATOR}",
                "oidc role",
            )

    def role_of(self, groups: frozenset[str]) -> Role | None:
        """The highest role of these groups; None if none of them has one."""
        found = {self.roles[group] for group in groups if group in self.roles}
        return max(found, key=list(Role).index, default=None)


def parse_group_role(text: str) -> tuple[str, Role]:
    """`GROUP=ROLE`; raises InvalidValueError. The last `=` divides: names of directories hold some themselves."""
    group, _, role = text.rpartition("=")
    if not group or role not in list(Role):
        raise InvalidValueError(f"{text!r} is not GROUP=ROLE; the roles are {', '.join(Role)}", "oidc role")
    return group, Role(role)


def require_safe_url(url: str, field: str) -> None:
    """Raises InvalidValueError unless whoever answers there proves who it is: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidValueError(f"{url!r} is no URL", field) from None
    if not host or parts.scheme not in ("https", "http") or parts.username is not None:
        raise InvalidValueError(f"{url!r} is no URL such as https://id.example", field)
    if parts.scheme == "http" and not _is_loopback(host):
        raise InvalidValueError(f"{url} must be https: anybody on the way could answer with keys of their own", field)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
