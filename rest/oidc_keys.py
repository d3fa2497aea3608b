"""The keys with which an issuer of OpenID Connect signs: fetched from it, kept, and fetched again when they change."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..twin.errors import InvalidValueError, IoTSenseError, MissingExtraError, SourceError, UnauthenticatedError
from ..twin.oidc_config import require_safe_url

if TYPE_CHECKING:
    import httpx
    from jwt import PyJWK

log = logging.getLogger("iotsense.rest")

DISCOVERY = "/.well-known/openid-configuration"
REFETCH_S = 10.0
"""The issuer is asked no more often, whatever strangers' tokens name."""
REFRESH_S = 300.0
"""A key that the issuer withdraws is good for no longer than that."""
TIMEOUT_S = 5.0
MAX_BYTES = 1 << 20
MAX_KEYS = 100
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
"""What a key may be used for. A secret that both ends know (HS256) is none of them: a public key is no secret."""
ALGORITHMS = sorted({name for names in _ALGORITHMS.values() for name in names})

_Keys = dict[tuple[str, str | None], "PyJWK"]


class IssuerKeys:
    """The public keys of an issuer, by algorithm and `kid`. Raises MissingExtraError without the library.

    What is known stays good while the issuer is away; `problem` says what it lacks.
    """

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        require_library()
        self.issuer = issuer
        self.problem: str | None = None
        self._clock = clock
        self._keys: _Keys = {}
        self._asked: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Asks the issuer every few minutes, and until it answers every few seconds, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFETCH_S if self.problem else REFRESH_S)

    async def find(self, kid: str | None, algorithm: str) -> "PyJWK":
        """The key of a token's header. Raises UnauthenticatedError, SourceError while the issuer has shown none yet."""
        key = self._known(kid, algorithm)
        if key is None:
            await self.refresh()
            key = self._known(kid, algorithm)
        if key is not None:
            return key
        if not self._keys:
            raise SourceError(f"no token can be checked: {self.problem or f'{self.issuer} has not answered yet'}")
        raise UnauthenticatedError(f"the token is signed with a key that {self.issuer} does not show")

    async def refresh(self) -> None:
        """Asks the issuer for its keys, unless it was asked just now. Those who come meanwhile wait for that answer."""
        if self._fetching is None or self._fetching.done():
            now = self._clock()
            if self._asked is not None and now - self._asked < REFETCH_S:
                return
            self._asked = now
            self._fetching = asyncio.create_task(self._fetch(), name="oidc keys")
        await asyncio.shield(self._fetching)  # whoever goes away must not take the answer from the others

    async def _fetch(self) -> None:
        try:
            keys = await asyncio.to_thread(_read, self.issuer)
        except Exception as error:  # whatever a foreign server answers, the keys that are known stay good
            words = str(error) if isinstance(error, IoTSenseError) else f"{type(error).__name__}: {error}"
            problem = f"the keys of {self.issuer} could not be fetched: {words}"
            if problem != self.problem:
                log.warning("%s; %s", problem, "known ones stay good" if self._keys else "no token can be checked")
            self.problem = problem
            return
        if self.problem is not None or keys.keys() != self._keys.keys():
            log.info("the keys of %s: %s", self.issuer, ", ".join(sorted({str(kid) for _, kid in keys})))
        self._keys, self.problem = keys, None

    def _known(self, kid: str | None, algorithm: str) -> "PyJWK | None":
        if kid is not None:
            return self._keys.get((algorithm, kid))
        fitting = [key for (name, _), key in self._keys.items() if name == algorithm]
        return fitting[0] if len(fitting) == 1 else None


def require_library() -> None:
    """Raises MissingExtraError unless tokens can be checked."""
    try:
        import cryptography  # noqa: F401
        import jwt  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError("OpenID Connect", "oidc") from None


def _read(issuer: str) -> _Keys:
    """The keys that the issuer shows now. Blocks; raises SourceError."""
    import httpx

    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, headers={"Accept": "application/json"}) as http:
        document = _json(http, issuer.rstrip("/") + DISCOVERY)
        if document.get("issuer") != issuer:
            raise SourceError(f"it calls itself {str(document.get('issuer'))[:200]!r}; --oidc-issuer must be the same")
        address = str(document.get("jwks_uri"))
        try:
            require_safe_url(address, "jwks_uri")
        except InvalidValueError as error:
            raise SourceError(f"its jwks_uri: {error}") from None
        shown = _json(http, address).get("keys")
    keys = dict(each for jwk in shown[:MAX_KEYS] for each in _usable(jwk)) if isinstance(shown, list) else {}
    if not keys:
        raise SourceError(f"{address} shows no key for signatures that this service knows ({', '.join(ALGORITHMS)})")
    return keys


def _json(http: "httpx.Client", address: str) -> dict[str, Any]:
    import httpx

    body, ends = bytearray(), time.monotonic() + 2 * TIMEOUT_S
    try:
        with http.stream("GET", address) as response:
            if response.status_code != 200:
                raise SourceError(f"{address} answers with status {response.status_code}")
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_BYTES or time.monotonic() > ends:
                    raise SourceError(f"{address} answers with too much, or too slowly")
        found = json.loads(body)
    except httpx.HTTPError as error:
        raise SourceError(f"{address} does not answer: {error or type(error).__name__}") from None
    except (ValueError, RecursionError):
        raise SourceError(f"{address} does not answer with JSON") from None
    if not isinstance(found, dict):
        raise SourceError(f"{address} does not answer with an object")
    return found


def _usable(jwk: Any) -> Iterator[tuple[tuple[str, str | None], "PyJWK"]]:
    """A JSON web key for each algorithm that it may be used with; nothing, if it is not for us, weak or no key."""
    from jwt import PyJWK, PyJWTError

    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return
    kind, kid = jwk.get("kty"), jwk.get("kid")
    if not isinstance(kind, str) or not isinstance(kid, str | None):
        return
    curve = None if kind == "RSA" else str(jwk.get("crv"))
    for algorithm in _ALGORITHMS.get((kind, curve), ()):
        if jwk.get("alg", algorithm) != algorithm:
            continue
        try:
            key = PyJWK(jwk, algorithm)
        except (PyJWTError, ValueError, TypeError):
            continue
        if key.Algorithm.check_key_length(key.key) is None:
            yield (algorithm, kid), key
