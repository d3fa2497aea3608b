"""Tokens of OpenID Connect in requests: `Authorization: Bearer JWT`, signed by an issuer that is configured."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import Scope

from ..twin.access import NOBODY, Principal, Role
from ..twin.access_key import PREFIX
from ..twin.errors import ForbiddenError, UnauthenticatedError
from ..twin.oidc_config import OidcConfig
from .oidc_keys import ALGORITHMS, IssuerKeys

LEEWAY_S = 30
"""How far the issuer's clock and ours may be apart."""
MAX_TOKEN = 16 << 10
_NAMES = ("preferred_username", "email", "sub")
_LONGEST_NAME = 200


class OidcAuthentication:
    """An `Authenticator` of tokens that an issuer signed; a group of whoever asks gives it a role."""

    def __init__(self, config: OidcConfig, keys: IssuerKeys, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self.keys = keys
        self._clock = clock

    @property
    def required(self) -> bool:
        """Whoever names an issuer wants nobody to pass without proof."""
        return True

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Whom a token names; see `Authenticator`.

        Raises ForbiddenError for one whose groups have no role, SourceError while the issuer has shown no key yet.
        """
        token = shown_token(scope)
        if token is None:
            return None
        claims = await self._verified(token)
        name, ends = _name(claims), int(claims["exp"]) + LEEWAY_S
        return Principal(name, self._role(name, claims).scopes, still=lambda: self._require_before(ends))

    async def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a token that is good now. Raises UnauthenticatedError, SourceError."""
        import jwt

        if len(token) > MAX_TOKEN:
            raise UnauthenticatedError(f"a token of more than {MAX_TOKEN >> 10} KiB is not read")
        try:
            header = jwt.get_unverified_header(token)
        except Exception:  # whatever a stranger's text does to the library, it is no token
            raise UnauthenticatedError("the token cannot be read: was it cut off?") from None
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise UnauthenticatedError(f"the token is not signed in one of the ways known: {', '.join(ALGORITHMS)}")
        key = await self.keys.find(header.get("kid"), algorithm)
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except Exception as error:
            raise UnauthenticatedError(self._words(error)) from None

    def _words(self, error: Exception) -> str:
        import jwt

        if isinstance(error, jwt.ExpiredSignatureError):
            return "the token has expired"
        if isinstance(error, jwt.ImmatureSignatureError):
            return "the token is not good yet: its nbf or iat lies ahead"
        if isinstance(error, jwt.InvalidAudienceError):
            return f"the token is for another service: its aud does not name {self._config.audience}"
        if isinstance(error, jwt.InvalidIssuerError):
            return f"the token is of another issuer: its iss is not {self._config.issuer}"
        if isinstance(error, jwt.MissingRequiredClaimError):
            return f"the token has no {error.claim}"
        if isinstance(error, jwt.InvalidSignatureError):
            return "the token's signature is wrong"
        return "the token cannot be used: a claim of it is not what it must be"

    def _role(self, name: str, claims: Mapping[str, Any]) -> Role:
        groups = _groups(claims, self._config.groups_claim)
        role = self._config.role_of(groups)
        if role is None:
            has = ", ".join(sorted(groups))[:500]
            claim = f"the claim {self._config.groups_claim} of the token"
            held = f"{claim} holds {has}" if has else f"{claim} is missing or empty"
            raise ForbiddenError(f"{name} is in no group that has a role here: {held}")
        return role

    def _require_before(self, ends: float) -> None:
        if self._clock() >= ends:
            raise UnauthenticatedError("the token has expired")


def shown_token(scope: Scope) -> str | None:
    """The token in a request's header; None if there is none, or a key."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, shown = value.decode("latin-1").strip().partition(" ")
            token = str(shown).strip()
            if scheme.lower() == "bearer" and not token.startswith(PREFIX) and token.count(".") == 2:
                return token
    return None


def _name(claims: Mapping[str, Any]) -> str:
    """What the audit log calls whom a token names.

    People choose some of these names themselves: with a space in it, one could pass for `key gateway-7` or
    `this machine`, and an address that nobody has verified for somebody else.
    """
    for claim in _NAMES:
        name = claims.get(claim)
        if claim == "email" and claims.get("email_verified") is False:
            continue
        if isinstance(name, str) and _is_plain(name):
            return name
    raise UnauthenticatedError(f"the token names nobody: none of {', '.join(_NAMES)} is a word without spaces")


def _is_plain(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and " " not in name and name != NOBODY.name


def _groups(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for step in claim.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    several = found if isinstance(found, list) else [found]
    return frozenset(group for group in several if isinstance(group, str))
