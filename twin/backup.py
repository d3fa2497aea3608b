"""Backups of a data directory while it is in use, as of one entry of the journal, and their way back."""

import contextlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from .audit_files import copy_audit
from .bulk_files import FileInfo, Progress, check_files, checksum, file_info, quiet, save_json
from .data_format import FORMAT_FILE
from .directory import storage_error
from .entry import EntryKind, unpack
from .errors import ConflictError, DamagedFileError, NotFoundError, StorageError
from .key_store import FILE as KEYS
from .plant_identity import IDENTITY
from .segment import sync_directory, translated
from .twin import Twin

MANIFEST = "backup.json"
FORMAT = 1
Carry = Callable[[Path, Path], None]


class Backup(msgspec.Struct, omit_defaults=True):
    """What a backup holds: everything up to the journal's entry `seq`, recorded at `taken` [ns].

    revision: of the graph then. files: with their bytes and SHA-256. id: of this backup. format: of a backup.
    """

    id: str
    seq: int
    taken: int
    revision: int
    format: int = FORMAT
    files: list[FileInfo] = []

    def file(self, name: str) -> FileInfo | None:
        """A file by its name."""
        return next((file for file in self.files if file.name == name), None)


def copy_file(source: Path, target: Path) -> None:
    """A copy of its own, durable."""
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def link_file(source: Path, target: Path) -> None:
    """The same file under another name where the file system can do that, else a copy."""
    try:
        target.hardlink_to(source)
    except OSError:
        copy_file(source, target)


def backup(twin: Twin, directory: Path, *, carry: Carry = copy_file, progress: Progress = quiet) -> Backup:
    """Copies the data directory of a running twin; blocks, and slows no reading. What the backup holds.

    `carry` brings over files that never change again. Raises ConflictError if the directory is not empty; StorageError.
    """
    if directory.is_dir() and any(directory.iterdir()):
        raise ConflictError(f"{directory} is not empty")
    try:
        for name in ("journal", "checkpoints", "history"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        made = _copied(twin, directory, carry, progress)
        for folder in (directory, *(path for path in directory.iterdir() if path.is_dir())):
            sync_directory(folder)
    except OSError as error:
        raise storage_error(error, directory) from error
    save_json(made, directory / MANIFEST)
    check_files(made.files, directory, progress)
    return made


def _copied(twin: Twin, directory: Path, carry: Carry, progress: Progress) -> Backup:
    # The journal last: what it holds beyond the others is what a start reads, and never the other way round.
    progress("copying", 0, 4)
    needed = [twin.transfer.copy_history(directory / "history", carry)]
    progress("copying", 1, 4)
    needed.append(twin.transfer.copy_catalog(directory / "plant.sqlite"))
    progress("copying", 2, 4)
    needed.append(_copy_checkpoint(twin, directory / "checkpoints"))
    progress("copying", 3, 4)
    revision = twin.graph.revision
    segments = twin.transfer.copy_journal(directory / "journal", carry)
    if int(segments[0].stem) > min(needed) + 1:
        raise StorageError("the journal was shortened while it was copied; try again")
    seq, taken, changed = _end(segments)
    for name in (IDENTITY, FORMAT_FILE, KEYS):
        if (source := twin.directory / name).exists():
            (directory / name).parent.mkdir(mode=0o700, exist_ok=True)
            copy_file(source, directory / name)
    copy_audit(twin.directory, directory)
    names = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    files = [file_info(directory, name, 0) for name in names]
    return Backup(secrets.token_hex(8), seq, taken, max(revision, changed), files=files)


def _copy_checkpoint(twin: Twin, directory: Path) -> int:
    """The newest checkpoint, if there is one, and the entry that it is of."""
    source = twin.directory / "checkpoints"
    for path in sorted(source.glob("*.checkpoint"), reverse=True):
        with contextlib.suppress(FileNotFoundError):  # a newer one came, and this one went
            copy_file(path, directory / path.name)
            return int(path.stem)
    return 0


def _end(segments: list[Path]) -> tuple[int, int, int]:
    """The last entry's number and time, and the newest revision among the entries (0 if none is)."""
    seq = taken = revision = 0
    for path in reversed(segments):
        with translated(path), contextlib.closing(sqlite3.connect(path)) as file:
            last = file.execute("SELECT seq, recorded FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
            if last is not None and last[0] > seq:
                seq, taken = last
            found = file.execute(
                "SELECT payload FROM entry WHERE kind = ? ORDER BY seq DESC LIMIT 1", (EntryKind.STRUCTURE,)
            ).fetchone()
        if found is not None:
            revision = unpack(EntryKind.STRUCTURE, found[0]).revision
            break
    return seq, taken, revision


def load_backup(directory: Path) -> Backup:
    """What a backup holds; raises NotFoundError, DamagedFileError."""
    try:
        found = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Backup)
    except FileNotFoundError:
        raise NotFoundError(f"{directory} holds no backup: there is no {MANIFEST}") from None
    except OSError as error:
        raise storage_error(error, directory) from error
    except msgspec.DecodeError as error:
        raise DamagedFileError(f"{directory / MANIFEST}: {error}") from error
    if found.format > FORMAT:
        raise DamagedFileError(f"{directory}: format {found.format} was written by a newer version; known is {FORMAT}")
    return found


def restore(directory: Path, data: Path, progress: Progress = quiet) -> Backup:
    """Makes a new data directory of a backup, and opens it once to see that all is there. What it holds.

    Raises ConflictError if `data` is there already, DamagedFileError if the backup was altered; then nothing is made.
    """
    if data.exists() and any(data.iterdir() if data.is_dir() else [data]):
        raise ConflictError(f"{data} is there already; a restore overwrites nothing")
    found = load_backup(directory)
    check_files(found.files, directory, progress)
    draft = data.with_name(f"{data.name}.restoring")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        for done, file in enumerate(found.files):
            (draft / file.name).parent.mkdir(parents=True, exist_ok=True)
            copy_file(directory / file.name, draft / file.name)
            progress("restoring", done + 1, len(found.files))
        _check(found, draft)
        if data.exists():
            data.rmdir()
        draft.rename(data)
        sync_directory(data.parent)
    except OSError as error:
        raise storage_error(error, data) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return found


def _check(found: Backup, data: Path) -> None:
    if any(checksum(data / file.name) != file.sha256 for file in found.files):
        raise DamagedFileError(f"{data}: a file is another one than in the backup")
    with Twin.open(data) as twin:
        reached = (twin.last_seq, twin.transfer.recorded, twin.graph.revision)
        if twin.damage or reached != (found.seq, found.taken, found.revision):
            raise DamagedFileError(f"the backup cannot be restored: {'; '.join(twin.damage) or reached}")
    (data / "lock").unlink()
