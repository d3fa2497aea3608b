"""How the embedded storage is set up."""

from dataclasses import dataclass

from .history_store import TAIL_ROWS
from .journal import SEGMENT_BYTES


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Sizes and times of the storage.

    segment_bytes: size of a journal file. tail_rows: readings in memory before they become a part of history.
    projection_interval [s]: how often the journal is followed. journal_retention [s]: how long entries stay in the
    journal after every projection has them.
    """

    segment_bytes: int = SEGMENT_BYTES
    tail_rows: int = TAIL_ROWS
    projection_interval: float = 1.0
    journal_retention: float = 7 * 86_400
