"""The counters of the sources: they add up, they equal a count by hand, and a crash at any point leaves them so."""

import asyncio
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ingest_fixtures import T_NS, measured, publish, running, send, twin_of

from iotsense.ingest.accounts import all_counters, other_counters, unbalanced
from iotsense.ingest.message import Message
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.source_state import SourceCounters, SourceStatus
from iotsense.twin.arrival import Arrival, arrivals
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.counts import DERIVED, DIRECT, Counts, SourceCounts, SourceShare
from iotsense.twin.entry import EntryKind
from iotsense.twin.errors import StorageFullError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.segment import Segment
from iotsense.twin.state import NEVER
from iotsense.twin.times import NS, format_time
from iotsense.twin.twin import StoreOptions, Twin

DEVICES = (("conveyor_1", "speed"), ("conveyor_1", "conv1_motor_temp"), ("conveyor_1", "conv1_power"))
ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=60)


@given(ROWS, st.lists(st.integers(-1, 12), min_size=6, max_size=6))
def test_how_each_row_arrived(rows: list[tuple[int, int]], latest: list[int]) -> None:
    known = [NEVER if time < 0 else time for time in latest]
    signal = np.array([row[0] for row in rows], dtype=np.intp)
    time = np.array([row[1] for row in rows], dtype=np.int64)
    room = np.full(6, 77, dtype=np.int32)
    found = arrivals(signal, time, np.array(known, dtype=np.int64)[signal], room)
    expected = []
    for s, t in rows:
        expected.append(Arrival.APPLIED if t > known[s] else Arrival.SUPERSEDED if t == known[s] else Arrival.LATE)
        known[s] = max(known[s], t)
    assert ([Arrival.APPLIED] * len(rows) if found is None else found.tolist()) == expected


@dataclass
class Sent:
    """A message of the tests: times of readings by device number; `bad` measurements fit no sensor."""

    source: str
    readings: list[tuple[int, int]]
    bad: int
    identity: str | None
    garbled: bool

    def message(self) -> Message:
        documents = [
            measured(*DEVICES[device], 1.5, timestamp=format_time(T_NS + time * NS)) for device, time in self.readings
        ]
        documents += [measured("nobody", "nothing", 1) for _ in range(self.bad)]
        payload = b"no telemetry at all" if self.garbled else msgspec.json.encode(documents)
        return Message(self.source, payload=payload, topic="t", identity=self.identity)


MESSAGE = st.builds(
    Sent,
    st.sampled_from(["plc", "gateway", "http"]),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=4),
    st.integers(0, 2),
    st.sampled_from([None, None, None, "a", "b"]),
    st.sampled_from([False, False, False, True]),
)
ROUND = st.tuples(st.lists(MESSAGE, min_size=1, max_size=6), st.sampled_from(["goes well"] * 3 + ["refused", "crash"]))


