"""Computed signals: reads the journal from a durable position of its own and appends what follows from the readings.

Each instant at which an input has a reading is computed from what all inputs held then, so the order in which readings
come does not matter: a late or corrected one makes the instants wrong until its input's next reading, and these are
computed anew. What is near the present is computed from memory; older spans are worked off page by page, between the
new readings, and the position waits for them: after a crash they are found again.
"""

import contextlib
import logging
import time
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..twin.batch import ReadingBatch
from ..twin.changes import StructureChange
from ..twin.computed import Evaluation, Formula, add_computed_signals, is_complete
from ..twin.computed_inputs import Held
from ..twin.entry import EntryKind
from ..twin.errors import DamagedFileError, OverloadedError, StorageError
from ..twin.graph import Graph
from ..twin.graph_edit import apply_change
from ..twin.model import DataType
from ..twin.state import NEVER
from ..twin.twin import Twin
from .formulas import Formulas
from .recalculation import EARLIEST, Recalculation, Span, joined
from .tracks import LATEST, Told, Track
from .worker import follow_journal

log = logging.getLogger("iotsense.analytics")

CHUNK_ENTRIES = 2048
CHUNK_ROWS = 20_000
BUDGET_S = 0.2
POSITION_ENTRIES = 5_000
POSITION_S = 30.0
APART_NS = 3_600 * 1_000_000_000
MOST_SPANS = 10_000


