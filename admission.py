"""Who may pass: what a service asks for before it starts, and in which ways one may then prove who one is."""

from .config import NotLoopbackError, Settings
from .rest.authentication import Authenticator
from .rest.certificate_authentication import CertificateAuthentication
from .rest.key_authentication import KeyAuthentication
from .rest.oidc_authentication import OidcAuthentication
from .rest.oidc_keys import IssuerKeys
from .rest.session import SessionAuthentication
from .twin.key_store import KeyStore


def require_proof(settings: Settings, reachable: str) -> None:
    """Raises NotLoopbackError if others could reach the service, at that address, and nothing tells them apart."""
    if settings.oidc is None and not KeyStore(settings.data):
        raise NotLoopbackError(
            f"refusing to listen on {settings.listen}: others could reach {reachable}, and there is no key"
            f" that tells them apart; `iotsense keys create NAME --role admin --data {settings.data}` makes one"
        )


def issuer_keys(settings: Settings) -> IssuerKeys | None:
    """Those of the issuer whose tokens are believed, if there is one. Raises MissingExtraError."""
    return None if settings.oidc is None else IssuerKeys(settings.oidc.issuer)


def authenticators(
    settings: Settings, keys: KeyStore, issuer: IssuerKeys | None, *, always: bool
) -> list[Authenticator]:
    """All ways to prove who one is; what stands in a header goes before a cookie that a browser sends by itself.

    always: nobody passes without proof, even if the last key is revoked.
    """
    by_key = KeyAuthentication(keys, always=always)
    found: list[Authenticator] = [by_key]
    if settings.oidc is not None and issuer is not None:
        found.append(OidcAuthentication(settings.oidc, issuer))
    return [*found, SessionAuthentication(keys, by_key), CertificateAuthentication(keys, by_key)]


def who_may_pass(settings: Settings, keys: KeyStore) -> str:
    """A line for the log."""
    ways = []
    if keys:
        ways.append(f"one of the {len(keys.keys)} keys (iotsense keys list)")
    if settings.oidc is not None:
        ways.append(f"a token of {settings.oidc.issuer} for {settings.oidc.audience}")
    if not ways:
        return "no key is configured: every program on this machine may do everything (iotsense keys create)"
    return f"whoever has {' or '.join(ways)} may pass"
