"""Following the live state: no queue, only the number of the last entry that the subscriber has seen."""

import numpy as np
from numpy.typing import NDArray

from .journal import Journal
from .labels import Labels
from .state import TwinState

FASTEST_HZ = 60.0
"""How often a second at most a subscriber may ask to be told: no screen shows more."""


class StateSubscription:
    """Which signals changed since the last time it was asked.

    A slow subscriber skips intermediate values, always gets the latest, and costs no memory.
    """

    def __init__(self, state: TwinState, journal: Journal, labels: Labels, signals: NDArray[np.int32] | None) -> None:
        self._state = state
        self._journal = journal
        self._labels = labels
        self._signals = signals
        self._seq = journal.last_seq

    @property
    def label_count(self) -> int:
        """How many texts all signals have together: none is ever taken away, so it tells whether one came."""
        return len(self._labels)

    async def changed(self) -> NDArray[np.int32]:
        """Waits until some of the signals changed; their indexes, each once."""
        while True:
            found = self.taken()
            if len(found):
                return found
            await self.more()

    def taken(self) -> NDArray[np.int32]:
        """The indexes of those that changed since it was asked last, each once; it may be none."""
        # Taken before looking: what comes in between is reported again next time, never missed.
        upto = self._journal.last_seq
        found = self._state.changed_since(self._seq, self._signals)
        self._seq = upto
        return found

    async def more(self) -> None:
        """Waits until something was written since it was asked last, be it of other signals."""
        await self._journal.wait_beyond(self._seq)
