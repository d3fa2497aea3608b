"""The keys of a data directory: one small file, written whole at each change."""

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .access import Scope
from .access_key import AccessKey, Kind, digest_of, is_token, new_token, require_name
from .bulk_files import save_json
from .errors import ConflictError, DamagedFileError, NotFoundError, UnauthenticatedError
from .suggestion import nearest
from .times import NS, now_ns

FILE = "access/keys.json"
_MOST = 10_000


class _Image(msgspec.Struct, omit_defaults=True):
    keys: list[AccessKey] = []
    used: dict[str, int] = {}


class KeyStore:
    """All keys; whoever owns the data directory is the only one who changes them. Raises StorageError.

    `used`: when each was last used [ns]; it is kept with the next change and by `close`, since a write for each request
    would cost more than the request.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._lock = threading.Lock()
        image = self._read()
        self._keys = {key.name: key for key in image.keys}
        self.used = {name: time for name, time in image.used.items() if name in self._keys}
        self._used_saved = dict(self.used)
        self._by_digest = self._index()

    @property
    def keys(self) -> Sequence[AccessKey]:
        """By name."""
        return sorted(self._keys.values(), key=lambda key: key.name)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, token: str, now: int) -> AccessKey:
        """Whose key it is; raises UnauthenticatedError if it is nobody's, or good no more."""
        digest = digest_of(token)
        key = self._by_digest.get(digest)
        if key is None:
            whole = "" if is_token(token) else ", and not a whole one either: was it cut off when it was copied?"
            raise UnauthenticatedError(f"the key is not one of this service's{whole}")
        key.require_valid(digest, now)
        self.used[key.name] = now
        return key

    def of_certificate(self, name: str) -> AccessKey | None:
        """The key that was made for client certificates of a name; valid or not."""
        key = self._keys.get(name)
        return key if key is not None and key.kind == "certificate" else None

    def get(self, name: str) -> AccessKey:
        """A key by its name; raises NotFoundError."""
        key = self._keys.get(name)
        if key is None:
            hint = nearest(name, tuple(self._keys))
            raise NotFoundError(f"no key is called {name!r}" + (f"; did you mean {hint}?" if hint else ""))
        return key

    def create(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        role: str | None = None,
        under: Sequence[int] | None = None,
        expires: int | None = None,
        rate: float | None = None,
        kind: Kind = "token",
    ) -> tuple[AccessKey, str]:
        """A new key and its text, which is not kept; a `certificate` has none, and it is empty.

        Raises InvalidValueError, ConflictError if the name is taken.
        """
        token = new_token() if kind == "token" else ""
        key = AccessKey(
            name=require_name(name),
            digest=digest_of(token) if token else "",
            hint=token[-4:],
            scopes=tuple(sorted(set(scopes))),
            created=now_ns(),
            role=role,
            under=None if under is None else tuple(sorted(set(under))),
            expires=expires,
            rate=rate,
            kind=kind,
        )
        with self._lock:
            if name in self._keys:
                raise ConflictError(f"there is a key {name} already; rotate it, or revoke it first")
            if len(self._keys) >= _MOST:
                raise ConflictError(f"there are {_MOST} keys already")
            self._save(self._keys | {name: key})
        return key, token

    def rotate(self, name: str, grace: float) -> tuple[AccessKey, str]:
        """Another text for a key; the former one is good for `grace` [s] still."""
        token = new_token()
        with self._lock:
            former = self.get(name)
            if former.kind == "certificate":
                raise ConflictError(f"the key {name} has no text; whoever signed its certificate renews that")
            key = msgspec.structs.replace(
                former,
                digest=digest_of(token),
                hint=token[-4:],
                former=former.digest,
                former_until=now_ns() + round(grace * NS),
            )
            self._save(self._keys | {name: key})
        return key, token

    def revoke(self, name: str) -> AccessKey:
        """It is good no more, from the next request on."""
        with self._lock:
            key = self.get(name)
            self._save({other: each for other, each in self._keys.items() if other != name})
        return key

    def close(self) -> None:
        """Keeps when the keys were last used."""
        with self._lock:
            if self.used != self._used_saved:
                self._save(self._keys)

    def _save(self, keys: dict[str, AccessKey]) -> None:
        used = {name: time for name, time in self.used.copy().items() if name in keys}
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_json(_Image(list(keys.values()), used), self._path)
        # Only what is durable counts: a key that was shown must be there after a crash, a revoked one must not.
        self._keys, self.used, self._used_saved = keys, used, dict(used)
        self._by_digest = self._index()

    def _index(self) -> dict[str, AccessKey]:
        former = {key.former: key for key in self._keys.values() if key.former is not None}
        return former | {key.digest: key for key in self._keys.values() if key.digest}

    def _read(self) -> _Image:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Image)
        except FileNotFoundError:
            return _Image()
        except (msgspec.DecodeError, OSError) as error:
            # Without its keys the service would let everybody in, or nobody.
            raise DamagedFileError(f"{self._path} cannot be read: {error}") from error
