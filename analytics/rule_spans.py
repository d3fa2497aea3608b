"""Which limit judges a signal's readings of which time: rules have versions, and each version has its span.

A version applies from its `effective_from`, else from when it was applied; to a signal that had not spoken before that,
from ever. So a reading is judged by its own time, whenever it comes. The spans are told as events of the kind `rule`,
from which a restart learns them again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.entry import EventDraft
from ..twin.graph import Graph
from ..twin.model import Event
from ..twin.state import NEVER
from ..twin.times import format_time, parse_time
from .anomaly_book import FOREVER
from .rules import Watch, WatchTable, compile_watches

RULE = "rule"
_EVER = "ever"

GraphOf = Callable[[int], Graph]
# Name and version of the rule, index of the signal.
SpanKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Span:
    """The watches of one version of a rule on one signal, which judge readings from `start` until before `end` [ns]."""

    watches: tuple[Watch, ...]
    start: int
    end: int = FOREVER

    def judges_like(self, watches: tuple[Watch, ...]) -> bool:
        """Whether these find the same anomalies."""
        pairs = zip(self.watches, watches, strict=False)
        return len(self.watches) == len(watches) and all(mine.judges_like(other) for mine, other in pairs)


@dataclass(slots=True)
class _Change:
    """What changes for one version of a rule: by time the signals that it begins or ceases to watch."""

    begins: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    ends: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    never: list[int] = field(default_factory=list)


class RuleSpans:
    """The spans of all rules' versions, by signal."""

    def __init__(self) -> None:
        self.table: WatchTable = compile_watches(Graph())
        self._current: dict[SpanKey, Span] = {}
        self._past: defaultdict[int, list[Span]] = defaultdict(list)

    def of(self, signal: int, since: int) -> list[Span]:
        """The spans of a signal that end at or after `since`, in the order in which they began."""
        current = [self._current[key] for key in _by_span(self.table.of(signal)) if key in self._current]
        return [span for span in self._past.get(signal, ()) if span.end >= since] + current

    def starts(self) -> NDArray[np.int64]:
        """From when on each watch of the table judges `(n_watches,)` [ns]."""
        keys = ((w.rule.name, w.rule.version, w.signal.index) for w in self.table.watches)
        return np.array([self._current[key].start for key in keys], dtype=np.int64)

    def follow(self, graph: Graph, recorded: int, spoken: NDArray[np.bool_]) -> tuple[list[EventDraft], dict[int, int]]:
        """Takes a new revision, recorded then [ns]; `spoken` says which signals have ever had a reading.

        The events that tell of it, and from when on readings must be judged anew, by signal.
        """
        self.table = compile_watches(graph)
        now = _by_span(self.table.watches)
        changes: defaultdict[tuple[str, str], _Change] = defaultdict(_Change)
        new: dict[SpanKey, Span] = {}
        begun: dict[tuple[str, int], int] = {}
        for key, watches in now.items():
            before = self._current.get(key)
            if before is not None and before.judges_like(watches):
                new[key] = replace(before, watches=watches)
                continue
            start = _start(watches[0].rule.effective_from, before, recorded, bool(spoken[key[2]]))
            new[key] = Span(watches, start)
            begun[key[0], key[2]] = start
            changes[key[:2]].begins[start].append(key[2])
        for key, span in self._current.items():
            if key not in new or new[key].start != span.start:
                end = begun.get((key[0], key[2]), recorded)
                self._end(key, span, end if spoken[key[2]] else span.start, changes[key[:2]])
        self._current = new
        for (rule, signal), start in begun.items():
            self._past[signal] = _cut(self._past[signal], rule, start)
        drafts = [_event(rule, change, graph.revision, recorded) for rule, change in changes.items()]
        return drafts, _anew(changes.values())

    def _end(self, key: SpanKey, span: Span, end: int, change: _Change) -> None:
        if end > span.start:
            change.ends[end].append(key[2])
            self._past[key[2]].append(replace(span, end=end))
        else:
            change.never.append(key[2])

    # After a restart

    def recall(self, events: Iterable[Event], graph: Graph, graph_of: GraphOf) -> None:
        """Learns from the log's events up to those of `graph`; `graph_of(time)` is the one that was known then [ns]."""
        self.table = compile_watches(graph)
        now = _by_span(self.table.watches)
        told, ended_spans = _told(events)
        # What has watches and no beginning comes from a version of this program that told none.
        self._current = {key: Span(watches, told.get(key, (NEVER, 0))[0]) for key, watches in now.items()}
        self._past.clear()
        tables: dict[int, dict[SpanKey, tuple[Watch, ...]]] = {}
        for key, start, end, began in ended_spans:
            if key[2] not in graph.signal_map:
                continue  # no reading comes any more of a signal that is gone
            if began not in tables:
                tables[began] = _by_span(compile_watches(graph_of(began)).watches)
            if key in tables[began]:
                self._past[key[2]].append(Span(tables[began][key], start, end))
        for key, span in self._current.items():
            if key[2] in self._past:
                self._past[key[2]] = _cut(self._past[key[2]], key[0], span.start)


