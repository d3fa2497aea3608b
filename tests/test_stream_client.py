"""The module for front ends: in Node and Chromium against a real service, and its types by the compiler."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import servers
from facade_fixtures import Server
from node_fixtures import NodeProgram, node_program
from playwright.async_api import async_playwright
from service_fixtures import service, write_plant
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from test_console import ARGUMENTS
from test_stream import GOLDEN, SPEED, STATUS, put
from websockets.asyncio.server import ServerConnection, serve

from iotsense.config import Listen, Settings
from iotsense.rest.console_routes import CONSOLE
from iotsense.service import Service
from iotsense.twin.access import Scope

MODULE = CONSOLE / "iotsense-stream.js"
EXAMPLE = Path(__file__).parents[1] / "examples" / "unity" / "StateStream.cs"
PAGE = Path(__file__).parents[1] / "docs" / "stream.md"
in_node = pytest.mark.needs("node")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running:
        yield running


@asynccontextmanager
async def front_end(url: str = "", **options: Any) -> AsyncIterator[NodeProgram]:
    async with node_program("state_stream.mjs", MODULE=str(MODULE), URL_=url, OPTIONS=options) as program:
        yield program


async def heard(program: NodeProgram, wanted: Callable[[Any], object]) -> Any:
    """The first that it said and that is wanted; what it said until then is gone."""
    async with asyncio.timeout(60):
        while True:
            for at, each in enumerate(program.heard):
                if wanted(each):
                    del program.heard[: at + 1]
                    return each
            await asyncio.sleep(0.01)


@in_node
@pytest.mark.parametrize("format", ["binary", "json"])
async def test_a_front_end_in_node(running: Service, format: str) -> None:
    put(running, SPEED, 1.5)
    url = running.url if format == "binary" else f"{running.url}/api/v1/iotsense/stream?format=json"
    async with front_end(url, nodes=["line_1.conveyor"], maxHz=60) as program:
        assert SPEED in (await heard(program, lambda said: said.get("whole")))["table"]
        first = await heard(program, lambda said: said.get("snapshot"))
        assert first["state"][SPEED] == {"value": 1.5, "text": None, "quality": 192} and first["offset"] < 60_000
        put(running, STATUS, 1.0, quality=0)
        changed = await heard(program, lambda said: STATUS in said.get("state", ()))
        assert changed["state"][STATUS] == {"value": 1, "text": "running", "quality": 0}
        program.tell(signals=["line_9"])
        problem = (await heard(program, lambda said: "problem" in said))["problem"]
        assert problem["status"] == 404 and "line_9" in problem["detail"]
        program.tell(signals=[SPEED])
        assert (await heard(program, lambda said: said.get("whole")))["table"] == [SPEED]


@in_node
async def test_it_comes_back_with_the_service(tmp_path: Path) -> None:
    file, port = write_plant(tmp_path), servers.free_port()
    settings = Settings(data=tmp_path / "data", definitions=(file,), listen=Listen("127.0.0.1", port))
    async with front_end(f"http://127.0.0.1:{port}", signals=[SPEED]) as program:
        for value in (1.0, 2.0):
            running = Service(settings)
            await running.start()
            try:
                put(running, SPEED, value)
                await heard(program, lambda said: said.get("state", {}).get(SPEED, {}).get("value") == value)  # noqa: B023
            finally:
                await running.stop()
            await heard(program, lambda said: said.get("status") == "connecting")


@in_node
async def test_it_shows_its_key_and_gives_up_when_that_is_wrong(running: Service) -> None:
    assert running.context.keys is not None
    _, token = running.context.keys.create("hmi", [Scope.PLANT_READ])
    async with front_end(running.url, key=token) as program:
        assert SPEED in (await heard(program, lambda said: said.get("whole")))["table"]
    async with front_end(running.url, key=token[:-1] + "?") as program:
        assert (await heard(program, lambda said: "problem" in said))["problem"]["status"] == 401
        await heard(program, lambda said: said.get("status") == "closed")


@in_node
async def test_a_missing_frame_makes_it_ask_for_all_again() -> None:
    asked: list[str] = []

    async def server(socket: ServerConnection) -> None:
        async for received in socket:
            asked.append(json.loads(received)["type"])
            mark = {"subscription": len(asked), "time": "2026-01-01T00:00:00Z", "timeNs": "1", "journal": 1}
            rows = [{"index": 1, "id": "a", "node": "a", "name": "value", "labels": []}]
            table = {"type": "table", **mark, "sequence": 1, "whole": True, "signals": rows, "gone": []}
            await socket.send(json.dumps(table))
            state = {"type": "state", **mark, "snapshot": True, "index": [1], "quality": [192]}
            for sequence in (2, 4) if len(asked) == 1 else (2, 3):
                await socket.send(json.dumps(state | {"sequence": sequence, "value": [10 * len(asked) + sequence]}))

    async with serve(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with front_end(f"http://127.0.0.1:{port}") as program:
            last = await heard(program, lambda said: said.get("state", {}).get("a", {}).get("value") == 23)
            assert last and asked == ["subscribe", "resnapshot"]
            values = [said["state"]["a"]["value"] for said in program.heard if "state" in said]
            assert 14 not in values


@in_node
async def test_it_reads_the_golden_frames() -> None:
    async with front_end() as program:
        for file in sorted(GOLDEN.glob("*.hex")):
            program.tell(decode=file.read_text().replace(" ", "").strip())
            read, wanted = await heard(program, lambda said: True), json.loads(file.with_suffix(".json").read_bytes())
            for name in ("subscription", "sequence", "journal", "timeNs", "snapshot", "index", "value", "quality"):
                assert read[name] == wanted[name], name
            assert (read["times"] is None) == ("times" not in wanted)


@in_node
def test_its_types_are_right(tmp_path: Path) -> None:
    """What may be written compiles, what must not does not."""
    good = """
      import { StateStream, decodeFrame, type Signal } from "./iotsense-stream.js";
      const stream = new StateStream("http://localhost:8080", { key: "k", nodes: ["line_1"], precision: "float64" });
      stream.addEventListener("state", ({ detail }) => detail.changed.map((each: Signal) => each.value ?? 0));
      stream.addEventListener("status", ({ detail }) => { if (detail === "live") stream.subscribe({ maxHz: 9 }); });
      const temperature: number | null | undefined = stream.get("line_1.temperature")?.value;
      const time: bigint = decodeFrame(new ArrayBuffer(32)).timeNs;
      console.log(temperature, time);
      stream.close();
    """
    bad = 'import { StateStream } from "./iotsense-stream.js"; new StateStream("x", { precision: "float16" });'
    for name in ("iotsense-stream.js", "iotsense-stream.d.ts"):
        (tmp_path / name).write_text((CONSOLE / name).read_text())
    assert _compiled(tmp_path, good) == ""
    assert "float16" in _compiled(tmp_path, bad)


def _compiled(folder: Path, text: str) -> str:
    """What the TypeScript compiler complains about."""
    (folder / "page.ts").write_text(text)
    modules = servers.node_modules()
    assert modules is not None
    compiler = [servers.program("node"), str(modules / "typescript" / "bin" / "tsc")]
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    found = subprocess.run(
        [*compiler, *options, "--lib", "es2022,dom", "page.ts"],
        cwd=folder, capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    return found.stdout + found.stderr


@pytest.mark.needs("chromium")
async def test_the_page_of_the_docs_in_chromium(running: Service) -> None:
    """On another port than the service, as while a front end is developed."""
    put(running, SPEED, 1.25)
    (html,) = re.findall(r"```html\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    html = html.replace("http://127.0.0.1:8080", running.url).replace(
        "const stream", "const stream = globalThis.stream"
    )

    async def page_of(request: Request) -> Response:
        return Response(html, media_type="text/html")

    with _serving(Route("/", page_of)) as other:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=servers.program("chromium"), args=ARGUMENTS)
            page = await browser.new_page()
            said: list[str] = []
            page.on("console", lambda text: said.append(text.text))
            await page.goto(other.url)
            await page.wait_for_function(f"globalThis.stream?.get({SPEED!r})?.value === 1.25")
            put(running, SPEED, 2.5)
            await page.wait_for_function(f"stream.get({SPEED!r}).value === 2.5")
            await browser.close()
    assert f"{SPEED} 2.5 m/s" in said


@contextmanager
def _serving(*routes: Route) -> Iterator[Server]:
    server = Server(list(routes))
    server.start()
    yield server
    server.stop()


def test_the_frame_of_the_docs_is_a_golden_one() -> None:
    blocks = re.findall(r"```\w*\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert (GOLDEN / "snapshot-float32.hex").read_text() in blocks
    assert json.loads((GOLDEN / "snapshot-float32.json").read_bytes()) in [
        json.loads(block) for block in blocks if block.startswith('{"type": "state"')
    ]


@pytest.fixture(scope="module")
def csharp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C# sample with a program around it; mark the test with needs("mono")."""
    program = tmp_path_factory.mktemp("csharp") / "stream.exe"
    sources = [EXAMPLE, Path(__file__).parent / "peers" / "state_stream.cs"]
    subprocess.run([servers.program("mono"), "-langversion:7.2", f"-out:{program}", *sources], check=True)
    return program