@dataclass
class Ledger:
    """The count by hand, one message and one reading after another."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    latest: dict[int, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def take(self, sent: Sent) -> None:
        count = self.counts[sent.source]
        count["received"] += 1
        if sent.identity in self.seen:
            count["duplicate"] += 1
            return
        if sent.identity is not None:
            self.seen.add(sent.identity)
        count["accepted"] += 1
        if sent.garbled:
            count["dead_lettered"] += 1
            return
        count["dead_lettered"] += sent.bad
        for device, time in sent.readings:
            known = self.latest.get(device, -1)
            count["stored"] += 1
            count["applied" if time > known else "superseded" if time == known else "late"] += 1
            self.latest[device] = max(time, known)

    def refuse(self, messages: Sequence[Sent]) -> None:
        seen = set(self.seen)
        for sent in messages:
            count = self.counts[sent.source]
            count["received"] += 1
            count["refused"] += 1
            if sent.identity not in seen and not sent.garbled:
                count["unstored"] += len(sent.readings)
            seen |= {sent.identity} if sent.identity else set()

    def forget_refused(self, durable: dict[str, SourceCounts]) -> None:
        """What was refused and not journalled since dies with the process."""
        for source, count in self.counts.items():
            known = durable.get(source, SourceCounts())
            count["received"] -= count["refused"] - known.refused
            count["refused"], count["unstored"] = known.refused, known.unstored

    def compare(self, found: dict[str, SourceCounters]) -> None:
        names = ("received", "accepted", "duplicate", "refused", "stored", "applied", "superseded", "late")
        for source, count in self.counts.items():
            counters = found.get(source, SourceCounters())
            for name in (*names, "dead_lettered", "unstored"):
                assert getattr(counters, name) == count[name], (source, name, counters)
            assert counters.received == counters.acknowledged + counters.refused
            assert counters.read == counters.stored + counters.dead_lettered + counters.unstored
            assert counters.stored == counters.applied + counters.superseded + counters.late
        assert not unbalanced(found)


# To shrink an example takes longer than to understand it: each opens a twin again and again.
@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(ROUND, min_size=1, max_size=6), st.booleans())
def test_counters_equal_a_count_by_hand_whatever_comes(rounds: list, checkpoint: bool) -> None:
    asyncio.run(_play(rounds, checkpoint))


async def _play(rounds: list[tuple[list[Sent], str]], checkpoint: bool) -> None:
    ledger = Ledger()
    with tempfile.TemporaryDirectory() as place:
        for number, stretch in enumerate(_until_crash(rounds)):
            folder = Path(place) / str(number)
            if number:
                # The files as a crash would leave them: the process that wrote them has not closed them.
                shutil.copytree(Path(place) / f"crashed-{number - 1}", folder)
            async with running(folder, sensor_ingestion={"unbound": "dead_letter"}) as pipeline:
                twin = twin_of(pipeline)
                if number:
                    ledger.forget_refused(twin.source_counts())
                    ledger.compare(all_counters(twin, {}))
                for messages, fate in stretch:
                    await _round(pipeline, messages, fate, ledger)
                    if checkpoint:
                        twin._upkeep.save_checkpoint()
                shutil.copytree(folder, Path(place) / f"crashed-{number}")


def _until_crash(rounds: list[tuple[list[Sent], str]]) -> list[list[tuple[list[Sent], str]]]:
    stretches: list[list[tuple[list[Sent], str]]] = [[]]
    for played in rounds:
        stretches[-1].append(played)
        if played[1] == "crash":
            stretches.append([])
    return [*stretches, []]


async def _round(pipeline: Pipeline, messages: list[Sent], fate: str, ledger: Ledger) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if fate == "refused":
            patch.setattr(Segment, "append", _full)
        tasks = [asyncio.create_task(pipeline.submit(sent.message())) for sent in messages]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [isinstance(outcome, StorageFullError) for outcome in outcomes]
    assert refused == [fate == "refused"] * len(messages), outcomes
    if fate == "refused":
        ledger.refuse(messages)
    else:
        for sent in messages:
            ledger.take(sent)
    ledger.compare(other_counters(twin_of(pipeline), {}) | pipeline.counters)


def _full(segment: Segment, *_: Any) -> None:
    raise StorageFullError(f"no room left to write {segment.path}")


async def test_a_status_goes_on_counting_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        pipeline.attach(SourceStatus("http"))
        await send(pipeline, measured("conveyor_1", "speed", 1))
        await send(pipeline, measured("conveyor_1", "speed", 2))
    async with running(tmp_path) as pipeline:
        status = SourceStatus("http")
        pipeline.attach(status)
        assert (status.counters.received, status.counters.stored) == (2, 2)
        await send(pipeline, measured("conveyor_1", "speed", 2, timestamp="2020-01-01T00:00:00Z"))
        shown = status.as_dict()
        assert (shown["received"], shown["acknowledged"], shown["waiting"]) == (3, 3, 0)
        assert (shown["applied"], shown["superseded"], shown["late"]) == (1, 1, 1)
        again = SourceStatus("http")
        pipeline.attach(again)  # another configuration of the same source
        assert again.counters is status.counters


async def test_a_replayed_dead_letter_is_read_again(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion={"unbound": "dead_letter"}) as pipeline:
        twin = twin_of(pipeline)
        await publish(pipeline, "t", measured("conveyor_1", "noise", 61, "dB"))
        counters = pipeline.counters["mqtt"]
        assert (counters.received, counters.read, counters.dead_lettered, counters.stored) == (1, 1, 1, 0)
        twin.change(lambda e: e.add_signal(_sensor(e), unit="dB"), "test")
        assert await pipeline.replay(twin.dead_letters()) == (1, 0)
        assert (counters.received, counters.read, counters.dead_lettered, counters.stored) == (1, 2, 1, 1)


def _sensor(edit: GraphEdit) -> int:
    parent = edit.graph.find("production_line_1.conveyor_1")
    return edit.add_node(id=f"{parent.id}.noise", level=Level.SENSOR, parent=parent.key).key


def test_readings_of_no_source_have_accounts_too(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data", StoreOptions()) as twin:
        index = _one_signal(twin)
        twin.apply(ReadingBatch.of([index], [5], [1.0]))
        twin.record([], ReadingBatch.of([index, index], [6, 4], [1.0, 2.0]))
        counts = twin.source_counts()
        assert (counts[DIRECT].stored, counts[DERIVED].stored, counts[DERIVED].late) == (1, 2, 1)
        assert set(other_counters(twin, {})) == {DERIVED, DIRECT}
        assert sum(each.stored for each in counts.values()) == twin.counts()["readings"] == 3


def test_batches_of_one_commit_keep_their_sources(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data", StoreOptions()) as twin:
        index = _one_signal(twin)
        journal = twin._journal
        with journal._turn:  # nobody may write, so that all of these share the next commit
            futures = [twin.submit(ReadingBatch.of([index], [0], [0.0]))]
            for number in range(1, 4):
                batch = ReadingBatch.of([index] * number, range(number * 10, number * 11), [1.0] * number)
                futures.append(twin.submit(batch, counts=Counts.of_readings(f"s{number}", number)))
                futures.append(twin.submit(ReadingBatch.of([index], [5], [1.0])))
        for future in futures:
            future.result()
        counts = twin.source_counts()
        assert {name: each.stored for name, each in counts.items()} == {DIRECT: 4, "s1": 1, "s2": 2, "s3": 3}
        assert (counts[DIRECT].applied, counts[DIRECT].late) == (1, 3)
        kinds = [
            entry.kind for entry in twin.journal_entries(0) if entry.kind in (EntryKind.COUNTS, EntryKind.READINGS)
        ]
        assert kinds == [EntryKind.READINGS, *[EntryKind.COUNTS, EntryKind.READINGS] * 3]


def test_rows_of_several_sources_in_one_batch(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data", StoreOptions()) as twin:
        index = _one_signal(twin)
        shares = [SourceShare("a", accepted=2), SourceShare("b", accepted=1)]
        batch = ReadingBatch.of([index] * 5, [10, 10, 3, 11, 11], [1.0] * 5)
        twin.submit(batch, counts=Counts(shares, [(0, 1), (1, 2), (0, 2)])).result()
        a, b = twin.counts_of("a"), twin.counts_of("b")
        assert (a.stored, a.applied, a.superseded, a.late) == (3, 2, 1, 0)
        assert (b.stored, b.applied, b.superseded, b.late) == (2, 0, 1, 1)
    with Twin.open(tmp_path / "data", StoreOptions()) as twin:
        assert (twin.counts_of("a"), twin.counts_of("b")) == (a, b)


def test_an_account_that_does_not_add_up_is_named() -> None:
    good, short = SourceCounters(received=3, accepted=2), SourceCounters(stored=3, applied=1, late=1)
    assert unbalanced({"good": good, "short": short, "negative": SourceCounters(accepted=1)}) == ["short", "negative"]


def _one_signal(twin: Twin) -> int:
    return twin.change(lambda e: e.add_signal(e.add_node(id="line", level=Level.LINE).key, "speed"), "test").index
