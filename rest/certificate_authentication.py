"""Client certificates in requests: whose common name is `edge-7` acts as the key `edge-7`, if that was made for it."""

import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.types import Scope

from ..twin.access import Principal
from ..twin.access_key import AccessKey
from ..twin.errors import ForbiddenError, UnauthenticatedError
from ..twin.key_store import KeyStore
from ..twin.times import now_ns
from .body import header
from .key_authentication import KeyAuthentication

_SAFE = ("GET", "HEAD", "OPTIONS")


class CertificateAuthentication:
    """An `Authenticator` of verified client certificates, as the server finds them (`scope["extensions"]["tls"]`)."""

    def __init__(self, keys: KeyStore, by_key: KeyAuthentication, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._by_key = by_key
        self._clock = clock

    @property
    def required(self) -> bool:
        """Its keys are keys, and a reason to ask for one as such."""
        return False

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Whose certificate is shown; nobody's if no key was made for it: browsers show theirs unasked.

        Raises ForbiddenError for a change that a page of another host wants made in its name.
        """
        peer = (scope.get("extensions") or {}).get("tls")
        if peer is None:
            return None
        name, ends = peer["client_cert_common_name"], peer["client_cert_expires"]
        key = self._keys.of_certificate(name)
        if key is None:
            return None
        self._require_valid(key, ends)
        _require_no_foreign_page(scope)
        self._by_key.admit(key)
        self._keys.used[name] = now_ns()
        return replace(key.principal, still=lambda: self._require_valid(self._keys.of_certificate(name), ends, key))

    def _require_valid(self, key: AccessKey | None, ends: float, former: AccessKey | None = None) -> None:
        if key is None or (former is not None and key.created != former.created):
            raise UnauthenticatedError("the key of this certificate was revoked")
        # It was good at the handshake; the connection may be older than its end.
        if self._clock() >= ends:
            raise UnauthenticatedError(f"the certificate of {key.name} has expired")
        key.require_valid(key.digest, now_ns())


def _require_no_foreign_page(scope: Scope) -> None:
    # A browser shows its certificate whoever made it ask. Others than browsers send no `Origin`.
    origin = header(scope, b"origin").decode("latin-1")
    if not origin or (scope["type"] == "http" and scope["method"] in _SAFE):
        return
    if urlsplit(origin).netloc != header(scope, b"host").decode("latin-1"):
        raise ForbiddenError(f"a page of {origin[:100]} must not act in the name of this certificate")
