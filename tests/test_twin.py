import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import DeadLetter, EventDraft
from iotsense.twin.errors import ConflictError, DirectoryInUseError, InvalidValueError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level, Quality
from iotsense.twin.times import now_ns
from iotsense.twin.twin import StoreOptions, Twin


def plant(edit: GraphEdit) -> None:
    line = edit.add_node(id="line", level=Level.LINE)
    pump = edit.add_node(id="line.pump", level=Level.COMPONENT, parent=line.key)
    for name in ("flow", "pressure", "mode"):
        sensor = edit.add_node(id=f"line.pump.{name}", level=Level.SENSOR, parent=pump.key)
        edit.add_signal(sensor.key, labels=("idle", "running") if name == "mode" else ())


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        yield twin


def index(twin: Twin, id: str) -> int:
    return twin.graph.find_signal(id).index


def test_everything_is_there_again_after_closing(tmp_path: Path) -> None:
    with Twin.open(tmp_path) as twin:
        twin.change(plant, "test")
        flow = index(twin, "flow")
        twin.apply(ReadingBatch.of([flow] * 3, [10, 30, 20], [1.0, 3.0, 2.0]))
        code = twin.label_code(index(twin, "mode"), "cleaning")
        assert code == 2.0
        twin.submit(
            ReadingBatch.of([index(twin, "mode")], 40, [code]),
            identities=["key-1"],
            dead_letters=[DeadLetter(5, "mqtt", "parse", "no JSON", b"\xff")],
        ).result()
        twin.record([EventDraft(10, "anomaly", identity="a")], position=("monitor", 3))
        graph, event = twin.graph, twin.last_event_seq
    with Twin.open(tmp_path) as twin:
        assert twin.graph == graph
        assert twin.state.read(flow) == (3.0, 30, 192, 3)
        assert twin.history(flow, 0, 100).value.tolist() == [1.0, 2.0, 3.0]
        assert twin.label(index(twin, "mode"), 2.0) == "cleaning"
        assert twin.seen("key-1")
        assert not twin.seen("key-2")
        assert [letter.reason for letter in twin.dead_letters()] == ["no JSON"]
        assert [e.identity for e in twin.open_events("anomaly")] == ["a"]
        assert twin.position("monitor") == 3
        assert twin.last_event_seq == event
        assert twin.counts()["readings"] == 4
        assert twin.damage == []


def test_a_change_is_all_or_nothing(twin: Twin) -> None:
    before = twin.graph

    def halfway(edit: GraphEdit) -> None:
        edit.add_node(id="line.valve", level=Level.COMPONENT, parent=edit.graph.find("line").key)
        edit.add_node(id="line", level=Level.LINE)

    with pytest.raises(ConflictError):
        twin.change(halfway, "test")
    assert twin.graph is before
    seq = twin.last_seq
    twin.change(lambda edit: None, "test")
    assert twin.last_seq == seq


def test_a_change_is_told_as_an_event(twin: Twin) -> None:
    event = twin.events()[-1]
    assert event.kind == "structure"
    assert event.data["added_count"] == 5
    assert event.data["author"] == "test"
    assert event.data["revision"] == twin.graph.revision == 1


def test_what_comes_and_goes_within_one_change_is_no_obstacle(twin: Twin) -> None:
    def change(edit: GraphEdit) -> None:
        edit.remove_node(edit.add_node(id="line_2", level=Level.LINE).key)

    twin.change(change, "test")
    told = twin.events(kind="structure", newest_first=True)[0].data
    assert told["removed"] == [] and "line_2" not in twin.graph


@pytest.mark.parametrize("projected", [True, False])
def test_history_as_it_was_known(twin: Twin, projected: bool) -> None:
    flow = index(twin, "flow")
    twin.apply(ReadingBatch.of([flow] * 2, [10, 30], [1.0, 3.0]))
    before = now_ns()
    twin.apply(ReadingBatch.of([flow] * 2, [20, 30], [2.0, 3.5]))
    if projected:
        assert twin.catch_up()
    assert twin.history(flow, 0, 100).value.tolist() == [1.0, 2.0, 3.5]
    assert twin.history(flow, 0, 100, known_at=before).value.tolist() == [1.0, 3.0]
    assert len(twin.history(flow, 0, 100, known_at=0)) == 0


def test_history_sees_a_reading_at_once_and_only_once(tmp_path: Path) -> None:
    with Twin.open(tmp_path, StoreOptions(projection_interval=0.01)) as twin:
        twin.change(plant, "test")
        flow = index(twin, "flow")
        for i in range(200):
            twin.apply(ReadingBatch.of([flow], i, [float(i)]))
            assert twin.history(flow, 0, 1000).value.tolist() == [float(n) for n in range(i + 1)]


def test_a_correction_supersedes_and_the_span_is_half_open(twin: Twin) -> None:
    flow = index(twin, "flow")
    twin.apply(ReadingBatch.of([flow] * 3, [10, 20, 30], [1.0, 2.0, 3.0]))
    assert twin.catch_up()
    twin.apply(ReadingBatch.of([flow], [20], [7.0]))
    assert twin.history(flow, 10, 30).value.tolist() == [1.0, 7.0]
    with pytest.raises(InvalidValueError):
        twin.history(flow, 30, 10)


