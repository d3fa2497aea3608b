"""Which plant a data directory is: a number drawn once, by which a database knows whose history it holds."""

from pathlib import Path
from uuid import uuid4

from .directory import storage_error

IDENTITY = "plant-id"
"""The file."""


def plant_identity(directory: Path) -> str:
    """The identity in the directory, drawn when there is none yet; raises StorageError."""
    file = directory / IDENTITY
    try:
        if not file.exists():
            new = file.with_name(IDENTITY + ".new")
            new.write_text(uuid4().hex)
            new.replace(file)
        return file.read_text().strip()
    except OSError as error:
        raise storage_error(error, file) from error
