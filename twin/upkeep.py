"""What is done now and then beside the projections: checkpoints, the reserve, and dropping old journal."""

import logging
import time
from collections.abc import Callable

from .checkpoint import CheckpointFiles
from .directory import DataDirectory
from .journal import Journal
from .journal_budget import JournalBudget
from .live import Live
from .times import NS, now_ns

log = logging.getLogger("iotsense.twin")

CHECKPOINT_S = 60.0
CHECKPOINT_READINGS = 2_000_000


class Upkeep:
    """Looks after one data directory; `retention` [s] is how long entries stay behind what every projection has.

    `duties` are done at every look, about once a second.
    """

    def __init__(self, live: Live, journal: Journal, directory: DataDirectory, retention: float) -> None:
        self.budget = JournalBudget(journal)
        self.checkpoints = CheckpointFiles(directory.checkpoints)
        self._live = live
        self._journal = journal
        self._directory = directory
        self._retention = retention
        self._last = (0, time.monotonic())
        self.duties: list[Callable[[], None]] = []

    def look(self, projected: int) -> None:
        """Does what is due; the projections hold the entries up to `projected`."""
        needed = self._needed()
        readings, at = self._last
        age = time.monotonic() - at
        if age >= CHECKPOINT_S or self._live.readings - readings >= CHECKPOINT_READINGS:
            self.save_checkpoint()
            self._directory.keep_reserve()
            self._drop_before(min(projected, *needed))
        for duty in self.duties:
            duty()

    def save_checkpoint(self) -> None:
        """Writes one, unless the journal is damaged."""
        self._last = (self._live.readings, time.monotonic())
        if self._journal.damage is not None:
            return
        try:
            self.checkpoints.save(self._live.checkpoint())
        except OSError as error:
            # Only the next start is slower without it: the journal has everything.
            log.warning("no checkpoint could be written: %s", error)

    def drop_old(self, projected: int) -> None:
        """Removes what of the journal everybody has passed and is older than its retention."""
        self._drop_before(min(projected, *self._needed()))

    def _needed(self) -> list[int]:
        return self.budget.look(self._live.graph.definition, self._live.positions)

    def _drop_before(self, passed: int) -> None:
        self._journal.drop_before(passed, now_ns() - int(self._retention * NS))
