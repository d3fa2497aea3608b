"""DuckDB's errors in our words."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from .errors import DamagedFileError, StorageError, StorageFullError, StorageReadOnlyError


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Lets only our own errors out of a block that uses DuckDB."""
    try:
        yield
    except duckdb.Error as error:
        raise _translate(error, path) from error


def _translate(error: duckdb.Error, path: Path) -> StorageError:
    text = str(error).splitlines()[0]
    if "No space left" in text or "disk is full" in text.lower():
        return StorageFullError(f"no room left to write {path}")
    if isinstance(error, duckdb.IOException) and ("Permission denied" in text or "Read-only" in text):
        return StorageReadOnlyError(f"cannot write {path}: {text}")
    return DamagedFileError(f"{path}: {text}")
