"""API keys: what one is, how it looks, and how it is told from a word that somebody made up.

A key is 256 random bits, so its SHA-256 is all that has to be kept: nothing shorter than trying all of them finds it,
and a slow hash, which makes guessing of passwords dear, would only make each request dear.
"""

import hashlib
import re
import secrets
import zlib
from typing import Literal

import msgspec

from .access import Principal, Scope
from .errors import InvalidValueError, UnauthenticatedError

PREFIX = "iots_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET, _CHECK = 43, 6
Kind = Literal["token", "certificate"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class AccessKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key as it is kept; times in ns since the epoch.

    digest: SHA-256 of the key, hex. hint: its last characters, to tell keys apart. role: of which `scopes` are a copy,
    if it was made for one. under: keys of the nodes that it is tied to; None: none. rate: requests a second, at most.
    former, former_until: the digest that it had before it was rotated, and until when that one is good, too.
    kind: `token` for one that is shown as a text; `certificate` for one that has none (no digest, no hint) and is
    shown by a client certificate of its name.
    """

    name: str
    digest: str
    hint: str
    scopes: tuple[Scope, ...]
    created: int
    role: str | None = None
    under: tuple[int, ...] | None = None
    expires: int | None = None
    rate: float | None = None
    former: str | None = None
    former_until: int = 0
    kind: Kind = "token"

    def require_valid(self, digest: str, now: int) -> None:
        """Raises UnauthenticatedError if the key, or this digest of it, is good no more."""
        if self.expires is not None and now >= self.expires:
            raise UnauthenticatedError(f"the key {self.name} has expired")
        if digest == self.former and now >= self.former_until:
            raise UnauthenticatedError(f"the key {self.name} was rotated, and this is the former one")

    @property
    def principal(self) -> Principal:
        """Whom it proves."""
        under = None if self.under is None else frozenset(self.under)
        return Principal(f"key {self.name}", frozenset(self.scopes), under)


def new_token() -> str:
    """A new key: the prefix, 256 random bits and a check sum, by which scanners know it and typos are found."""
    secret = _base62(secrets.randbits(256), _SECRET)
    return f"{PREFIX}{secret}{_check(secret)}"


def is_token(text: str) -> bool:
    """Whether a text can be a key: its check sum is right."""
    secret, check = text[len(PREFIX) : -_CHECK], text[-_CHECK:]
    return text.startswith(PREFIX) and len(secret) == _SECRET and _check(secret) == check


def digest_of(token: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(token.encode()).hexdigest()


def require_name(name: str) -> str:
    """A name that a key may have; raises InvalidValueError."""
    if not _NAME.fullmatch(name):
        raise InvalidValueError(
            f"{name!r} is no name for a key: small letters, digits, dots, hyphens and underscores, at most 64", "name"
        )
    return name


def _check(secret: str) -> str:
    return _base62(zlib.crc32(secret.encode()), _CHECK)


def _base62(number: int, width: int) -> str:
    digits = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits)).rjust(width, "0")
