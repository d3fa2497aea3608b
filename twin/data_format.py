"""The version of a data directory's files: an older one is brought up to date at the start, a newer one refused."""

import logging
import os
from pathlib import Path

from .catalog_upgrade import import_events
from .directory import DataDirectory, storage_error
from .errors import DamagedFileError, StorageError, StorageReadOnlyError
from .history_upgrade import BACKUP, import_readings
from .segment import sync_directory

log = logging.getLogger("iotsense.twin")

FORMAT_FILE = "format"
FORMAT = 2
"""1: readings and events in `plant.duckdb` (0.1). 2: readings in `history/`, events in `plant.sqlite`."""


def bring_up_to_date(directory: DataDirectory) -> None:
    """Makes the files those of this version; a crash in between is made good by the next start. Raises StorageError.

    The file of readings of version 1 stays as a backup until somebody deletes it.
    """
    file = directory.path / FORMAT_FILE
    try:
        version = _version(file, directory)
        if version > FORMAT:
            raise StorageReadOnlyError(
                f"{directory.path} was written by a newer version (format {version}; this one knows {FORMAT})"
            )
        if version == FORMAT:
            return
        if version == 1:
            _from_1(directory)
        _write(file)
    except OSError as error:
        raise storage_error(error, file) from error


def _version(file: Path, directory: DataDirectory) -> int:
    """The version that a directory has; 0 if it is new."""
    if file.exists():
        text = file.read_text().strip()
        if not text.isdigit():
            raise DamagedFileError(f"{file}: {text[:20]!r} is no version")
        return int(text)
    old = (directory.path / name for name in ("plant.duckdb", BACKUP))
    return 1 if any(path.exists() for path in old) else 0


def _from_1(directory: DataDirectory) -> None:
    path = directory.path
    current, backup = path / "plant.duckdb", path / BACKUP
    if current.exists() and not backup.exists():
        wal = path / "plant.duckdb.wal"
        if wal.exists():
            wal.rename(path / f"{BACKUP}.wal")
        current.rename(backup)
        sync_directory(path)
    log.warning("readings and events of version 0.1 are taken over; %s stays as a backup", backup)
    try:
        import_readings(backup, path / "history")
        import_events(backup, directory.catalog)
    except StorageError as error:
        if not isinstance(error, DamagedFileError):
            raise
        log.error("the readings of version 0.1 cannot be read; history is what the journal has: %s", error)


def _write(file: Path) -> None:
    draft = file.with_suffix(".new")
    with draft.open("w") as opened:
        opened.write(f"{FORMAT}\n")
        opened.flush()
        os.fsync(opened.fileno())
    draft.rename(file)
    sync_directory(file.parent)
