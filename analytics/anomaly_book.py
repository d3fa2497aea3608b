"""What is known of anomalies: the open ones, those that ended, and what has yet to be told of them."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from ..twin.entry import EventDraft
from ..twin.state import NEVER
from .anomalies import Anomaly
from .rules import WatchKey

FOREVER = (1 << 63) - 1
KEPT = 1024

ReadTold = Callable[[int], list[Anomaly]]
SeqOf = Callable[[Anomaly], int]


class AnomalyBook:
    """Anomalies by component and watch, in order of time; changes are found by comparing with what was told.

    Of each component the newest are in memory; when something older is asked for, all are read from the log again.
    """

    def __init__(self, told: Iterable[Anomaly], read_told: ReadTold, nothing_more: bool = False) -> None:
        """`told` are the open ones, `read_told(component)` all of a component, in any order.

        `nothing_more`: besides `told` there were none so far.
        """
        self._read_told = read_told
        self._unknown_until = NEVER if nothing_more else FOREVER
        self._complete_from: dict[int, int] = {}
        self._by_watch: dict[int, dict[WatchKey, list[Anomaly]]] = {}
        self._open: dict[str, Anomaly] = {}
        self._before: dict[str, Anomaly | None] = {}
        self._now: dict[str, Anomaly | None] = {}
        for anomaly in told:
            self._insert(anomaly)

    # Asking

    def __iter__(self) -> Iterator[Anomaly]:
        """The open ones."""
        return iter(tuple(self._open.values()))

    def open_of(self, component: int, key: WatchKey) -> Anomaly | None:
        """The one that a watch of a component has open at its newest reading."""
        last = self._by_watch.get(component, {}).get(key)
        return last[-1] if last and last[-1].until is None else None

    def of(self, component: int) -> list[Anomaly]:
        """Those that a component has open, the oldest first."""
        watches = self._by_watch.get(component, {}).values()
        found = [anomalies[-1] for anomalies in watches if anomalies and anomalies[-1].until is None]
        return sorted(found, key=lambda anomaly: (anomaly.onset, anomaly.identity))

    def before(self, component: int, key: WatchKey, time: int, since: int = NEVER) -> Anomaly | None:
        """The one that was open just before `time`, if it began at or after `since`."""
        self._complete(component, time)
        anomalies = self._by_watch.get(component, {}).get(key, [])
        at = bisect_left(anomalies, time, key=_onset)
        found = anomalies[at - 1] if at else None
        return found if found is not None and found.onset >= since and found.is_open_before(time) else None

    def last_change(self, component: int, key: WatchKey) -> int:
        """When the newest of a watch began or ended, at the latest."""
        known = self._complete_from.get(component, self._unknown_until)
        anomalies = self._by_watch.get(component, {}).get(key)
        if not anomalies:
            return known
        return max(known, anomalies[-1].onset if anomalies[-1].until is None else anomalies[-1].until)

    def between(self, component: int, start: int, end: int) -> list[Anomaly]:
        """Those of a component that were open at some time from `start` to `end`, both included."""
        self._complete(component, start)
        found = []
        for anomalies in self._by_watch.get(component, {}).values():
            for anomaly in reversed(anomalies):
                if anomaly.until is not None and anomaly.until < start:
                    break
                if anomaly.onset <= end:
                    found.append(anomaly)
        return found

    # Changing

    def open(self, anomaly: Anomaly) -> None:
        """One more begins, behind all of its watch."""
        self._alter(anomaly.identity, None, anomaly)
        self._insert(anomaly)

    def close(self, anomaly: Anomaly, ended: Anomaly) -> None:
        """The open one of a watch ends."""
        self._alter(anomaly.identity, anomaly, ended)
        self._by_watch[anomaly.component][anomaly.key][-1] = ended
        del self._open[anomaly.identity]

    def splice(
        self, component: int, key: WatchKey, start: int, onsets: tuple[int, int], found: list[Anomaly]
    ) -> tuple[int, int] | None:
        """`found` are now all of a watch that are open at or after `start`, of those that begin within `onsets`.

        The times from and until which something is open that was not, or the other way round; None if nothing is.
        """
        self._complete(component, start)
        anomalies = self._by_watch.setdefault(component, {}).setdefault(key, [])
        last = bisect_left(anomalies, onsets[1], key=_onset)
        first = bisect_left(anomalies, onsets[0], key=_onset)
        while first < last and not _alive(anomalies[first], start):
            first += 1
        old = {anomaly.identity: anomaly for anomaly in anomalies[first:last]}
        found = [a.told_as(old[a.identity]) if a.identity in old else a for a in found]
        new = {anomaly.identity: anomaly for anomaly in found}
        changed = [i for i in (old | new) if old.get(i) != new.get(i)]
        for identity in changed:
            self._alter(identity, old.get(identity), new.get(identity))
            self._open.pop(identity, None)
        anomalies[first:last] = found
        self._open |= {anomaly.identity: anomaly for anomaly in found if anomaly.until is None}
        times = [time for i in changed for time in _differing(old.get(i), new.get(i))]
        return (min(times), max(times)) if times else None

    def _alter(self, identity: str, old: Anomaly | None, new: Anomaly | None) -> None:
        self._before.setdefault(identity, old)
        self._now[identity] = new

    def _insert(self, anomaly: Anomaly) -> None:
        self._by_watch.setdefault(anomaly.component, {}).setdefault(anomaly.key, []).append(anomaly)
        if anomaly.until is None:
            self._open[anomaly.identity] = anomaly

    # Telling

    def drafts(self, seq_of: SeqOf) -> list[EventDraft]:
        """The events that tell what changed since `told`; first what is taken back, then by the time of what happened.

        `seq_of(anomaly)` is the number of the event that last told of it.
        """
        taken_back: list[EventDraft] = []
        told: list[EventDraft] = []
        for identity, now in self._now.items():
            before = self._before[identity]
            if now is not None:
                told += now.telling(before)
            elif before is not None:
                taken_back.append(before.retraction(seq_of(before)))
        return taken_back + sorted(told, key=_in_time)

    def told(self) -> None:
        """What `drafts` gave is durable."""
        changed = [anomaly.component for anomaly in (*self._before.values(), *self._now.values()) if anomaly]
        self._before.clear()
        self._now.clear()
        for component in set(changed):
            watches = self._by_watch[component]
            if sum(map(len, watches.values())) > KEPT:
                self._trim(component, watches)

    # What is in memory

    def _complete(self, component: int, time: int) -> None:
        if time > self._complete_from.get(component, self._unknown_until):
            return
        self._complete_from[component] = NEVER
        watches = self._by_watch.setdefault(component, {})
        known = {anomaly.identity for anomalies in watches.values() for anomaly in anomalies} | self._now.keys()
        for anomaly in self._read_told(component):
            if anomaly.identity not in known:
                watches.setdefault(anomaly.key, []).append(anomaly)
        for anomalies in watches.values():
            anomalies.sort(key=_onset)

    def _trim(self, component: int, watches: dict[WatchKey, list[Anomaly]]) -> None:
        ends = sorted(a.until for anomalies in watches.values() for a in anomalies if a.until is not None)
        if len(ends) < KEPT // 2:
            return
        until = ends[len(ends) // 2]
        for key, anomalies in watches.items():
            watches[key] = [a for a in anomalies if a.until is None or a.until > until]
        self._complete_from[component] = until


def _onset(anomaly: Anomaly) -> int:
    return anomaly.onset


def _alive(anomaly: Anomaly, time: int) -> bool:
    return anomaly.until is None or anomaly.until >= time


def _differing(old: Anomaly | None, new: Anomaly | None) -> set[int]:
    """The times of beginnings and ends that only one of them has."""
    of_old, of_new = ({a.onset, FOREVER if a.until is None else a.until} if a else set() for a in (old, new))
    return of_old ^ of_new


def _in_time(event: EventDraft) -> tuple[int, bool, str]:
    return (event.time if event.until is None else event.until, event.until is None, event.identity or "")
