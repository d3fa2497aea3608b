"""The thread that keeps history in order: it merges small parts while others are read and written."""

import logging
import threading
import time
from collections.abc import Iterator

from .errors import DamagedFileError, StorageError
from .history_compaction import Stopped, merge, to_merge
from .history_part import Part
from .history_parts import DAY_NS, Parts, View
from .history_raw_writer import RAW, PartInfo
from .times import now_ns

log = logging.getLogger("iotsense.history")

LOOK_S = 60.0
QUIET_S = 900.0


class Upkeep:
    """Works when it is told of new parts, and looks around every minute.

    quiet_s [s]: a past day is merged into one part when nothing was added to it for so long.
    """

    def __init__(self, parts: Parts, quiet_s: float = QUIET_S) -> None:
        self._parts = parts
        self._quiet_s = quiet_s
        self._added: dict[int, float] = {}
        self._damaged: set[str] = set()
        self._turn = threading.Lock()
        self._closing = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history-upkeep", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def told(self, added: list[PartInfo]) -> None:
        """Parts were added."""
        for info in added:
            self._added[info.day] = time.monotonic()
        self._news.set()

    def close(self) -> None:
        """Gives up what it is doing."""
        self._closing.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._news.clear()
            try:
                while self.step():
                    pass
            except Stopped:
                return
            except StorageError as error:
                log.warning("parts of history could not be merged; they stay as they are: %s", error)
            except Exception:  # history works without upkeep, only slower
                log.exception("the upkeep of history failed")
            self._news.wait(LOOK_S)

    def step(self) -> bool:
        """Does one piece of work; False if there is none. Waits for who is at it."""
        with self._turn, self._parts.reading() as view:
            chosen = next(self._choices(view), None)
            if chosen is None or self._closing.is_set():
                return False
            self._merge(chosen, [self._checked(view, info) for info in chosen])
            return True

    def _checked(self, view: View, info: PartInfo) -> Part:
        try:
            part = view.open(info)
            part.check_all()
            return part
        except DamagedFileError:
            self._damaged.add(info.name)  # it stays as it is, and readers are told
            raise

    def _merge(self, chosen: list[PartInfo], parts: list[Part]) -> None:
        day = chosen[0].day
        name = self._parts.new_name(RAW, day)
        merged = merge(parts, self._parts.directory, name, day, self._closing.is_set)
        try:
            self._parts.replace(chosen, [merged])
        except StorageError:
            (self._parts.directory / name).unlink()
            raise

    def _choices(self, view: View) -> Iterator[list[PartInfo]]:
        today = now_ns() // DAY_NS
        for day in view.days(RAW):
            parts = [info for info in view.by_day[RAW, day] if info.name not in self._damaged]
            quiet = day < today and time.monotonic() - self._added.get(day, -self._quiet_s) >= self._quiet_s
            if chosen := to_merge(parts, quiet):
                yield chosen
