"""How the embedded storage is set up."""

from dataclasses import dataclass

from .journal import SEGMENT_BYTES


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Sizes and times of the storage.

    segment_bytes: size of a journal file. memory_limit: DuckDB's. projection_interval [s]: how often the query store
    is written. journal_retention [s]: how long entries stay in the journal after every projection has them.
    """

    segment_bytes: int = SEGMENT_BYTES
    memory_limit: str = "128MB"
    projection_interval: float = 1.0
    journal_retention: float = 7 * 86_400
