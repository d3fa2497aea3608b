"""Following the live state: no queue, only the number of the last entry that the subscriber has seen."""

import numpy as np
from numpy.typing import NDArray

from .journal import Journal
from .state import TwinState


class StateSubscription:
    """Which signals changed since the last time it was asked.

    A slow subscriber skips intermediate values, always gets the latest, and costs no memory.
    """

    def __init__(self, state: TwinState, journal: Journal, signals: NDArray[np.int32] | None) -> None:
        self._state = state
        self._journal = journal
        self._signals = signals
        self._seq = journal.last_seq

    async def changed(self) -> NDArray[np.int32]:
        """Waits until some of the signals changed; their indexes, each once."""
        while True:
            # Taken before looking: what comes in between is reported again next time, never missed.
            upto = self._journal.last_seq
            found = self._state.changed_since(self._seq, self._signals)
            self._seq = upto
            if len(found):
                return found
            await self._journal.wait_beyond(upto)