@pytest.mark.needs("mono")
def test_the_csharp_sample_reads_the_golden_frames(csharp: Path) -> None:
    for file in sorted(GOLDEN.glob("*.hex")):
        frame = file.read_text().replace(" ", "").strip()
        said = subprocess.run(["mono", csharp, frame], check=True, capture_output=True, text=True).stdout.split()
        wanted = json.loads(file.with_suffix(".json").read_bytes())
        assert said[0] == str(wanted["snapshot"])
        assert said[1:5] == [str(wanted[name]) for name in ("subscription", "sequence", "timeNs", "journal")]
        columns = [json.loads(f"[{column}]") for column in said[5:8]]
        assert columns == [wanted[name] for name in ("index", "value", "quality")]
        assert (said[8] == "-") == ("times" not in wanted)


@pytest.mark.needs("mono")
async def test_the_csharp_sample_follows_a_service(running: Service, csharp: Path) -> None:
    index = put(running, SPEED, 1.5)
    url = running.url.replace("http", "ws") + "/api/v1/iotsense/stream"
    wanted = json.dumps({"type": "subscribe", "signals": [SPEED], "maxHz": 60})
    program = await asyncio.create_subprocess_exec("mono", csharp, url, "-", wanted, stdout=asyncio.subprocess.PIPE)
    assert program.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert b'"hello"' in await program.stdout.readline()
            assert SPEED.encode() in await program.stdout.readline()
            assert (await program.stdout.readline()).split()[5:8] == [str(index).encode(), b"1.5", b"192"]
            put(running, SPEED, -2.25)
            while b" -2.25 " not in await program.stdout.readline():
                pass
    finally:
        program.kill()
        await program.wait()
