"""A backup as one file: the same files in a tar archive."""

import contextlib
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from .backup import MANIFEST
from .bulk_files import whole_file
from .errors import ConflictError, DamagedFileError, NotFoundError

SUFFIX = ".tar"


@contextlib.contextmanager
def made_directory(path: Path) -> Iterator[Path]:
    """Where a backup that is to be `path` is made: the directory itself, or one that becomes the archive.

    Raises ConflictError if the archive is there already, StorageError.
    """
    if path.suffix != SUFFIX:
        yield path
        return
    if path.exists():
        raise ConflictError(f"{path} is there already")
    directory = path.with_name(f"{path.name}.files")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        yield directory
        with whole_file(path) as draft, tarfile.open(draft, "w") as archive:
            for file in sorted(directory.rglob("*")):
                if file.is_file():
                    archive.add(file, file.relative_to(directory).as_posix())
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def found_directory(path: Path) -> Iterator[Path]:
    """The directory of a backup; an archive is unpacked beside it for as long.

    Raises NotFoundError, DamagedFileError.
    """
    if path.is_dir():
        yield path
        return
    if not path.exists():
        raise NotFoundError(f"there is no backup {path}")
    directory = path.with_name(f"{path.name}.files")
    try:
        with tarfile.open(path) as archive:
            archive.extractall(directory, filter="data")
        yield directory
    except tarfile.TarError as error:
        raise DamagedFileError(f"{path}: no archive with a {MANIFEST}: {error}") from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)
