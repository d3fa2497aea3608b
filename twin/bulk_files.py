"""The files of a bulk export: written so that a crash leaves whole ones, with a manifest of counts and checksums."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from .directory import storage_error
from .errors import DamagedFileError, NotFoundError
from .segment import sync_directory

FORMAT = 1
MANIFEST = "manifest.json"
PARTIAL = "manifest.partial.json"
DRAFT = ".new"
_CHUNK = 1 << 20
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def quiet(what: str, done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


class FileInfo(msgspec.Struct, frozen=True):
    """A file of an export: its name, rows, bytes and checksum."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, omit_defaults=True):
    """What an export holds.

    format: of the files. id: of this export. taken: the instant [ns] as of which it was taken, all that was recorded
    until then is in it. revision: of the graph. last_event, next_key, next_index: numbers that go on behind it.
    """

    id: str
    taken: int
    revision: int
    last_event: int
    format: int = FORMAT
    files: list[FileInfo] = []

    def file(self, name: str) -> FileInfo | None:
        """A file by its name."""
        return next((file for file in self.files if file.name == name), None)

    def counts(self) -> dict[str, int]:
        """Rows by kind: nodes, relationships, ..., readings."""
        found: dict[str, int] = {}
        for file in self.files:
            kind = file.name.partition("/")[0].removesuffix(".jsonl")
            found[kind] = found.get(kind, 0) + file.rows
        return found


def load_manifest(directory: Path, name: str = MANIFEST) -> Manifest:
    """The manifest of an export; raises NotFoundError, DamagedFileError."""
    path = directory / name
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise NotFoundError(f"{directory} holds no export: there is no {name}") from None
    except OSError as error:
        raise storage_error(error, path) from error
    except msgspec.DecodeError as error:
        raise DamagedFileError(f"{path}: {error}") from error
    if manifest.format > FORMAT:
        raise DamagedFileError(f"{path}: format {manifest.format} was written by a newer version; known is {FORMAT}")
    return manifest


def save_manifest(manifest: Manifest, directory: Path, name: str = MANIFEST) -> None:
    """Writes it durably; a crash leaves the old one or this one. Raises StorageError."""
    save_json(manifest, directory / name)


def save_json(value: msgspec.Struct, path: Path) -> None:
    """A struct as a file of JSON, whole or not at all. Raises StorageError."""
    body = msgspec.json.format(msgspec.json.encode(value), indent=1)
    with whole_file(path) as draft:
        draft.write_bytes(body + b"\n")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lets a file be written under another name; it gets its own once it is whole and durable. Raises StorageError."""
    draft = path.with_name(path.name + DRAFT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise storage_error(error, path) from error


def write_rows(directory: Path, name: str, rows: Iterable[msgspec.Struct]) -> FileInfo:
    """A file of JSON Lines."""
    encoder, count = msgspec.json.Encoder(), 0
    buffer = bytearray()
    with whole_file(directory / name) as path, path.open("wb") as file:
        for row in rows:
            encoder.encode_into(row, buffer, -1)
            buffer += b"\n"
            count += 1
            if len(buffer) >= _CHUNK:
                file.write(buffer)
                buffer.clear()
        file.write(buffer)
    return file_info(directory, name, count)


def file_info(directory: Path, name: str, rows: int) -> FileInfo:
    """A file as the manifest tells of it."""
    path = directory / name
    return FileInfo(name, rows, path.stat().st_size, checksum(path))


def checksum(path: Path) -> str:
    """SHA-256, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise storage_error(error, path) from error


def check_files(files: Sequence[FileInfo], directory: Path, progress: Progress = quiet) -> None:
    """Raises DamagedFileError, which names every file that is missing or was altered."""
    wrong, total, done = [], sum(file.bytes for file in files), 0
    for file in files:
        path = directory / file.name
        if not path.is_file():
            wrong.append(f"{file.name} is missing")
        elif path.stat().st_size != file.bytes or checksum(path) != file.sha256:
            wrong.append(f"{file.name} was altered")
        done += file.bytes
        progress("checking", done, total)
    if wrong:
        raise DamagedFileError(f"{directory}: {', '.join(wrong)}")
