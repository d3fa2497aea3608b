"""What outlives a connection to an OPC UA server, so that the next one goes on where it ended: even in another process.

The server keeps what it has sent until it is acknowledged, and that is done when it is durable. So after a broken
line, a restart or `kill -9` the session is taken up again, or its subscriptions are, and what was not acknowledged is
asked for once more.
"""

import hashlib
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ..twin.define_opcua import OpcUaConnection

_PRIVATE = 0o600


@dataclass(slots=True)
class Subscription:
    """A subscription at the server.

    interval: between publications [s]; silence: the longest time without a word from it [s]. last: the newest sequence
    number that came. taken: numbers that came and are not known to be acknowledged. kept: numbers that the server said
    to have when the subscription was taken over.
    """

    id: int
    interval: float
    silence: float
    last: int = 0
    taken: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)


class _File(msgspec.Struct):
    key: str
    token: str | None
    nonce: bytes | None
    namespaces: list[str]
    subscriptions: list[tuple[int, float, float]]
    owed: int = 0


class Memory:
    """Of one source. acknowledgements: (subscription, sequence number) of what is durable, for the next request.

    namespaces: those of the server when this configuration first met it. marked: when the points were last told to be
    unknown [ns], 0 for never. latest: the newest time of a value [ns]. owed: history since then [ns] has been begun to
    be read and not been read to its end, 0 for none.
    """

    def __init__(self, settings: OpcUaConnection, url: str, directory: Path) -> None:
        self._file = directory / "session"
        self._key = hashlib.sha256(f"{url} {settings.model_dump_json()}".encode()).hexdigest()
        self.token: str | None = None
        self.nonce: bytes | None = None
        self.namespaces: list[str] = []
        self.subscriptions: dict[int, Subscription] = {}
        self.acknowledgements: deque[tuple[int, int]] = deque()
        self.marked = 0
        self.latest = 0
        self.owed = 0
        self._recall()

    def take_token(self) -> tuple[str | None, bytes | None]:
        """Token and nonce of the session, for one attempt: should it fail, the next begins without."""
        token, nonce, self.token, self.nonce = self.token, self.nonce, None, None
        return token, nonce

    def keep(self, token: str, nonce: bytes | None, namespaces: Sequence[str]) -> None:
        """Writes down what another process needs; the file is ours alone, for whoever has it has the session."""
        self.token, self.nonce = token, nonce
        self.namespaces = self.namespaces or list(namespaces)
        self._write()

    def owe(self, since: int) -> None:
        """History from `since` [ns] on is going to be read; should that be cut short, it is read again."""
        self.owed = since
        self._write()

    def _write(self) -> None:
        subscriptions = [(each.id, each.interval, each.silence) for each in self.subscriptions.values()]
        known = _File(self._key, self.token, self.nonce, self.namespaces, subscriptions, self.owed)
        data = msgspec.msgpack.encode(known)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE), "wb") as file:
            file.write(data)
        part.replace(self._file)

    def forget_session(self) -> None:
        """The session was ended."""
        self.token = self.nonce = None
        self.subscriptions.clear()
        self.acknowledgements.clear()
        if self.owed:
            self._write()
        else:
            self._file.unlink(missing_ok=True)

    def _recall(self) -> None:
        with suppress(OSError, msgspec.MsgspecError):
            known = msgspec.msgpack.decode(self._file.read_bytes(), type=_File)
            if known.key == self._key:
                self.token, self.nonce, self.namespaces = known.token, known.nonce, known.namespaces
                self.owed = known.owed
                self.subscriptions = {each[0]: Subscription(*each) for each in known.subscriptions}
