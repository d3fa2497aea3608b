"""The manifest: which parts make up history, and up to which entry of the journal they hold it."""

import os
import zlib
from pathlib import Path

import msgspec

from .directory import storage_error
from .errors import DamagedFileError
from .history_raw_writer import PartInfo
from .segment import sync_directory

NAME = "manifest"
NEVER_GONE = -(1 << 40)


class Manifest(msgspec.Struct, frozen=True):
    """`parts` hold the readings of the journal's entries up to `applied_seq`; `next_number` names the next part.

    lost: parts that were found missing or torn and could not be made again; what they held is a known gap.
    raw_gone: of the UTC days before this one (since the epoch) not all readings are here any more, but tiers of them.
    """

    applied_seq: int = 0
    next_number: int = 1
    parts: list[PartInfo] = []
    lost: list[PartInfo] = []
    raw_gone: int = NEVER_GONE


def load(directory: Path) -> Manifest | None:
    """The manifest of a directory, None if it has none; raises DamagedFileError."""
    path = directory / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    if len(data) < 4 or int.from_bytes(data[:4], "little") != zlib.crc32(memoryview(data)[4:]):
        raise DamagedFileError(f"{path}: the manifest fails its checksum")
    try:
        return msgspec.msgpack.decode(memoryview(data)[4:], type=Manifest)
    except msgspec.DecodeError as error:
        raise DamagedFileError(f"{path}: {error}") from error


def save(manifest: Manifest, directory: Path) -> None:
    """Makes it, and the names of its parts before it, durable; a crash leaves the old one or this.

    Raises StorageError.
    """
    body = msgspec.msgpack.encode(manifest)
    draft = directory / f"{NAME}.new"
    try:
        with draft.open("wb") as file:
            file.write(zlib.crc32(body).to_bytes(4, "little") + body)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(directory)  # the parts' names must be there before a manifest that names them
        draft.rename(directory / NAME)
        sync_directory(directory)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise storage_error(error, directory) from error
