"""How long events are kept: `iotsense.storage.retention.events`; for ever unless told."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from .catalog import Catalog
from .durations import parse_duration
from .errors import StorageError
from .live import Live
from .times import NS, now_ns

log = logging.getLogger("iotsense.twin")

INTERVAL_S = 60.0


class EventRetention:
    """Looks at the definition whenever it changed, and at the log about once a minute."""

    def __init__(self, live: Live, catalog: Catalog) -> None:
        self._live = live
        self._catalog = catalog
        self._definition: Mapping[str, Any] | None = None
        self._kept: float | None = None
        self._next = 0.0

    def look(self) -> None:
        """Forgets the events that are due."""
        definition = self._live.graph.definition
        if definition is not self._definition:
            self._definition, self._kept, self._next = definition, kept(definition), 0.0
        if self._kept is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + INTERVAL_S
        try:
            self._catalog.expire(now_ns() - int(self._kept * NS))
        except StorageError as error:
            log.warning("old events could not be removed now: %s", error)


def kept(definition: Mapping[str, Any]) -> float | None:
    """How long events are kept [s]; None for ever."""
    given = definition.get("iotsense", {}).get("storage", {}).get("retention", {}).get("events")
    return None if given is None else parse_duration(given)
