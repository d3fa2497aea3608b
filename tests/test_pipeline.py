"""The pipeline's promises: durable before acknowledged, bounded, nothing lost, nothing doubled, numbers that add up."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ingest_fixtures import OPTIONS, T, measured, mqtt, publish, reasons, running, send, twin_of, value

from iotsense.ingest.message import Message, Order, Receipt
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.sample import Sample
from iotsense.ingest.source_state import SourceCounters, SourceState, SourceStatus
from iotsense.ingest.telemetry import Measurement, TelemetryDocument, encode_documents
from iotsense.twin.errors import (
    InvalidValueError,
    IoTSenseError,
    OverloadedError,
    StorageFullError,
    StorageReadOnlyError,
)
from iotsense.twin.segment import Segment
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

SPEED = "production_line_1.conveyor_1.conv1_speed"


def speed(number: float, **fields: Any) -> Message:
    document = TelemetryDocument("conveyor_1", T, [Measurement("speed", number)])
    return Message("mqtt", telemetry=encode_documents([document]), **fields)


class Disk:
    """Stands before the twin's journal and can hold commits up."""

    def __init__(self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.commits = 0
        twin = twin_of(pipeline)
        append = twin.append

        async def slow_append(*arguments: Any, **keywords: Any) -> int:
            await self.free.wait()
            self.commits += 1
            return await append(*arguments, **keywords)

        monkeypatch.setattr(twin, "append", slow_append)


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def balanced(counters: SourceCounters) -> bool:
    return counters.waiting == 0 and counters.read == counters.stored + counters.dead_lettered + counters.unstored


async def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as pipeline:
        disk = Disk(pipeline, monkeypatch)
        disk.free.clear()
        acknowledged: list[int] = []
        await pipeline.deliver([speed(i, ack=lambda i=i: acknowledged.append(i)) for i in range(10)])
        submitted = asyncio.create_task(pipeline.submit(speed(10)))
        await turns()
        assert not acknowledged
        assert not submitted.done()
        disk.free.set()
        await submitted
        assert acknowledged == list(range(10))
        assert balanced(pipeline.counters["mqtt"])


async def test_acknowledged_readings_survive_a_crash(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        twin = twin_of(pipeline)
        await pipeline.submit(speed(42))
        entries = list(twin.journal_entries(0))
        assert any(getattr(entry.value, "value", [None])[0] == 42 for entry in entries if entry.kind == 1)


async def test_what_gathers_meanwhile_is_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as pipeline:
        disk = Disk(pipeline, monkeypatch)
        disk.free.clear()
        first = asyncio.create_task(pipeline.submit(speed(0)))
        await turns()
        others = [asyncio.create_task(pipeline.submit(speed(i))) for i in range(1, 100)]
        await turns()
        disk.free.set()
        await asyncio.gather(first, *others)
        assert disk.commits == 2


async def test_a_full_buffer_makes_sources_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 50_000
    async with running(tmp_path, pipeline={"buffer_bytes": limit, "group_bytes": 10_000}) as pipeline:
        disk = Disk(pipeline, monkeypatch)
        disk.free.clear()
        delivered, acknowledged = [0], [0]

        def acknowledge() -> None:
            acknowledged[0] += 1

        async def source() -> None:
            for i in range(1000):
                await pipeline.deliver([speed(i, ack=acknowledge, size=1000)])
                delivered[0] += 1

        running_source = asyncio.create_task(source())
        await turns(3000)
        assert 20 < delivered[0] < 60
        assert pipeline.pending_bytes < limit + 2000
        with pytest.raises(OverloadedError):
            await pipeline.submit(speed(0))
        assert not pipeline.offer([speed(0, size=10, ack=acknowledge)])
        disk.free.set()
        await running_source
        await pipeline.room()
        await pipeline.submit(speed(7))
        assert acknowledged[0] == 1001
        assert pipeline.pending_bytes == 0
        counters = pipeline.counters["mqtt"]
        assert (counters.received, counters.stored) == (1002, 1002)


async def test_what_comes_behind_a_refused_message_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a correction would be stored first, and be undone when what it corrects is sent again."""
    async with running(tmp_path, pipeline={"group_bytes": 1}) as pipeline:
        append, appends = Segment.append, [0]

        def full_at_first(segment: Segment, *arguments: Any) -> None:
            appends[0] += 1
            if appends[0] == 1:
                raise StorageFullError(f"no room left to write {segment.path}")
            append(segment, *arguments)

        monkeypatch.setattr(Segment, "append", full_at_first)
        first, second = Order(), Order()
        told: list[str] = []

        def message(number: int, name: str, order: Order) -> Message:
            return speed(
                number, ack=lambda: told.append(name), refuse=lambda _: told.append(f"not {name}"), order=order
            )

        await pipeline.deliver(
            [message(1, "wrong", first), message(2, "corrected", first), message(3, "other", second)]
        )
        await pipeline.submit(speed(4))
        assert told == ["not wrong", "not corrected", "other"]
        again = Order()  # another connection, over which the broker sends both again
        await pipeline.deliver([message(1, "wrong", again), message(2, "corrected", again)])
        await pipeline.submit(speed(5, identity="later", order=again, ack=None))
        assert told[3:] == ["wrong", "corrected"]
        counters = pipeline.counters["mqtt"]
        assert (counters.received, counters.refused, counters.accepted) == (7, 2, 5)
        assert counters.adds_up


async def test_a_full_disk_refuses_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as pipeline:
        append = Segment.append

        def full(segment: Segment, *_: Any) -> None:
            raise StorageFullError(f"no room left to write {segment.path}")

        monkeypatch.setattr(Segment, "append", full)
        told: list[object] = []
        refused: list[IoTSenseError] = []
        await pipeline.deliver([speed(1, ack=lambda: told.append(1), refuse=refused.append)])
        with pytest.raises(StorageFullError, match="no room left"):
            await pipeline.submit(speed(2, identity="x"))
        assert not told
        assert [type(error) for error in refused] == [StorageFullError]
        assert value(pipeline, SPEED) is None
        # A device that is not known yet needs a revision first; that is refused as well.
        with pytest.raises(StorageFullError):
            await send(pipeline, measured("stranger", "x", 1))
        monkeypatch.setattr(Segment, "append", append)
        receipt = await pipeline.submit(speed(3, identity="x"))
        assert (receipt.accepted, receipt.duplicate) == (1, False)
        assert value(pipeline, SPEED) == 3
        counters = pipeline.counters["mqtt"]
        assert (counters.received, counters.refused, counters.accepted) == (3, 2, 1)
        assert (counters.read, counters.stored, counters.unstored) == (3, 1, 2)
        assert balanced(counters)


async def test_a_message_seen_before_is_a_duplicate(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        first, second = await asyncio.gather(
            pipeline.submit(speed(1, identity="a")), pipeline.submit(speed(1, identity="a"))
        )
        assert (first.accepted, first.duplicate) == (1, False)
        assert (second.accepted, second.duplicate) == (0, True)
        assert (await pipeline.submit(speed(1, identity="a"))).duplicate
        assert not (await pipeline.submit(speed(1, identity="b"))).duplicate
        counters = pipeline.counters["mqtt"]
        assert (counters.received, counters.accepted, counters.duplicate, counters.stored) == (4, 2, 2, 2)
    async with running(tmp_path) as pipeline:
        assert (await pipeline.submit(speed(1, identity="a"))).duplicate


async def test_a_message_of_dead_letters_only_is_remembered_too(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion={"unbound": "dead_letter"}) as pipeline:
        document = encode_documents([TelemetryDocument("nobody", T, [Measurement("x", 1)])])
        for duplicate in (False, True):
            receipt = await pipeline.submit(Message("http", telemetry=document, identity="d"))
            assert (receipt.duplicate, receipt.dead_lettered) == (duplicate, 0 if duplicate else 1)
        assert len(reasons(pipeline)) == 1


async def test_what_is_no_telemetry_is_refused_by_itself_and_may_come_again_mended(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        bad, good = Message("http", telemetry=b'[{"device_id": 5}]', identity="k"), speed(1.0)
        refused, receipt = await asyncio.gather(pipeline.submit(bad), pipeline.submit(good), return_exceptions=True)
        assert isinstance(refused, InvalidValueError) and refused.field == "[0].device_id"
        assert isinstance(receipt, Receipt) and receipt.accepted == 1
        mended = Message("http", telemetry=good.telemetry, identity="k")
        assert not (await pipeline.submit(mended)).duplicate
        counters = pipeline.counters["http"]
        assert (counters.received, counters.accepted, counters.refused, counters.stored) == (2, 1, 1, 1)
        assert counters.adds_up and not counters.waiting and not reasons(pipeline)


async def test_a_source_whose_clock_is_ahead(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion={"max_ahead": "1m"}) as pipeline:
        twin = twin_of(pipeline)
        now = now_ns()
        for moment, ahead in ((now + 50 * 10**9, False), (now + 70 * 10**9, True), (2**62, True)):
            document = TelemetryDocument("conveyor_1", moment, [Measurement("conv1_motor_temp", 1.0)])
            for message in (
                Message("s", samples=(Sample("speed", 1.0, moment),), received=now),
                Message("s", telemetry=encode_documents([document]), received=now),
            ):
                assert (await pipeline.submit(message)).accepted == 1
            for name in ("conv1_speed", "conv1_motor_temp"):
                index = twin.graph.find_signal(name).index
                history = twin.history(index, 0, 2**62)
                expected = [now, now + 50 * 10**9] if ahead else [now + 50 * 10**9]
                assert history.time.tolist() == expected
                assert history.quality.tolist() == ([64, 192] if ahead else [192])
        assert pipeline.counters["s"].ahead == 4


async def test_bad_readings_stay_bad(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        twin = twin_of(pipeline)
        for quality, byte in (("bad", 0), (68, 68), ("Good", 192)):
            await send(pipeline, measured("conveyor_1", "speed", 1, quality=quality, timestamp=1705314600 + byte))
            reading = twin.state.read(twin.graph.find_signal("conv1_speed").index)
            assert reading is not None
            assert reading.quality == byte
        receipt = await send(pipeline, measured("conveyor_1", "speed", 1, quality="so-so"))
        assert "is not a quality" in receipt.reasons[0]


async def test_a_retained_message_is_no_new_reading(tmp_path: Path) -> None:
    schema = {"device_id": "$.d", "name": "$.n", "value": "$.v", "timestamp": "$.t"}
    async with running(tmp_path, sensor_ingestion=mqtt({"pattern": "#", "schema": schema})) as pipeline:
        twin = twin_of(pipeline)

        async def retained(number: float, time: float | None) -> int:
            document = {"d": "conveyor_1", "n": "speed", "v": number, "t": time}
            return (await publish(pipeline, "t", document, retained=True)).accepted

        assert await retained(1, None) == 1
        assert await retained(1, None) == 0
        assert await retained(2, 1705314600) == 0
        later = now_ns() / 1e9 + 5
        assert await retained(3, later) == 1
        assert await retained(3, later) == 0
        assert value(pipeline, SPEED) == 3
        assert len(twin.history(twin.graph.find_signal("conv1_speed").index, 0, 2**62)) == 2


async def test_a_source_that_is_gone_does_not_stop_the_others(tmp_path: Path) -> None:
    def broken() -> None:
        raise ConnectionResetError

    async with running(tmp_path) as pipeline:
        told: list[int] = []
        await pipeline.deliver([speed(1, ack=broken), speed(2, ack=lambda: told.append(2))])
        assert (await pipeline.submit(speed(3))).accepted == 1
        assert told == [2]


async def test_closing_makes_durable_what_waits(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    async with running(tmp_path) as pipeline:
        pipeline.offer([speed(i, ack=lambda i=i: acknowledged.append(i)) for i in range(5000)])
        await pipeline.aclose()
        assert acknowledged == list(range(5000))
        with pytest.raises(StorageReadOnlyError, match="stopping"):
            await pipeline.submit(speed(1))


async def test_a_pipeline_that_is_torn_down_refuses_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Twin.open(tmp_path / "data", OPTIONS) as twin:
        pipeline = Pipeline(twin)
        refused: list[IoTSenseError] = []
        held = asyncio.Event()

        async def never(*_: Any, **__: Any) -> int:
            await held.wait()
            return 0

        monkeypatch.setattr(twin, "append", never)
        task = asyncio.create_task(pipeline.run())
        pipeline.offer([speed(i, refuse=refused.append) for i in range(3)])
        await asyncio.sleep(0.05)
        pipeline.offer([speed(3, refuse=refused.append)])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(refused) == 4


async def test_the_journal_may_be_busy_with_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as pipeline:
        twin = twin_of(pipeline)
        append, tries = twin.append, [0]

        async def busy(*arguments: Any, **keywords: Any) -> int:
            tries[0] += 1
            if tries[0] < 3:
                raise OverloadedError("the journal cannot keep up")
            return await append(*arguments, **keywords)

        monkeypatch.setattr(twin, "append", busy)
        assert (await pipeline.submit(speed(1))).accepted == 1
        assert tries == [3]


async def test_the_numbers_add_up_whatever_comes(tmp_path: Path) -> None:
    async with running(tmp_path, sensor_ingestion={"unbound": "dead_letter"}) as pipeline:
        status = SourceStatus("mqtt")
        pipeline.attach(status)
        await publish(pipeline, "t", b"nonsense")
        await publish(pipeline, "t", [measured("conveyor_1", "speed", 1), measured("nobody", "x", 1), {"device_id": 3}])
        await publish(pipeline, "t", measured("conveyor_1", "speed", 1), identity="i")
        await publish(pipeline, "t", measured("conveyor_1", "speed", 1), identity="i")
        await publish(pipeline, "t", measured("conveyor_1", "speed", 1, timestamp="soon"))
        counters = status.counters
        assert (counters.received, counters.accepted, counters.duplicate) == (5, 4, 1)
        assert (counters.read, counters.stored, counters.dead_lettered) == (6, 2, 4)
        assert balanced(counters)
        assert msgspec.structs.asdict(counters)["refused"] == 0


def test_a_source_goes_from_state_to_state() -> None:
    status = SourceStatus("mqtt", "mqtt", "mqtt://broker:1883")
    assert status.healthy
    status.connecting()
    status.backoff("connection refused", now_ns())
    assert (status.state, status.healthy, status.error) == (SourceState.BACKOFF, False, "connection refused")
    status.connecting()
    assert status.error == "connection refused"
    status.running()
    assert (status.healthy, status.error, status.connects) == (True, None, 1)
    shown = status.as_dict()
    assert (shown["state"], shown["received"], shown["last_received"]) == ("running", 0, None)
    status.stopped()
    with pytest.raises(RuntimeError, match="cannot become backoff"):
        status.backoff("late")


async def test_settings_change_while_readings_come(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        await send(pipeline, measured("conveyor_1", "speed", 1))
        conversion = {"type": "unit_conversion", "from_unit": "km/h", "to_unit": "m/s"}
        rules = {"rules": [{"source": "http", "transforms": [conversion]}]}
        async with running(tmp_path / "other", normalization=rules) as other:
            pipeline.configure(other.config)
        await send(pipeline, measured("conveyor_1", "speed", 7.2))
        assert value(pipeline, SPEED) == pytest.approx(2)
