"""PostgreSQL's logical replication messages (plug-in `pgoutput`, protocol version 1), as its manual describes them.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from ..twin.errors import SourceError
from .change import UNCHANGED, Change, Row
from .postgres_values import of_text

# Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
_EPOCH_US = 946_684_800_000_000
_BEGIN = struct.Struct(">qqi")
_COMMIT = struct.Struct(">bqqq")


class Relation(msgspec.Struct):
    """A table as it is described before its first change, and anew after each of its own changes."""

    name: str
    columns: list[tuple[str, int]]
    identity: str


class Begin(msgspec.Struct):
    """A transaction that was committed at `lsn`, at `time` [ns]."""

    lsn: int
    time: int


class Commit(msgspec.Struct):
    """Its end: `end` is the position behind it."""

    end: int


class Decoder:
    """Reads the messages of one replication connection, in their order; knows the tables that were described."""

    def __init__(self) -> None:
        self._relations: dict[int, Relation] = {}
        self._time: int | None = None

    def decode(self, message: bytes) -> Begin | Commit | list[Change] | None:
        """One message; None for those that change no row. Raises SourceError for what is not understood."""
        kind = message[:1]
        try:
            match kind:
                case b"I" | b"U" | b"D":
                    return [self._change(kind, _Reader(message, 1))]
                case b"B":
                    lsn, time, _ = _BEGIN.unpack_from(message, 1)
                    self._time = (time + _EPOCH_US) * 1000
                    return Begin(lsn, self._time)
                case b"C":
                    _, _, end, _ = _COMMIT.unpack_from(message, 1)
                    return Commit(end)
                case b"T":
                    return self._truncate(_Reader(message, 1))
                case b"R":
                    self._describe(_Reader(message, 1))
                    return None
                case b"Y" | b"O" | b"M":
                    return None
        except (struct.error, IndexError, UnicodeDecodeError, KeyError) as error:
            raise SourceError(f"a message of kind {kind!r} cannot be understood: {error!r}") from None
        raise SourceError(f"the server sent a message of kind {kind!r}, which protocol version 1 does not have")

    def _describe(self, reader: "_Reader") -> None:
        number = reader.int32()
        schema, table = reader.text(), reader.text()
        identity = chr(reader.byte())
        columns = []
        for _ in range(reader.int16()):
            reader.byte()
            name, oid = reader.text(), reader.int32()
            reader.int32()
            columns.append((name, oid))
        self._relations[number] = Relation(f"{schema or 'pg_catalog'}.{table}", columns, identity)

    def _change(self, kind: bytes, reader: "_Reader") -> Change:
        relation = self._relations[reader.int32()]
        before: Row | None = None
        part = reader.byte()
        if part in b"KO":
            only_key = part in b"K"
            before = self._row(reader, relation, {}, only_key)
            part = reader.byte() if kind == b"U" else 0
        if kind == b"D":
            return Change("delete", relation.name, before, None, self._time)
        after = self._row(reader, relation, before or {}, False)
        return Change("insert" if kind == b"I" else "update", relation.name, before, after, self._time)

    @staticmethod
    def _row(reader: "_Reader", relation: Relation, before: Row, only_key: bool) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for (name, oid), _ in zip(relation.columns, range(reader.int16()), strict=True):
            kind = reader.byte()
            if kind in b"t":
                row[name] = of_text(reader.bytes(reader.int32()).decode(), oid)
            elif kind in b"n":
                if not only_key:
                    row[name] = None
            else:  # a large value that did not change is not sent again
                row[name] = before.get(name, UNCHANGED)
        return row

    def _truncate(self, reader: "_Reader") -> list[Change]:
        count = reader.int32()
        reader.byte()
        tables = [self._relations[reader.int32()].name for _ in range(count)]
        return [Change("truncate", table, None, None, self._time) for table in tables]

    @property
    def relations(self) -> Mapping[int, Relation]:
        """The tables that were described, by number."""
        return self._relations


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def int16(self) -> int:
        self._at += 2
        return int.from_bytes(self._data[self._at - 2 : self._at], "big")

    def int32(self) -> int:
        self._at += 4
        return int.from_bytes(self._data[self._at - 4 : self._at], "big")

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        text = self._data[self._at : end].decode()
        self._at = end + 1
        return text

    def bytes(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]
