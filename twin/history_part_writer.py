"""Writes a part: an immutable file of history, sorted by signal and time; each row can be read without the others.

A part is made of runs, the rows of one signal. The columns of a run stand one behind another, each with as many bytes
a row as it needs; behind all runs follow tables (where each run stands and how it is encoded), then a description with
the CRC-32 of every 4 KB, then its length and its own CRC-32.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .directory import storage_error
from .history_encode import Encoded, encode_floats, encode_integers
from .history_packing import scatter
from .history_rows import run_starts

MAGIC = b"IOTPART1"
TRAILER = struct.Struct("<II8s")
CHECKED_BYTES = 1 << 12


class Description(msgspec.Struct, frozen=True):
    """What stands at the end of a part. `tables`: name to (address, numpy's name of the type, length)."""

    kind: str
    rows: int
    columns: dict[str, str]
    tables: dict[str, tuple[int, str, int]]
    checksums: bytes


class PartWriter:
    """A part under way; at most one segment of it is in memory. Raises StorageError.

    columns: names of the columns, each `i` (whole numbers) or `f` (floating-point).
    """

    def __init__(self, path: Path, kind: str, columns: Mapping[str, str]) -> None:
        self.path = path
        self._kind = kind
        self._columns = dict(columns)
        self._runs: dict[str, list[NDArray[Any]]] = {}
        self._size = self._rows = 0
        self._checksums: list[int] = []
        self._crc = 0
        self._draft = path.with_suffix(".new")
        try:
            self._file = self._draft.open("wb")
        except OSError as error:
            raise storage_error(error, path) from error

    def add(self, signal: NDArray[np.int32], columns: Mapping[str, NDArray[Any]]) -> None:
        """Rows in order, of whole runs: a signal that was added does not come again."""
        first = run_starts(signal)
        counts = np.diff(np.append(first, len(signal)))
        encoded = {name: _encode(columns[name], kind, first) for name, kind in self._columns.items()}
        bytes_a_row = np.sum([e.width for e in encoded.values()], axis=0, dtype=np.int64)
        size = counts * bytes_a_row
        at = np.cumsum(size) - size
        self._note("signal", signal[first])
        self._note("row", self._rows + first)
        self._note("at", self._size + at)
        within = np.arange(len(signal)) - np.repeat(first, counts)
        out = np.zeros(int(size.sum()), dtype=np.uint8)
        for name, e in encoded.items():
            width = np.repeat(e.width, counts)
            scatter(out, np.repeat(at, counts) + within * width, e.codes, width)
            at = at + counts * e.width.astype(np.int64)
            self._note(f"{name}.width", e.width)
            self._note(f"{name}.base", e.base)
            self._note(f"{name}.unit", e.unit if self._columns[name] == "i" else e.unit.astype(np.uint8))
        self._rows += len(signal)
        self._write(out.data)

    def _note(self, table: str, values: NDArray[Any]) -> None:
        self._runs.setdefault(table, []).append(values)

    def finish(self, tables: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
        """Adds tables of the caller's, makes the file durable and gives it its name. Its size and its checksum."""
        everything = {name: np.concatenate(parts) for name, parts in self._runs.items()}
        everything["signal"] = everything["signal"].astype("<i4")
        everything["row"] = np.append(everything["row"], self._rows).astype("<u4")
        everything["at"] = everything["at"].astype("<u8")
        places = {}
        for name, table in (everything | dict(tables)).items():
            self._write(bytes(-self._size % 8))
            places[name] = (self._size, table.dtype.str, len(table))
            self._write(np.ascontiguousarray(table).data.cast("B") if len(table) else b"")
        if self._size % CHECKED_BYTES:
            self._checksums.append(self._crc)
        checksums = np.array(self._checksums, dtype="<u4").tobytes()
        body = msgspec.msgpack.encode(Description(self._kind, self._rows, self._columns, places, checksums))
        crc = zlib.crc32(body)
        try:
            self._file.write(body + TRAILER.pack(len(body), crc, MAGIC))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._draft.rename(self.path)
        except OSError as error:
            self.abandon()
            raise storage_error(error, self.path) from error
        return self._size + len(body) + TRAILER.size, crc

    def abandon(self) -> None:
        """Leaves nothing of the part."""
        self._file.close()
        self._draft.unlink(missing_ok=True)

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        try:
            self._file.write(view)
        except OSError as error:
            self.abandon()
            raise storage_error(error, self.path) from error
        while len(view):
            piece = view[: CHECKED_BYTES - self._size % CHECKED_BYTES]
            self._crc = zlib.crc32(piece, self._crc)
            self._size += len(piece)
            view = view[len(piece) :]
            if self._size % CHECKED_BYTES == 0:
                self._checksums.append(self._crc)
                self._crc = 0


def _encode(values: NDArray[Any], kind: str, first: NDArray[np.int64]) -> Encoded:
    if kind == "f":
        return encode_floats(np.ascontiguousarray(values, dtype=np.float64), first)
    return encode_integers(values.astype(np.int64), first)
