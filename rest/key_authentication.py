"""Keys in requests: `Authorization: Bearer KEY` (`Token KEY` for InfluxDB's clients), and `X-API-Key: KEY`."""

import base64
import time
from collections.abc import Callable
from dataclasses import replace

from starlette.types import Scope

from ..twin.access import Principal
from ..twin.access_key import PREFIX, AccessKey
from ..twin.errors import OverloadedError, UnauthenticatedError
from ..twin.key_store import KeyStore
from ..twin.times import now_ns
from .rate import Buckets

_SCHEMES = ("bearer", "token", "basic")
WRONG_A_MINUTE = 30
"""How many wrong keys from an address are answered in a minute; whoever shows more is told to wait."""


class KeyAuthentication:
    """An `Authenticator` of keys. always: nobody passes without proof even if there is no key."""

    def __init__(self, keys: KeyStore, *, always: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._always = always
        self._rates = Buckets(clock)
        self._wrong = Buckets(clock)

    @property
    def required(self) -> bool:
        """Whether there are keys."""
        return self._always or bool(self._keys)

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Whose key is shown; see `Authenticator`."""
        token = shown_key(scope)
        if token is None or not self.required:
            return None
        principal = self.holder(token, _address(scope)).principal
        return replace(principal, still=lambda: self._keys.find(token, now_ns()))

    def holder(self, token: str, address: str) -> AccessKey:
        """The key, used once; raises UnauthenticatedError, or OverloadedError with the time to wait."""
        try:
            key = self._keys.find(token, now_ns())
        except UnauthenticatedError:
            # Nobody guesses a key; those who have a right one must not suffer for a neighbour behind the same proxy.
            if (wait := self._wrong.take(address, WRONG_A_MINUTE / 60, WRONG_A_MINUTE)) > 0:
                raise OverloadedError("too many wrong keys came from this address; wait", wait) from None
            raise
        self.admit(key)
        return key

    def admit(self, key: AccessKey) -> None:
        """One request of a key, however it was proven; raises OverloadedError if it has used up its rate."""
        if key.rate is not None and (wait := self._rates.take(key.name, key.rate, max(1.0, key.rate))) > 0:
            raise OverloadedError(f"the key {key.name} allows {key.rate:g} requests a second", wait)


def shown_key(scope: Scope) -> str | None:
    """The key in a request's headers; None if there is none, or another kind of token."""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return str(value.decode("latin-1")).strip()
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").strip().partition(" ")
            shown = _password(token) if scheme.lower() == "basic" else token.strip()
            if scheme.lower() in _SCHEMES and shown.startswith(PREFIX):
                return str(shown)
    return None


def _password(credentials: str) -> str:
    """What clients of InfluxDB's first version show; empty if it is none."""
    try:
        return base64.b64decode(credentials).decode("latin-1").partition(":")[2]
    except ValueError:
        return ""


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
