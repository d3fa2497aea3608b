"""The number of the journal's last entry in a file of its own: a write-ahead log that was cut short looks whole.

It is overwritten after each commit and not synced, so it costs a microsecond. After `kill -9` it is exact; after a
power cut it may be older than the journal, never newer, since it is written after the journal's sync.
"""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from .errors import DamagedFileError, StorageError
from .segment import sync_directory

_NUMBER = struct.Struct("<q")
_MARK = struct.Struct("<qI")


class EndMark:
    """The file `end` of a journal's directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "end"
        self._file: int | None = None

    def read(self) -> int:
        """The last number that was written; 0 if none was. Raises DamagedFileError."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return 0
        if not content.strip(b"\0"):
            return 0  # the power failed while the file was made
        if len(content) != _MARK.size:
            raise DamagedFileError(f"{self.path} has not its length, so the journal's end cannot be verified")
        number, checksum = _MARK.unpack(content)
        if zlib.crc32(_NUMBER.pack(number)) != checksum:
            raise DamagedFileError(f"{self.path} fails its checksum, so the journal's end cannot be verified")
        return int(number)

    def open(self, number: int) -> None:
        """Makes the file if need be, so that there is room for it for ever; raises StorageError."""
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self.write(number)
            os.ftruncate(self._file, _MARK.size)
            os.fsync(self._file)
            sync_directory(self.path.parent)
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from error

    def write(self, number: int) -> None:
        """The entry of this number is durable."""
        if self._file is not None:
            # Without the mark a cut at the very end goes unnoticed; that is no reason to refuse readings.
            with suppress(OSError):
                os.pwrite(self._file, _MARK.pack(number, zlib.crc32(_NUMBER.pack(number))), 0)

    def close(self) -> None:
        """Writes no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
