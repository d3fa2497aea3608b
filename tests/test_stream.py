"""The state stream of front ends: frames, what is followed, who may, and a client that is slow."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import websockets
from service_fixtures import API, PLANT, client, service, write_plant
from websockets.asyncio.client import ClientConnection, connect

from iotsense.rest import stream, stream_feed
from iotsense.rest.stream_frames import Flags, Mark, binary, text
from iotsense.service import Service
from iotsense.twin.access import Scope
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.state import StateColumns
from iotsense.twin.times import now_ns

SPEED, TEMPERATURE, STATUS = (f"line_1.conveyor.{sensor}" for sensor in ("c_speed", "c_temp", "c_status"))
GOLDEN = Path(__file__).parent / "golden"


# A client as docs/stream.md describes one, written from the page and not with our encoder


class Frame:
    """A binary frame of readings, read byte by byte."""

    def __init__(self, body: bytes) -> None:
        self.kind, self.version, self.flags, self.count, self.subscription, self.sequence, self.time, self.journal = (
            struct.unpack_from("<BBHIIIqq", body)
        )
        at, width = 32, 8 if self.flags & 2 else 4
        self.index = np.frombuffer(body, "<u4", self.count, at).tolist()
        at += -(-4 * self.count // 8) * 8
        self.value = np.frombuffer(body, "<f8" if width == 8 else "<f4", self.count, at).tolist()
        at += -(-width * self.count // 8) * 8
        self.times = np.frombuffer(body, "<i8", self.count, at).tolist() if self.flags & 4 else None
        at += 8 * self.count if self.flags & 4 else 0
        self.quality = np.frombuffer(body, "u1", self.count, at).tolist()
        assert at + self.count == len(body)

    @property
    def values(self) -> dict[int, float]:
        return dict(zip(self.index, self.value, strict=True))


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._last = (0, 0)

    async def say(self, type: str, **fields: Any) -> None:
        await self.socket.send(orjson.dumps({"type": type, **fields}).decode())

    async def next(self) -> Any:
        """The next frame: a dict, or a Frame."""
        received = await asyncio.wait_for(self.socket.recv(), 20)
        told = Frame(received) if isinstance(received, bytes) else orjson.loads(received)
        mark = vars(told) if isinstance(told, Frame) else told
        if "sequence" in mark:  # tables and readings are numbered as one
            subscription, last = self._last
            expected = last + 1 if mark["subscription"] == subscription else 1
            assert mark["sequence"] == expected
            self._last = mark["subscription"], expected
        return told

    async def table(self, wanted: Callable[[set[str]], bool]) -> Any:
        """The next table whose ids are as wanted."""
        while True:
            told = await self.next()
            if (
                not isinstance(told, Frame)
                and told["type"] == "table"
                and wanted({row["id"] for row in told["signals"]})
            ):
                return told

    async def state(self, of: int | None = None) -> Any:
        """The next readings, or the next that hold a signal's: health comes by itself, and a table with what is new."""
        while True:
            told = await self.next()
            index = told.index if isinstance(told, Frame) else told.get("index", [])
            if index and (of is None or of in index):
                return told

    async def subscribe(self, **fields: Any) -> tuple[dict[str, int], Any]:
        """The table (index by id) and the first state."""
        await self.say("subscribe", **fields)
        table = await self.next()
        assert table["type"] == "table" and table["whole"]
        return {row["id"]: row["index"] for row in table["signals"]}, await self.next()


@asynccontextmanager
async def streamed(running: Service, query: str = "", **options: Any) -> AsyncIterator[Client]:
    url = running.url.replace("http", "ws") + stream.PATH + query
    async with connect(url, max_size=None, **options) as socket:
        front_end = Client(socket)
        if "json" not in query or "=json" in query:
            assert (await front_end.next())["type"] == "hello"
        yield front_end


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running:
        yield running


def put(running: Service, id: str, value: float, time: int | None = None, quality: int = 192) -> int:
    """A reading; its signal's index."""
    twin = running.context.twin
    index = twin.graph.find_signal(id).index
    twin.apply(ReadingBatch.of([index], [time or now_ns()], [value], quality))
    return index


