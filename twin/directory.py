"""The data directory: who owns it, what lies where in it, and a reserve for a full disk."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from .errors import DirectoryInUseError, StorageError, StorageFullError, StorageReadOnlyError

RESERVE_BYTES = 8 << 20


class DataDirectory:
    """A locked directory: `journal/`, `checkpoints/`, `history/`, `plant.sqlite`, and the lock with its owner's id.

    Raises DirectoryInUseError if another process has it, StorageReadOnlyError if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            # Reading and writing, never truncating: the text in it is the present owner's.
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise storage_error(error, path) from error
        self._own()

    @property
    def journal(self) -> Path:
        """Where the segments are."""
        return self.path / "journal"

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    @property
    def history(self) -> Path:
        """Where the parts of history are."""
        return self.path / "history"

    @property
    def catalog(self) -> Path:
        """The SQLite file of events, dead letters and revisions."""
        return self.path / "plant.sqlite"

    def _own(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            by = f" by process {owner}" if owner else ""
            raise DirectoryInUseError(f"the data directory {self.path} is in use{by}") from error
        with contextlib.suppress(OSError):  # on a full disk the number is missing from a message, nothing more
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def keep_reserve(self) -> None:
        """Sets a few megabytes aside, so that a start on a full disk has room for its bookkeeping."""
        reserve = self.path / "reserve"
        if reserve.exists():
            return
        handle = os.open(reserve, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, RESERVE_BYTES)
        except OSError:
            reserve.unlink()  # there is no room; the next checkpoint tries again
        finally:
            os.close(handle)

    def release_reserve(self) -> bool:
        """Gives the reserve to a start that found no room; False if it was given before."""
        try:
            (self.path / "reserve").unlink()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Lets another process have the directory."""
        os.close(self._lock)


def storage_error(error: OSError, path: Path) -> StorageError:
    """An error of the operating system in our words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError(f"no room left in {path}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageReadOnlyError(f"cannot write {path}: {error.strerror}")
    return StorageError(f"cannot use {path}: {error.strerror}")
