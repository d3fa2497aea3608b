"""The port of the twin's own projections: stores that the projector fills from the journal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .entry import Entry


class Projection(Protocol):
    """A store that holds what the journal told it up to `applied_seq`, and that up to `durable_seq` for good."""

    path: Path
    applied_seq: int

    @property
    def durable_seq(self) -> int:
        """The last entry that is needed no more."""

    def apply(self, entries: Sequence[Entry]) -> None:
        """Takes in the entries behind `applied_seq`, all or none; raises StorageError."""

    def reopen(self) -> None:
        """Begins again after an error; raises StorageError."""

    def size(self) -> int:
        """Bytes on the disk."""

    def close(self) -> None:
        """Closes its files."""
