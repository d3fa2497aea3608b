"""What we know of an external graph database: how far it was brought, kept beside the journal and not in it.

A position in the journal would hold the journal back for as long as the database is away; but the graph needs only the
newest structure and state, and both are at hand whatever was dropped.
"""

import os
from pathlib import Path

import msgspec


class Published(msgspec.Struct, frozen=True):
    """`database`: its identity. `bookmarks`: its word for our last transaction. It holds what we knew at journal entry
    `seq`, in revision `revision` of the structure."""

    database: str
    bookmarks: list[str]
    revision: int
    seq: int


class Ledger:
    """One small file in the data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: Published | None = None

    def read(self) -> Published | None:
        """What was saved last; None if nothing was, or it cannot be read: then all must be compared."""
        try:
            self._saved = msgspec.json.decode(self._path.read_bytes(), type=Published)
        except (OSError, msgspec.DecodeError):
            self._saved = None
        return self._saved

    def save(self, published: Published) -> None:
        """Replaces what was saved, as a whole. Raises OSError."""
        if published == self._saved:
            return
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(published))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        self._saved = published