async def define(running: Service, plant: str) -> None:
    """Another definition of the plant."""
    body = {"documents": {"plant.yaml": plant}, "allow_remove": True}
    async with client(running) as http:
        (await http.post(f"{API}/definitions/apply", json=body)).raise_for_status()


async def test_a_table_then_the_state_then_what_changes(running: Service) -> None:
    speed, before = put(running, SPEED, 1.5), now_ns()
    async with streamed(running) as front_end:
        table, first = await front_end.subscribe(maxHz=60)
        assert table[SPEED] == speed and {TEMPERATURE, STATUS} < set(table)
        assert (first.kind, first.version, first.flags) == (1, 1, Flags.SNAPSHOT)
        assert first.values == {speed: 1.5} and first.quality == [192]
        assert before <= first.time <= now_ns() and first.subscription == 1
        temperature = put(running, TEMPERATURE, 70.25, quality=0x58)
        changed = await front_end.state(temperature)
        at = changed.index.index(temperature)  # health comes along
        assert changed.value[at] == 70.25 and changed.quality[at] == 0x58 and changed.flags == 0
        assert changed.sequence > first.sequence and changed.journal > first.journal


async def test_a_double_keeps_its_digits_and_its_time(running: Service) -> None:
    time = now_ns()
    index = put(running, SPEED, 0.1, time)
    async with streamed(running) as front_end:
        _, first = await front_end.subscribe(signals=[SPEED], precision="float64", times=True)
        assert first.values == {index: 0.1} and first.times == [time] and first.flags == 7
        _, single = await front_end.subscribe(signals=[SPEED])
        assert single.values == {index: pytest.approx(0.1, rel=1e-7)} and single.times is None


async def test_the_same_as_json(running: Service) -> None:
    index = put(running, SPEED, float("nan"))
    async with streamed(running, "?format=json") as front_end:
        _, first = await front_end.subscribe(signals=[SPEED], precision="float64", times=True, maxHz=60)
        assert first["type"] == "state" and first["snapshot"] and first["index"] == [index]
        assert first["value"] == [None] and first["quality"] == [192] and len(first["times"]) == 1
        put(running, SPEED, 0.1)
        changed = await front_end.state()
        assert changed["value"] == [0.1] and not changed["snapshot"]
        assert changed["sequence"] > first["sequence"] and int(changed["timeNs"]) >= int(first["timeNs"])