def test_many_readings_become_honest_buckets(twin: Twin) -> None:
    flow = index(twin, "flow")
    generator = np.random.default_rng()
    time = np.sort(generator.choice(1_000_000, 20_000, replace=False))
    value = generator.normal(size=20_000)
    quality = np.where(generator.random(20_000) < 0.01, 0, 192)
    twin.apply(ReadingBatch.of(np.full(20_000, flow), time, value, quality))
    history = twin.history(flow, 0, 1_000_000, 500)
    assert len(history) <= 500
    assert history.bucket == 2000
    assert history.count.sum() == (quality > 0).sum()
    for i in generator.choice(len(history), 50):
        inside = (time >= history.time[i]) & (time < history.time[i] + 2000)
        good = value[inside & (quality > 0)]
        assert history.low[i] == good.min()
        assert history.high[i] == good.max()
        assert history.value[i] == pytest.approx(good.mean())
        assert history.quality[i] == quality[inside].min()


def test_events_are_numbered_without_gaps_and_found_by_node_and_kind(twin: Twin) -> None:
    pump = twin.graph.find("pump").key
    for i in range(5000):
        twin.record([EventDraft(i, "anomaly" if i % 2 else "note", node=pump if i % 3 else None)])
    assert [event.seq for event in twin.events(limit=10_000)] == list(range(1, 5002))
    assert [event.seq for event in twin.events(after=4999)] == [5000, 5001]
    assert [event.seq for event in twin.events(limit=2, newest_first=True)] == [5001, 5000]
    old = twin.events(after=10, limit=3, node=pump, kind="anomaly")
    assert [event.time for event in old] == [11, 13, 17]


def test_an_event_of_the_same_identity_ends_the_open_one(twin: Twin) -> None:
    twin.record([EventDraft(10, "anomaly", identity="a"), EventDraft(11, "anomaly", identity="b")])
    twin.record([EventDraft(10, "anomaly", until=20, identity="a")])
    assert [event.identity for event in twin.open_events("anomaly")] == ["b"]


def test_a_silent_signal_is_uncertain_until_it_speaks(twin: Twin) -> None:
    flow = index(twin, "flow")
    twin.apply(ReadingBatch.of([flow], 10, [1.0]))
    twin.mark_stale([(flow, 10)])
    assert twin.is_stale(flow)
    reading = twin.state.read(flow)
    assert reading is not None
    assert (reading.value, reading.time, reading.quality) == (1.0, 10, Quality.UNCERTAIN)
    assert twin.history(flow, 0, 100).quality.tolist() == [192]
    (event,) = twin.open_events("stale")
    twin.record([EventDraft(10, "stale", event.node, until=50, data=event.data, identity=event.identity)])
    assert not twin.is_stale(flow)


def test_dead_letters_are_listed_resolved_and_forgotten(twin: Twin) -> None:
    twin.submit(dead_letters=[DeadLetter(1, "http", "bind", f"reason {i}", b"raw") for i in range(3)]).result()
    assert [letter.id for letter in twin.dead_letters()] == [1, 2, 3]
    assert twin.pending_dead_letters() == 3
    twin.resolve_dead_letters([1], "replayed")
    twin.resolve_dead_letters([2], "purged")
    assert [letter.id for letter in twin.dead_letters()] == [3]
    everything = twin.dead_letters(pending_only=False)
    assert [(letter.resolved, letter.payload) for letter in everything] == [
        ("replayed", b"raw"),
        ("purged", b""),
        (None, b"raw"),
    ]


async def test_a_subscriber_gets_the_latest_and_each_signal_once(twin: Twin) -> None:
    flow, pressure = index(twin, "flow"), index(twin, "pressure")
    subscription = twin.subscribe_state(np.array([flow], dtype=np.int32))
    waiting = asyncio.create_task(subscription.changed())
    await twin.append(ReadingBatch.of([pressure], 1, [1.0]))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    for i in range(10):
        await twin.append(ReadingBatch.of([flow], i, [float(i)]))
    assert (await waiting).tolist() == [flow]
    assert (await subscription.changed()).tolist() == [flow]
    reading = twin.state.read(flow)
    assert reading is not None
    assert reading.value == 9.0


def test_a_second_owner_is_told_who_has_the_directory(twin: Twin) -> None:
    with pytest.raises(DirectoryInUseError, match=f"in use by process {os.getpid()}"):
        Twin.open(twin.directory)


def test_nothing_acknowledged_is_lost_by_kill_nine(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from iotsense.twin.batch import ReadingBatch
        from iotsense.twin.model import Level
        from iotsense.twin.twin import StoreOptions, Twin

        twin = Twin.open(sys.argv[1], StoreOptions(projection_interval=0.02, segment_bytes=100_000, tail_rows=300))
        if not len(twin.graph):
            def build(edit):
                line = edit.add_node(id="line", level=Level.LINE)
                edit.add_signal(line.key, "speed")
            twin.change(build, "test")
        start = int(sys.argv[2])
        for i in range(start, start + 1_000_000):
            twin.apply(ReadingBatch.of([0] * 10, [i * 10 + k for k in range(10)], [float(i)] * 10))
            print(i, flush=True)
    """)
    acknowledged = -1
    for _ in range(5):
        command = [sys.executable, "-c", program, str(tmp_path), str(acknowledged + 1)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(np.random.default_rng().integers(20, 300)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        process.wait()
        process.stdout.close()
        with Twin.open(tmp_path) as twin:
            assert twin.damage == []
            history = twin.history(0, 0, 2**62)
            assert history.time[: 10 * (acknowledged + 1)].tolist() == list(range(10 * (acknowledged + 1)))
            assert len(history) <= 10 * (acknowledged + 2)
            assert twin.reading_count() == twin.counts()["readings"]  # none lost, none doubled
            reading = twin.state.read(0)
            assert reading is not None
            assert reading.time == history.time[-1]
