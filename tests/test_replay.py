"""Replay: frames that equal the plant as of their time, at a speed, paused, moved, and into a scenario."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
from every_read import served
from service_fixtures import API, PLANT

from iotsense.cli import run_cli
from iotsense.client import AsyncIoTSense, IoTSense
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import ConflictError, InvalidValueError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.replay import Frame, Player, Players, Stretch, chosen_signals, granularity_of
from iotsense.twin.times import NS, format_time, now_ns
from iotsense.twin.twin import Twin

SPEED = "line_1.conveyor.c_speed"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    """A plant whose conveyor's speed was 0, 1, ... 9 m/s, a second apart, from `START` on."""
    project, _ = load_texts({"plant.yaml": PLANT})
    assert project is not None
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(project, twin.graph), twin)
        speed = twin.graph.find_signal(SPEED).index
        start = start_of(twin)
        twin.apply(ReadingBatch.of([speed] * 10, [start + i * NS for i in range(10)], range(10)))
        yield twin


def start_of(twin: Twin) -> int:
    """The whole second after the plant was defined [ns]."""
    first = next(iter(twin.journal_entries(0))).recorded
    return (first // NS + 2) * NS


async def played(player: Player) -> list[Frame]:
    return [frame async for frame in player.frames()]


def stretch(twin: Twin, **options: Any) -> Stretch:
    start = start_of(twin)
    return Stretch(start, start + 9 * NS, **{"speed": None, "step": NS, **options})


async def test_frames_are_the_plant_as_of_their_time(twin: Twin) -> None:
    frames = await played(Player(twin, stretch(twin), chosen_signals(["conveyor"])))
    start = start_of(twin)
    assert [frame.time for frame in frames] == [start + i * NS for i in range(10)]
    assert [frame.whole for frame in frames] == [True] + [False] * 9
    index = twin.graph.find_signal(SPEED).index
    assert [frame.columns.value[frame.signals == index].tolist() for frame in frames] == [[i] for i in range(10)]
    for frame in frames:
        reading = twin.as_of(frame.time).read(index)
        assert reading is not None and reading.value == frame.columns.value[frame.signals == index][0]
    assert all(frame.signals.tolist() == [index] for frame in frames[1:])


async def test_a_change_of_the_structure_makes_a_whole_frame(twin: Twin) -> None:
    start = now_ns()
    twin.change(lambda edit: new_signal(edit), "test")
    frames = await played(Player(twin, Stretch(start, now_ns() + NS, None, NS // 4), chosen_signals([])))
    assert [frame.whole for frame in frames].count(True) == 2
    assert len({frame.plant.graph.revision for frame in frames}) == 2


def new_signal(edit: GraphEdit) -> None:
    edit.add_signal(edit.graph.find("conveyor").key, "power")


async def test_high_speeds_leave_frames_out_and_end_at_the_end(twin: Twin) -> None:
    frames = await played(Player(twin, stretch(twin, speed=30.0, step=NS // 100), chosen_signals([])))
    assert len(frames) < 10
    assert frames[-1].time == start_of(twin) + 9 * NS


async def test_it_is_paused_moved_and_accelerated(twin: Twin) -> None:
    player = Player(twin, stretch(twin, speed=2.0), chosen_signals([]))
    frames = player.frames()
    assert (await anext(frames)).time == start_of(twin)
    player.pause()
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0.7)
    assert not waiting.done()
    player.seek(start_of(twin) + 6 * NS)
    moved = await waiting
    assert (moved.time, moved.whole) == (start_of(twin) + 6 * NS, True)
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    player.accelerate(None)
    player.resume()
    rest = [await waiting, *[frame async for frame in frames]]
    assert [frame.time for frame in rest][-3:] == [start_of(twin) + i * NS for i in (7, 8, 9)]
    with pytest.raises(InvalidValueError, match="is not between"):
        player.seek(0)


async def test_wrong_stretches_and_too_many(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidValueError, match="must be before"):
        Stretch(5, 5)
    with pytest.raises(InvalidValueError, match="speed must be above 0"):
        Stretch(5, 6, 0.0)
    with pytest.raises(InvalidValueError, match="at least a millisecond"):
        Stretch(5, 6, 1.0, 1000)
    monkeypatch.setattr("iotsense.twin.replay.MOST_PLAYERS", 0)
    with pytest.raises(ConflictError, match="played already"):
        await anext(Players().play(Player(twin, stretch(twin), chosen_signals([]))))
    twin.change(lambda edit: edit.set_definition({"twin_operations": {"replay": {"granularity": "250ms"}}}), "test")
    assert granularity_of(twin) == NS // 4
    twin.change(lambda edit: edit.set_definition({"twin_operations": {"replay": {"enabled": False}}}), "test")
    with pytest.raises(ConflictError, match="switched off"):
        granularity_of(twin)


@pytest.fixture
def url(twin: Twin) -> Iterator[str]:
    with served(twin) as url:
        yield url


def span(twin: Twin) -> dict[str, str]:
    start = start_of(twin)
    return {"from": format_time(start), "to": format_time(start + 9 * NS), "granularity": "1s"}


def test_rest_streams_and_moves_it(twin: Twin, url: str) -> None:
    query = span(twin) | {"speed": "0.5", "node": "conveyor"}
    with httpx.stream("GET", f"{url}{API}/replay", params=query, timeout=30) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        first = json.loads(next(lines)[6:])
        assert first["whole"] and SPEED in first["signal"]
        move = f"{url}{API}/replay/{answer.headers['replay']}"
        assert first["replay"] == answer.headers["replay"]
        assert httpx.post(move, json={"action": "jump"}).status_code == 400
        assert httpx.post(move, json={"action": "seek", "to": query["to"]}).json()["time"] == query["to"]
        last = json.loads(next(lines)[6:])
        assert (last["time"], last["value"][last["signal"].index(SPEED)]) == (query["to"], 9)
    assert httpx.post(f"{url}{API}/replay/none", json={"action": "pause"}).status_code == 404
    assert httpx.get(f"{url}{API}/replay").status_code == 400
    assert httpx.get(f"{url}{API}/replay", params=span(twin) | {"node": "conveyer"}).status_code == 404


async def test_graphql_moves_it(twin: Twin, url: str) -> None:
    query = """subscription($from: Time!, $to: Time) { replay(from: $from, to: $to, speed: 0.5, granularity: "1s",
        nodes: ["conveyor"]) { replay time whole } }"""
    move = "mutation($id: ID!, $to: Time) { moveReplay(replay: $id, action: SEEK, to: $to) { time } }"
    variables = {name: span(twin)[name] for name in ("from", "to")}
    async with websockets.connect(f"{url.replace('http', 'ws')}/graphql", subprotocols=["graphql-transport-ws"]) as ws:
        await ws.send('{"type":"connection_init"}')
        await ws.recv()
        payload = {"query": query, "variables": variables}
        await ws.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())
        first = orjson.loads(await ws.recv())["payload"]["data"]["replay"]
        given = {"id": first["replay"], "to": variables["to"]}
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{url}/graphql", json={"query": move, "variables": given})
        assert answer.json() == {"data": {"moveReplay": {"time": variables["to"]}}}
        last = orjson.loads(await ws.recv())["payload"]["data"]["replay"]
        assert (last["time"], last["whole"]) == (variables["to"], True)


async def test_graphql_streams_it(twin: Twin, url: str) -> None:
    query = """subscription($from: Time!, $to: Time) { replay(from: $from, to: $to, speed: null, granularity: "1s",
        nodes: ["conveyor"]) { time whole signal value } }"""
    variables = {name: span(twin)[name] for name in ("from", "to")}
    frames = []
    async with websockets.connect(f"{url.replace('http', 'ws')}/graphql", subprotocols=["graphql-transport-ws"]) as ws:
        await ws.send('{"type":"connection_init"}')
        await ws.recv()
        payload = {"query": query, "variables": variables}
        await ws.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())
        while (answer := orjson.loads(await ws.recv()))["type"] == "next":
            assert "errors" not in answer["payload"], answer
            frames.append(answer["payload"]["data"]["replay"])
    assert len(frames) == 10
    assert [frame["value"] for frame in frames[1:]] == [[float(i)] for i in range(1, 10)]


def test_sdk(twin: Twin, url: str) -> None:
    given = span(twin)
    with IoTSense(url=url) as iot:
        frames = list(iot.replay(given["from"], given["to"], speed="max", granularity="1s", node="conveyor"))
    assert len(frames) == 10

    async def same() -> list[Any]:
        async with AsyncIoTSense(url=url) as iot:
            return [f async for f in iot.replay(given["from"], given["to"], speed="max", granularity="1s")]

    assert len(asyncio.run(same())) == 10


def test_command_line_plays_into_a_scenario(twin: Twin, url: str) -> None:
    given = span(twin)
    twin.scenarios.fork("held", time=start_of(twin), overrides={"line_1.conveyor.c_temp": 99})
    arguments = ["--from", given["from"], "--to", given["to"], "--granularity", "3s", "--speed", "max", "--url", url]
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = run_cli(["replay", *arguments, "--into", "held", "--json"])
    assert code == 0, err.getvalue()
    assert len(out.getvalue().splitlines()) == 4
    scenario = twin.as_of(scenario="held")
    speed, temperature = (twin.graph.find_signal(f"line_1.conveyor.{name}").index for name in ("c_speed", "c_temp"))
    assert [reading and reading.value for reading in (scenario.read(speed), scenario.read(temperature))] == [9, 99]
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        assert run_cli(["replay", *arguments]) == 0
    assert f"{SPEED}  3.0" in out.getvalue()


def test_whoever_goes_away_ends_it(twin: Twin, url: str) -> None:
    with httpx.stream("GET", f"{url}{API}/replay", params=span(twin) | {"speed": "10"}, timeout=30) as answer:
        next(answer.iter_lines())
        move = f"{url}{API}/replay/{answer.headers['replay']}"
    gone = threading.Event()
    while httpx.post(move, json={"action": "resume"}).status_code != 404:
        gone.wait(0.05)