async def test_only_what_was_chosen_and_another_choice_without_reconnecting(running: Service) -> None:
    async with streamed(running) as front_end:
        table, first = await front_end.subscribe(nodes=["line_1.robot"], maxHz=60)
        assert SPEED not in table and all("robot" in id for id in table)
        put(running, SPEED, 1.0)
        table, again = await front_end.subscribe(signals=[SPEED], maxHz=60)
        assert list(table) == [SPEED] and again.values == {table[SPEED]: 1.0}
        assert again.subscription == first.subscription + 1
        await front_end.say("unsubscribe")
        await front_end.say("ping", id=7)
        assert (await front_end.next())["type"] == "pong"
        put(running, SPEED, 2.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(front_end.socket.recv(), 0.2)
        await front_end.say("resnapshot")  # of nothing: no answer, and no error
        await front_end.say("ping", id="x")
        assert (await front_end.next())["id"] == "x"


async def test_after_a_gap_all_of_it_again(running: Service) -> None:
    async with streamed(running) as front_end:
        _, first = await front_end.subscribe(signals=[SPEED])
        index = put(running, SPEED, 3.0)
        await front_end.next()
        await front_end.say("resnapshot")
        table = await front_end.next()
        assert table["whole"] and table["subscription"] == first.subscription + 1 and table["sequence"] == 1
        state = await front_end.next()
        assert state.flags & Flags.SNAPSHOT and state.values == {index: 3.0} and state.sequence == 2


async def test_what_comes_to_the_plant_joins_and_what_goes_is_told(running: Service) -> None:
    async with streamed(running) as front_end:
        table, _ = await front_end.subscribe(nodes=["line_1.conveyor"], maxHz=60)
        more = "          - {id: c_load, name: load, type: torque, unit: N}\n      - id: robot\n"
        await define(running, PLANT.replace("      - id: robot\n", more))
        news = await front_end.table(lambda rows: "line_1.conveyor.c_load" in rows)
        assert not news["whole"] and news["gone"] == []
        index = put(running, "line_1.conveyor.c_load", 9.0)
        assert (await front_end.state(index)).values[index] == 9.0
        await define(running, PLANT.replace("          - {id: c_speed, name: speed, type: encoder, unit: m/s}\n", ""))
        gone = (await front_end.table(lambda rows: not rows))["gone"]
        assert sorted(gone) == sorted([table[SPEED], index])


async def test_a_new_text_is_told_before_the_reading_that_means_it(running: Service) -> None:
    twin = running.context.twin
    status = twin.graph.find_signal(STATUS).index
    async with streamed(running) as front_end:
        await front_end.say("subscribe", signals=[STATUS], maxHz=60)
        table = await front_end.next()
        assert table["signals"][0]["labels"] == ["stopped", "running"]
        await front_end.next()
        put(running, STATUS, twin.label_code(status, "starved"))
        news = await front_end.next()
        assert news["type"] == "table" and news["signals"][0]["labels"] == ["stopped", "running", "starved"]
        assert (await front_end.state()).values == {status: 2.0}


async def test_a_slow_client_skips_and_has_the_newest(running: Service) -> None:
    async with streamed(running) as front_end:
        _, first = await front_end.subscribe(signals=[SPEED], maxHz=10)
        for value in range(500):
            put(running, SPEED, float(value))
            await asyncio.sleep(0.001)
        frames = [await front_end.state()]
        while list(frames[-1].values.values()) != [499.0]:
            frames.append(await front_end.state())
        assert [frame.sequence for frame in frames] == list(range(first.sequence + 1, first.sequence + 1 + len(frames)))
        assert len(frames) < 100


async def test_silence_is_told_from_death(running: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_feed, "ALIVE_S", 0.1)
    async with streamed(running) as front_end:
        _, first = await front_end.subscribe(signals=[SPEED])
        alive = await front_end.next()
        assert alive.count == 0 and alive.sequence == first.sequence + 1 and alive.time > first.time


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ('{"type":"subscribe","nodes":["line_9"]}', "line_9"),
        ('{"type":"subscribe","maxHz":0}', "maxHz must be above 0"),
        ('{"type":"subscribe","maxHz":61}', "at most 60"),
        ('{"type":"subscribe","precision":"float16"}', "float16"),
        ('{"type":"subscribe","node":["line_1"]}', "node"),
        ('{"type":"dance"}', "dance"),
        ("{", "not understood"),
        (b"\xff\xfe", "not understood"),
        ("[]", "not understood"),
    ],
)
async def test_a_message_that_makes_no_sense_is_answered_and_ends_nothing(
    running: Service, said: str | bytes, word: str
) -> None:
    async with streamed(running) as front_end:
        _, first = await front_end.subscribe(signals=[SPEED], maxHz=60)
        await front_end.socket.send(said)
        error = await front_end.next()
        assert (
            error["type"] == "error" and word in error["problem"]["detail"] and error["problem"]["status"] in (400, 404)
        )
        put(running, SPEED, 4.0)
        changed = await front_end.state()
        assert changed.subscription == first.subscription and list(changed.values.values()) == [4.0]


async def test_an_unknown_format_is_told(running: Service) -> None:
    async with connect(running.url.replace("http", "ws") + stream.PATH + "?format=xml") as socket:
        error = orjson.loads(await socket.recv())
        assert "xml" in error["problem"]["detail"]
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


# Who may


