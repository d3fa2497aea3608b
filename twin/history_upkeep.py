"""The thread that keeps history in order: merges small parts, sums readings up, takes away what is kept no longer."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

from .errors import DamagedFileError, StorageError
from .history_compaction import merge, to_merge
from .history_gather import Stopped
from .history_part import Part
from .history_parts import DAY_NS, Parts, View
from .history_policy import Policy
from .history_raw_writer import RAW, PartInfo
from .history_retention import raw_days_over, retire_raw, tiers_over
from .history_tier import Tier
from .history_tier_files import merged_tier, write_tier
from .history_tiering import Tiering, lacking
from .times import now_ns

log = logging.getLogger("iotsense.history")

LOOK_S = 60.0
QUIET_S = 900.0
_FAN = 4


class Upkeep:
    """Works when it is told of new parts, and looks around every minute.

    quiet_s [s]: a past day is merged and summed up when nothing was added to it for so long. `now` gives the time [ns].
    """

    def __init__(
        self, parts: Parts, policy: Callable[[], Policy], quiet_s: float = QUIET_S, now: Callable[[], int] = now_ns
    ) -> None:
        self._parts = parts
        self._policy = policy
        self._quiet_s = quiet_s
        self._now = now
        self._added: dict[int, float] = {}
        self._damaged: set[str] = set()
        self._turn = threading.Lock()
        self._closing = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history-upkeep", daemon=True)
        self.trouble: str | None = None

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
                self.trouble = None
            except Stopped:
                return
            except StorageError as error:
                self.trouble = str(error)
                log.warning("the upkeep of history goes on later: %s", error)
            except Exception as error:  # history works without upkeep, only slower
                self.trouble = f"the upkeep of history failed: {error!r}"
                log.exception("the upkeep of history failed")
            self._news.wait(LOOK_S)

    def step(self) -> bool:
        """Does one piece of work; False if there is none. Waits for who is at it."""
        policy = self._policy()
        with self._turn, self._parts.reading() as view:
            work = next(self._work(view, policy), None)
            if work is None or self._closing.is_set():
                return False
            work()
            return True

    def _work(self, view: View, policy: Policy) -> Iterator[Callable[[], None]]:
        """What there is to do, the most urgent first."""
        now = self._now()
        if over := tiers_over(view, policy, now):
            yield lambda: self._parts.replace(over, [])
        for day in raw_days_over(view, policy, now):
            if not lacking(self._whole(view, day), policy):
                yield lambda day=day: retire_raw(self._parts, view, policy, day, now, self._closing.is_set)  # type: ignore[misc]
            yield Tiering(self._parts, view, policy, day, self._closing.is_set).run
        for day in view.days(RAW):
            quiet = self._quiet(day, now)
            if quiet and lacking(self._whole(view, day), policy):
                yield Tiering(self._parts, view, policy, day, self._closing.is_set).run
            if chosen := to_merge(self._whole(view, day), quiet):
                yield lambda chosen=chosen: self._merge(view, chosen)  # type: ignore[misc]
        for tier in policy.tiers:
            for chosen in self._scattered(view, tier, now):
                yield lambda tier=tier, chosen=chosen: self._merge_tier(view, tier, chosen)  # type: ignore[misc]

    def _whole(self, view: View, day: int) -> list[PartInfo]:
        return [info for info in view.by_day[RAW, day] if info.name not in self._damaged]

    def _quiet(self, day: int, now: int) -> bool:
        past = day < now // DAY_NS
        return past and time.monotonic() - self._added.get(day, -self._quiet_s) >= self._quiet_s

    @staticmethod
    def _scattered(view: View, tier: Tier, now: int) -> Iterator[list[PartInfo]]:
        """The parts of a period that are more than a day, or a few days of it, need."""
        for (kind, period), infos in view.by_day.items():
            past = (period + 1) * tier.period_days * DAY_NS <= now
            if kind == tier.name and len(infos) > (1 if past else _FAN):
                yield infos

    def _merge(self, view: View, chosen: list[PartInfo]) -> None:
        parts = [self._checked(view, info) for info in chosen]
        day = chosen[0].day
        merged = merge(parts, self._parts.directory, self._parts.new_name(RAW, day), day, self._closing.is_set)
        self._take(chosen, merged)

    def _merge_tier(self, view: View, tier: Tier, chosen: list[PartInfo]) -> None:
        period = chosen[0].day
        name = self._parts.new_name(tier.name, period)
        segments = merged_tier(view, chosen, self._closing.is_set)
        merged = write_tier(self._parts.directory, name, tier, period, segments)
        if merged is not None:
            self._take(chosen, merged)

    def _take(self, old: list[PartInfo], new: PartInfo) -> None:
        try:
            self._parts.replace(old, [new])
        except StorageError:
            (self._parts.directory / new.name).unlink()
            raise

    def _checked(self, view: View, info: PartInfo) -> Part:
        try:
            part = view.open(info)
            part.check_all()
            return part
        except DamagedFileError:
            self._damaged.add(info.name)  # it stays as it is, and readers are told
            raise