def _start(effective_from: int | None, before: Span | None, recorded: int, spoken: bool) -> int:
    if before is not None and spoken:
        return recorded  # the same version, but the sensor has another unit or place now
    if effective_from is not None:
        return effective_from
    return recorded if spoken else NEVER


def _cut(spans: list[Span], rule: str, start: int) -> list[Span]:
    """The spans of a signal's past when a version of `rule` applies from `start` on: one at a time does."""
    cut = (replace(s, end=min(s.end, start)) if s.watches[0].rule.name == rule else s for s in spans)
    return [span for span in cut if span.end > span.start]


def _by_span(watches: Iterable[Watch]) -> dict[SpanKey, tuple[Watch, ...]]:
    found: dict[SpanKey, tuple[Watch, ...]] = {}
    for watch in watches:
        key = (watch.rule.name, watch.rule.version, watch.signal.index)
        found[key] = (*found.get(key, ()), watch)
    return found


def _anew(changes: Iterable[_Change]) -> dict[int, int]:
    """From when on readings must be judged anew, by signal; one that never spoke has none."""
    anew: dict[int, int] = {}
    for change in changes:
        for time, signals in (*change.begins.items(), *change.ends.items()):
            for signal in signals:
                anew[signal] = min(time, anew.get(signal, FOREVER))
    return anew


def _event(rule: tuple[str, str], change: _Change, revision: int, recorded: int) -> EventDraft:
    data: dict[str, Any] = {"rule": rule[0], "version": rule[1], "revision": revision}
    for name, by_time in (("begins", change.begins), ("ends", change.ends)):
        if by_time:
            data[name] = {_word(time): _ranges(signals) for time, signals in by_time.items()}
    if change.never:
        data["never"] = _ranges(change.never)
    return EventDraft(recorded, RULE, until=recorded, data=data)


def _word(time: int) -> str:
    return _EVER if time == NEVER else format_time(time)


def _ranges(signals: list[int]) -> list[list[int]]:
    """Indexes as [first, last] pairs: ten thousand in a row are one."""
    ranges: list[list[int]] = []
    for signal in sorted(set(signals)):
        if ranges and signal == ranges[-1][1] + 1:
            ranges[-1][1] = signal
        else:
            ranges.append([signal, signal])
    return ranges


def _told(events: Iterable[Event]) -> tuple[dict[SpanKey, tuple[int, int]], list[tuple[SpanKey, int, int, int]]]:
    """From events: start and time of beginning of the spans that go on; key, start, end and the same of those ended."""
    open_now: dict[SpanKey, tuple[int, int]] = {}
    ended: list[tuple[SpanKey, int, int, int]] = []
    for event in events:
        data = event.data
        rule, version = data["rule"], data["version"]
        for word, ranges in data.get("ends", {}).items():
            for key in _keys(rule, version, ranges):
                if key in open_now:
                    start, began = open_now.pop(key)
                    ended.append((key, start, parse_time(word), began))
        for key in _keys(rule, version, data.get("never", ())):
            open_now.pop(key, None)
        for word, ranges in data.get("begins", {}).items():
            start = NEVER if word == _EVER else parse_time(word)
            open_now |= dict.fromkeys(_keys(rule, version, ranges), (start, event.time))
    return open_now, ended


def _keys(rule: str, version: str, ranges: Iterable[list[int]]) -> Iterable[SpanKey]:
    return ((rule, version, signal) for first, last in ranges for signal in range(first, last + 1))