async def test_with_keys_one_is_needed_and_sees_its_part(running: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, graph = running.context.keys, running.context.twin.graph
    assert keys is not None
    _, token = keys.create("hmi", [Scope.PLANT_READ], under=[graph.find("line_1.robot").key])
    _, writer = keys.create("gateway", [Scope.TELEMETRY_WRITE])
    async with streamed(running, additional_headers={"Authorization": f"Bearer {token}"}) as front_end:
        table, _ = await front_end.subscribe()
        assert table and all("robot" in id for id in table)
        await front_end.say("subscribe", signals=[SPEED])
        foreign = (await front_end.next())["problem"]
        await front_end.say("subscribe", signals=["line_1.conveyor.no_such"])
        unknown = (await front_end.next())["problem"]
        assert foreign["status"] == 404 and foreign["detail"] == unknown["detail"].replace("no_such", "c_speed")
    async with streamed(running) as front_end:  # a browser, which cannot set headers
        await front_end.say("authorize", authorization=f"Bearer {token}")
        table, _ = await front_end.subscribe()
        assert table and all("robot" in id for id in table)
    async with streamed(running, additional_headers={"Authorization": f"Bearer {writer}"}) as front_end:
        await front_end.say("subscribe")
        assert (await front_end.next())["problem"]["status"] == 403
    for said in ({"type": "subscribe"}, {"type": "authorize", "authorization": "Bearer nonsense"}):
        async with streamed(running) as front_end:
            await front_end.socket.send(orjson.dumps(said).decode())
            assert (await front_end.next())["problem"]["status"] == 401
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await front_end.next()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401
    monkeypatch.setattr(stream, "PROVE_S", 0.1)
    async with streamed(running) as front_end:
        with pytest.raises(websockets.ConnectionClosed):
            await front_end.next()


@pytest.mark.parametrize("news", ["reading", "structure"])
async def test_a_revoked_key_sees_no_more(running: Service, news: str) -> None:
    keys = running.context.keys
    assert keys is not None
    keys.create("admin", list(Scope))
    _, token = keys.create("hmi", [Scope.PLANT_READ])
    async with streamed(running, additional_headers={"Authorization": f"Bearer {token}"}) as front_end:
        await front_end.subscribe(nodes=["line_1.conveyor"], maxHz=60)
        keys.revoke("hmi")
        if news == "reading":
            put(running, SPEED, 1.0)
        else:
            running.context.twin.change(lambda edit: edit.update_signal(0, unit="km/h"), "test")
        assert (await front_end.next())["problem"]["status"] == 401
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await front_end.next()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


# The frames themselves, for whoever writes a client


def _example() -> tuple[Mark, Any, StateColumns]:
    state = StateColumns(
        np.array([1.5, float("nan"), -2.25]),
        np.array([1_764_200_000_000_000_000, 1_764_200_000_000_000_001, 1_764_200_000_000_000_002]),
        np.array([192, 0, 88], dtype=np.uint8),
        np.array([7, 8, 9]),
    )
    return Mark(1, 2, 1_764_200_000_123_456_789, 9), np.array([3, 5, 70_000], dtype=np.int32), state


@pytest.mark.parametrize(
    ("name", "flags"),
    [("snapshot-float32", Flags.SNAPSHOT), ("change-float64-times", Flags.FLOAT64 | Flags.TIMES)],
)
def test_the_golden_frames(name: str, flags: Flags) -> None:
    """tests/golden holds what clients in other languages are tested with; it must never change."""
    mark, indexes, state = _example()
    assert binary(mark, indexes, state, flags).hex(" ", -8) == (GOLDEN / f"{name}.hex").read_text().strip()
    assert orjson.loads(text(mark, indexes, state, flags)) == orjson.loads((GOLDEN / f"{name}.json").read_bytes())


def test_what_is_too_large_for_a_single_is_its_largest() -> None:
    mark, indexes, state = _example()
    state.value[:] = (1e300, -1e300, float("inf"))
    largest = float(np.finfo(np.float32).max)
    assert Frame(binary(mark, indexes, state, Flags(0))).value == [largest, -largest, float("inf")]
