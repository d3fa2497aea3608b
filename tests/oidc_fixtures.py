"""A real issuer of OpenID Connect for tests, and what its private keys can be made to sign."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import servers
from node_fixtures import NodePeer

from iotsense.twin.access import Role
from iotsense.twin.oidc_config import OidcConfig

AUDIENCE = "iotsense"
ROLES = {"plant-guests": Role.VIEWER, "plant-operators": Role.OPERATOR, "cn=admins,o=plant": Role.ADMIN}
PEOPLE: dict[str, dict[str, Any]] = {
    "anna": {"preferred_username": "anna@plant.example", "groups": ["plant-guests", "plant-operators", "football"]},
    "berta": {"groups": ["cn=admins,o=plant", "plant-guests"], "email": "berta@plant.example"},
    "carl": {"groups": ["football", "accounting"]},
    "dora": {"realm_access": {"roles": ["plant-guests"]}},
    "robot-7": {"groups": "plant-guests"},
}
"""What the issuer says of whom; `sub` is the name itself."""


class Issuer:
    """oidc-provider, with a client for each of PEOPLE."""

    def __init__(self) -> None:
        self._port = servers.free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.peer = NodePeer("oidc_issuer.mjs", OIDC_PORT=self._port, OIDC_CLIENTS=json.dumps(PEOPLE))
        self.peer.start()

    def config(self, **changed: Any) -> OidcConfig:
        """As a service is told of it."""
        return OidcConfig(**{"issuer": self.url, "audience": AUDIENCE, "roles": ROLES, **changed})

    def token(self, who: str = "anna", resource: str = f"urn:{AUDIENCE}") -> str:
        """A token that it issues; see the peer for resources."""
        asked = {"grant_type": "client_credentials", "resource": resource}
        answer = httpx.post(f"{self.url}/token", data=asked, auth=(who, "secret"))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def key(self, kind: str = "RSA") -> jwt.PyJWK:
        """A private key of its own."""
        return jwt.PyJWK(next(key for key in self.peer.tell("keys") if key["kty"] == kind))

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token; None leaves one out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "exp": now + 60, "iat": now, "sub": "eve", "groups": [*ROLES]}
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def signed(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """What its RSA key signs, whether or not it would."""
        key = self.key()
        return jwt.encode(self.claims(**changed), key.key, "RS256", {"kid": key.key_id, **(header or {})})


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """One that does not outlive the test."""
    issuer = Issuer()
    try:
        yield issuer
    finally:
        issuer.peer.kill()
