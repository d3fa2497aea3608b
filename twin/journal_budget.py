"""How much of the journal is kept for stores that are away, and what happens beyond that."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .byte_sizes import readable_bytes
from .errors import StorageFullError
from .journal import Journal
from .store_names import POSITION_PREFIX, PUBLISHING_PREFIX, SOURCE_PREFIX

_HOLD_NOTHING = (POSITION_PREFIX, PUBLISHING_PREFIX, SOURCE_PREFIX)
_SAMPLE_S = 10.0
_SAMPLES = 60


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the definition says: the names of the stores' positions, and `iotsense.storage.journal`."""

    stores: tuple[str, ...] = ()
    budget: int = 0
    refuse: bool = False


class JournalBudget:
    """Looks at the definition's `iotsense.storage` about once a second.

    `refusal` is why no reading is taken in, None if they are. A store that was taken out of the definition holds the
    journal no longer.
    """

    def __init__(self, journal: Journal) -> None:
        self.refusal: StorageFullError | None = None
        self._journal = journal
        self._definition: Mapping[str, Any] | None = None
        self._wanted = _Wanted()
        self._held = 0
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def look(self, definition: Mapping[str, Any], positions: Mapping[str, int]) -> list[int]:
        """The positions behind which the journal is kept: those of all its readers, and what the stores may have."""
        if definition is not self._definition:
            self._definition, self._wanted = definition, _wanted(definition)
        self._sample()
        wanted = self._wanted
        behind = {name: self._journal.bytes_after(positions.get(name, 0)) for name in wanted.stores}
        self._held = max(behind.values(), default=0)
        over = [name for name, size in behind.items() if size > wanted.budget]
        self.refusal = self._refusal(over) if over and wanted.refuse else None
        kept = self._journal.last_bytes(wanted.budget) if over and not wanted.refuse else 0
        readers = [seq for name, seq in positions.items() if not name.startswith(_HOLD_NOTHING)]
        return [self._journal.last_seq, *readers, *(max(positions.get(name, 0), kept) for name in wanted.stores)]

    def check(self) -> None:
        """Raises StorageFullError while readings are refused."""
        if self.refusal is not None:
            raise self.refusal

    def report(self) -> dict[str, Any] | None:
        """For /health: what is left, and how long that lasts [h] at the present rate; None without a store."""
        if not self._wanted.stores:
            return None
        left, rate = max(0, self._wanted.budget - self._held), self.rate()
        return {
            "budget_bytes": self._wanted.budget,
            "held_bytes": self._held,
            "left_bytes": left,
            "bytes_per_s": round(rate, 1),
            "hours_left": round(left / rate / 3600, 1) if rate else None,
            "when_full": "refuse" if self._wanted.refuse else "drop_oldest",
        }

    def rate(self) -> float:
        """Bytes that the journal has grown by a second, over the last ten minutes."""
        if not self._samples:
            return 0.0
        began, seq = self._samples[0]
        return self._journal.bytes_after(seq) / max(1.0, time.monotonic() - began)

    def _sample(self) -> None:
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, self._journal.last_seq))

    def _refusal(self, stores: list[str]) -> StorageFullError:
        return StorageFullError(
            f"the journal's budget of {readable_bytes(self._wanted.budget)} is used up, because {', '.join(stores)}"
            f" does not take what is in it: bring the store back, or change iotsense.storage.journal"
        )


def _wanted(definition: Mapping[str, Any]) -> _Wanted:
    section = definition.get("iotsense", {}).get("storage", {})
    if section.get("type", "embedded") == "embedded":
        return _Wanted()
    # Imported here: pydantic takes its time, and most twins have no such section.
    from .store_config import storage_of, store_address
    from .store_names import position_name

    storage = storage_of(definition)
    given = storage.journal
    stores = (position_name(storage.type, store_address(storage)),)
    return _Wanted(stores, given.budget, given.when_full == "refuse")