class Computation:
    """Computes what definitions call `computed`. `step` does a piece of work; `run` does it for as long as it may."""

    def __init__(self, twin: Twin, name: str = "computed") -> None:
        self.twin = twin
        self.name = name
        self.trouble: str | None = None
        self._recall()

    def _recall(self) -> None:
        self.position = self._recorded_position = self.twin.position(self.name)
        self._recorded_at = time.monotonic()
        self._known_at = 0
        self._graph = Graph()
        self._begun = False
        self._formulas = Formulas(self.twin.revisions.graph)
        self._recalculation = Recalculation(self.twin, self._formulas, self._held)
        self._tracks: dict[int, Track] = {}
        self._trackless: list[int] = []
        self._spans: list[Span] = []
        self._unrecorded: ReadingBatch | None = None
        self._is_input: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    # What others ask

    @property
    def lag(self) -> int:
        """How many entries of the journal it has not seen yet."""
        return max(0, self.twin.last_seq - self.position)

    @property
    def problems(self) -> dict[str, str]:
        """Computed signals that cannot be computed, by id, with the reason."""
        return dict(self._formulas.problems)

    @property
    def pending(self) -> int:
        """How many spans of the past wait to be computed anew."""
        return len(self._spans)

    # Working

    async def run(self) -> None:
        """Works until cancelled; writes that are refused are tried again with growing pauses."""
        await follow_journal(self)

    def step(self) -> int:
        """Works off some of the past, reads on and records what follows; 0 if there was nothing to do.

        Raises StorageError; then nothing is lost, and the next step tries again.
        """
        try:
            self._record()
            return self._work()
        except (StorageError, OverloadedError):
            if self._unrecorded is None:
                self._recall()
            raise
        except Exception:
            self._recall()
            raise

    def close(self) -> None:
        """Records how far it has come, so that the next start has nothing to repeat."""
        with contextlib.suppress(StorageError, OverloadedError):
            self._record()
            if self._safe() > self._recorded_position:
                self.twin.record(position=(self.name, self._safe()))

    def _work(self) -> int:
        if not self._begun:
            if not self.twin.graph.revision:
                return 0
            self._begin()
        waiting = len(self._spans)
        self._work_off()
        before, known_at = self.position, self._known_at
        batches = self._read()
        self._spoken |= bool(batches)
        if batches and self._formulas.current:
            self._make_tracks(known_at)
            self._unrecorded = self._follow_readings(batches, before + 1)
            self._record()
        self._record_position()
        return self.position - before + waiting

    def _read(self) -> list[ReadingBatch]:
        batches: list[ReadingBatch] = []
        rows = 0
        try:
            for entry in islice(self.twin.journal_entries(self.position), CHUNK_ENTRIES):
                if entry.kind is EntryKind.READINGS:
                    batches.append(entry.value)
                    rows += len(entry.value)
                elif entry.kind is EntryKind.STRUCTURE and entry.value.revision > self._graph.revision:
                    if batches:
                        break
                    self.position = entry.seq
                    self._follow(entry.value, entry.recorded)
                self.position, self._known_at = entry.seq, entry.recorded
                if rows >= CHUNK_ROWS:
                    break
        except DamagedFileError as damage:
            log.error("computed signals leave out entries from %d on: %s", self.position + 1, damage)
            self.position = self.twin.last_seq
        return batches

    # Structure

    def _begin(self) -> None:
        for entry in self.twin.journal_entries(max(0, self.position - 1)):
            self._known_at = entry.recorded if entry.seq == self.position else entry.recorded - 1
            break
        then = self.twin.as_of(known_at=self._known_at)
        self._graph = then.graph
        self._spoken = bool((then.snapshot().time != NEVER).any())
        if then.graph.revision:
            changes = self.twin.revisions.changes(until=then.graph.revision)
            self._formulas.recall(changes, then.graph, self._spoken_by)
        self._inputs_known()
        self._resumed_at = self.twin.last_seq
        self._begun = True

    def _spoken_by(self, recorded: int) -> bool:
        return bool((self.twin.as_of(known_at=recorded).snapshot().time != NEVER).any())

    def _follow(self, change: StructureChange, recorded: int) -> None:
        """Formulas of a new revision; a signal that is computed from now on is computed for all that is stored."""
        live = self.twin.graph
        following = change.revision == self._graph.revision + 1 and live.revision != change.revision
        graph = self._graph = apply_change(self._graph, change) if following else live
        before = set(self._formulas.current)
        if not is_complete(self.twin.graph, before):
            self.twin.change(lambda edit: add_computed_signals(edit, before), author=self.name)
        changed = self._formulas.follow(graph, change, recorded, self._spoken)
        self._inputs_known()
        for signal in changed & self._formulas.current.keys() if self._spoken else ():
            start = recorded if signal in before else max(EARLIEST, self.twin.whole_from)
            self._spans.append(Span(signal, start, {}, LATEST, self.position))

    def _inputs_known(self) -> None:
        self._is_input = np.zeros(max(self._graph.signal_count, self.twin.graph.signal_count), dtype=np.bool_)
        computed, inputs = self._formulas.current.keys(), self._formulas.by_input.keys()
        self._is_input[list(inputs - computed)] = True
        self._tracks = {signal: track for signal, track in self._tracks.items() if signal in inputs | computed}
        self._trackless = [signal for signal in inputs | computed if signal not in self._tracks]

    # New readings

    def _follow_readings(self, batches: list[ReadingBatch], entry: int) -> ReadingBatch:
        """The readings that follow from these, near the present; spans of the past are noted."""
        batch = ReadingBatch.concat(batches)
        concerned = self._is_input[batch.signal]
        touched: defaultdict[int, set[int]] = defaultdict(set)
        if concerned.any():
            part = batch.take(concerned)
            columns = (part.signal.tolist(), part.time.tolist(), part.value.tolist(), part.quality.tolist())
            for signal, at, value, quality in zip(*columns, strict=True):
                self._tracks[signal].put(at, value, quality)
                touched[signal].add(at)
        found: list[tuple[int, int, Held]] = []
        order = self._formulas.order
        waiting = sorted({order[one] for signal in touched for one in self._formulas.by_input[signal]})
        while waiting:
            formula = self._formulas.in_order[waiting.pop(0)]
            results = self._compute(formula, {one: touched[one] for one in formula.signals if one in touched}, entry)
            found += [(formula.signal, at, held) for at, held, is_news in results if is_news]
            if told := {at for at, _, is_news in results if is_news or self._repeats(entry)}:
                touched[formula.signal] = told
                for one in self._formulas.by_input.get(formula.signal, ()):
                    if order[one] not in waiting:
                        insort(waiting, order[one])
        for signal in touched:
            self._tracks[signal].trim()
        return ReadingBatch.of(
            [signal for signal, _, _ in found],
            [at for _, at, _ in found],
            [held.value for _, _, held in found],
            [held.quality for _, _, held in found],
        )

    def _make_tracks(self, known_at: int) -> None:
        """Begins the tracks that are missing: with what was known before these entries, or with what was computed."""
        if not self._trackless:
            return
        computed, missing, self._trackless = self._formulas.current.keys(), self._trackless, []
        self._tracks |= {signal: Track(self.twin.state.read(signal)) for signal in missing if signal in computed}
        measured = np.array([signal for signal in missing if signal not in computed], dtype=np.int32)
        if len(measured):
            then = self.twin.as_of(known_at=known_at).snapshot(measured)
            for row, signal in enumerate(measured.tolist()):
                self._tracks[signal] = Track(then.reading(row))

    def _repeats(self, entry: int) -> bool:
        """Whether a journal entry was there when this began: what depends on its results may never have been told."""
        return entry <= self._resumed_at

    def _compute(self, formula: Formula, touched: dict[int, set[int]], entry: int) -> list[tuple[int, Held, bool]]:
        """Time and result of each instant near the present that is touched, and whether it differs from before."""
        tracks, output = {one: self._tracks[one] for one in formula.signals}, self._tracks[formula.signal]
        low = max(self._formulas.since, output.complete_from, *(track.complete_from for track in tracks.values()))
        old: defaultdict[int, list[int]] = defaultdict(list)
        stretches: list[tuple[int, int]] = []
        for signal, times in touched.items():
            for at in times:
                if at < low:
                    old[signal].append(at)
                else:
                    stretches.append((at, tracks[signal].after(at)))
        self._note(formula.signal, old, entry)
        found: list[tuple[int, Held, bool]] = []
        for start, end in _joined(stretches):
            for at, result in self._stretch(formula, tracks, start, end):
                found.append((at, result, output.put(at, result.value, result.quality)))
        return found

    def _stretch(self, formula: Formula, tracks: dict[int, Track], start: int, end: int) -> Iterator[tuple[int, Held]]:
        """The results at all instants from `start` until before `end`, all of them in memory."""
        evaluation = Evaluation(formula)
        news: defaultdict[int, list[tuple[int, float, int]]] = defaultdict(list)
        for signal, track in tracks.items():
            evaluation.take(signal, self._told(signal, track.before(start)))
            for at, value, quality in track.rows(start, end):
                news[at].append((signal, value, quality))
        for at in sorted(news):
            for signal, value, quality in news[at]:
                evaluation.take(signal, self._held(signal, value, quality))
            result = evaluation.result()
            if result is not None:
                yield at, result

    def _note(self, signal: int, old: dict[int, list[int]], entry: int) -> None:
        """Spans of the past for late readings: one for those that are near each other."""
        spans = [Span(signal, at, {one: at}, LATEST, entry) for one, times in old.items() for at in times]
        self._spans += joined(spans, APART_NS)
        if len(self._spans) > MOST_SPANS:
            self._spans = joined(self._spans, LATEST)

    def _told(self, signal: int, told: Told | None) -> Held | None:
        return None if told is None else self._held(signal, *told)

    def _held(self, signal: int, value: float, quality: int) -> Held:
        kind = self._graph.signal_map[signal].data_type if signal in self._graph.signal_map else None
        if kind is DataType.TEXT:
            return Held(self.twin.label(signal, value), quality)
        return Held(bool(value) if kind is DataType.BOOLEAN else value, quality)

    # The past

    def _work_off(self) -> None:
        """Computes pages of the past for a while; each is durable before the next one is looked at."""
        until = time.monotonic() + BUDGET_S
        while self._spans and time.monotonic() < until:
            span = self._spans[0]
            computed, news = self._recalculation.page(span)
            if len(news):
                self.twin.record(batch=news)
            if len(told := computed if self._repeats(span.entry) else news):
                self._tell_dependents(span, told)
            if span.start > span.until or span.start >= LATEST:
                self._spans.pop(0)

    def _tell_dependents(self, span: Span, news: ReadingBatch) -> None:
        track = self._tracks.get(span.signal)
        if track is not None:
            for at, value, quality in zip(news.time.tolist(), news.value.tolist(), news.quality.tolist(), strict=True):
                track.put(at, value, quality)
        first, last = int(news.time.min()), int(news.time.max())
        more = [
            Span(signal, first, {span.signal: last}, LATEST, span.entry)
            for signal in self._formulas.by_input.get(span.signal, ())
        ]
        self._spans += more

    # Recording

    def _safe(self) -> int:
        """The entry up to which nothing is left to do."""
        return min([self.position, *(span.entry - 1 for span in self._spans)])

    def _record(self) -> None:
        if self._unrecorded is not None and len(self._unrecorded):
            safe = max(self._safe(), self._recorded_position)
            self.twin.record((), self._unrecorded, (self.name, safe))
            self._recorded_position, self._recorded_at = safe, time.monotonic()
        self._unrecorded = None

    def _record_position(self) -> None:
        behind = self._safe() - self._recorded_position
        if behind > POSITION_ENTRIES or (behind > 1 and time.monotonic() - self._recorded_at > POSITION_S):
            self._recorded_position, self._recorded_at = self._safe(), time.monotonic()
            self.twin.record(position=(self.name, self._recorded_position))


def _joined(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches [start, end) that touch each other as one, in order."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
