"""What clients may ask of the sockets before there is a request: heads, patience, connections, WebSocket messages."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from service_fixtures import API, client, document, service, write_plant
from websockets.asyncio.client import connect

from iotsense import http_server
from iotsense.http_limits import WEBSOCKET_BYTES, BoundedHttp
from iotsense.service import Service

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/iotsense/telemetry HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as started:
        yield started


class Line:
    """A bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, json.loads(body) if "json" in headers.get("content-type", "") else body

    async def closed(self) -> bool:
        """Whether nothing more comes, within some seconds."""
        try:
            return await asyncio.wait_for(self.reader.read(), 20) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def line(running: Service) -> AsyncIterator[Line]:
    port = httpx.URL(running.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


async def drip(line: Line, piece: bytes) -> None:
    while not line.reader.at_eof():
        await line.say(piece)
        await asyncio.sleep(0.1)


async def test_a_head_has_an_end(tmp_path: Path) -> None:
    most, size = BoundedHttp.HEADERS, BoundedHttp.HEAD_BYTES
    async with running(tmp_path) as started:
        for head, status in (
            (b"".join(b"x-%d: y\r\n" % number for number in range(most - 1)), 200),
            (b"".join(b"x-%d: y\r\n" % number for number in range(most)), 431),
            (b"x: " + b"y" * (size - 1000) + b"\r\n", 200),
            (b"x: " + b"y" * (size + 1000) + b"\r\n", 431),
            (b"x: " + b"y" * 50 * size, 431),
        ):
            async with line(started) as each:
                await each.say(GET + head + b"\r\n")
                got, headers, body = await each.answer()
                assert got == status
                if status == 431:
                    assert body["type"] == "/problems/head-too-large" and headers["connection"] == "close"
                    assert headers["x-content-type-options"] == "nosniff"
                    each.writer.write_eof()
                    assert await each.closed()
        async with line(started) as each:
            await each.say(GET + b"\r\n" + GET + b"\r\n")
            assert [(await each.answer())[0] for _ in range(2)] == [200, 200]
            await each.say(b"GET /" + b"y" * 2 * size + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await each.answer())[0] == 431
        async with line(started) as each:
            await each.say(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx: " + b"y" * 50 * size)
            assert (await each.answer())[0] == 431, "trailers have an end, too"
        async with client(started) as http:
            page = await http.get("/problems/head-too-large")
            assert page.status_code == 200


async def test_what_opens_a_websocket_is_bounded_and_what_is_no_http_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as started:
        address = started.url.replace("http", "ws") + f"{API}/stream"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(address, additional_headers={"x": "y" * 9000})
        assert refused.value.response.status_code == 431
        async with line(started) as each:
            await each.say(b"\x16\x03\x01 hello\r\n\r\n")
            status, headers, body = await each.answer()
            assert (status, body["type"]) == (400, "/problems/not-http") and "content-security-policy" in headers


async def test_a_request_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttp, "PATIENCE_S", 1.0)
    body = json.dumps(document("conveyor", "speed", 1.5)).encode()
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    async with running(tmp_path) as started:

        async def slow(first: bytes, piece: bytes) -> int:
            async with line(started) as each:
                await each.say(first)
                dripping = asyncio.create_task(drip(each, piece))
                status, _, problem = await each.answer()
                assert problem["type"] == "/problems/too-slow"
                dripping.cancel()
                each.writer.write_eof()
                assert await each.closed()
                return status

        ways = [(b"", b""), (GET, b"x"), (b"", b"\r\n"), (POST + length, b""), (POST + length, b" ")]
        ways.append((POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1;x=y\r\n \r\n"))
        assert await asyncio.gather(*(slow(*way) for way in ways)) == [408] * len(ways)
        async with line(started) as each:
            await each.say(GET + b"\r\n")
            assert (await each.answer())[0] == 200
            await asyncio.sleep(2.5)
            await each.say(POST + length + body)
            assert (await each.answer())[0] == 202, "it may be quiet between two requests"
        assert started.twin.counts()["readings"] == 1


async def test_what_comes_steadily_may_take_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttp, "PATIENCE_S", 1.0)
    body = json.dumps(document("conveyor", "speed", 1.5)).encode() + b" " * 20_000
    async with running(tmp_path) as started, line(started) as each:
        await each.say(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 1000):
            await each.say(body[at : at + 1000])
            await asyncio.sleep(0.15)
        assert (await each.answer())[0] == 202


async def test_a_body_that_waits_for_us_is_not_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttp, "PATIENCE_S", 0.5)
    begun = asyncio.Event()

    async def patient(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await asyncio.sleep(2.5)
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr("iotsense.service.build_app", lambda context, origins: patient)
    async with running(tmp_path) as started, line(started) as each, line(started) as other:
        await each.say(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        writing = asyncio.create_task(other.say(POST + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000))
        assert await asyncio.wait_for(each.reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await each.say(b"abc")
        assert (await each.answer())[0] == 200
        assert (await other.answer())[0] == 200
        await writing


async def test_connections_beyond_the_limit_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttp, "CONNECTIONS", 3)
    async with running(tmp_path) as started:
        async with line(started) as one, line(started), line(started):
            await asyncio.sleep(0.1)
            async with line(started) as beyond, line(started) as silent:
                await beyond.say(GET + b"\r\n")
                status, headers, body = await beyond.answer()
                assert (status, body["type"]) == (503, "/problems/too-many-connections")
                assert headers["retry-after"] == "5"
                assert await silent.closed()
            await one.say(GET + b"\r\n")
            assert (await one.answer())[0] == 200
            unix = httpx.AsyncHTTPTransport(uds=str(started.settings.socket))
            async with httpx.AsyncClient(transport=unix, base_url="http://localhost") as http:
                assert (await http.get("/livez")).status_code == 200, "the verbs always get in"
            crowd = [await asyncio.open_connection("127.0.0.1", httpx.URL(started.url).port) for _ in range(6)]
            assert await Line(*crowd[-1]).closed()
            for _, writer in crowd:
                writer.close()
        await asyncio.sleep(0.2)
        async with line(started) as again:
            await again.say(GET + b"\r\n")
            assert (await again.answer())[0] == 200


async def test_a_websocket_takes_messages_of_some_size(tmp_path: Path) -> None:
    async with running(tmp_path) as started:
        address = started.url.replace("http", "ws") + f"{API}/stream?format=json"
        async with connect(address) as socket:
            await socket.recv()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.send(" " * (WEBSOCKET_BYTES + 1))
                while True:
                    await socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


async def test_a_websocket_that_is_quiet_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "PING_S", 0.3)
    async with running(tmp_path) as started:
        async with connect(started.url.replace("http", "ws") + f"{API}/stream?format=json") as socket:
            await socket.recv()
            await asyncio.sleep(1.5)
            await (await socket.ping())
        async with line(started) as mute:
            await mute.say(
                b"GET /api/v1/iotsense/stream HTTP/1.1\r\nHost: localhost\r\n"
                b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert (await mute.answer())[0] == 101
            rest = await asyncio.wait_for(mute.reader.read(), 20)
            assert b"keepalive ping timeout" in rest


def frame(opcode: int, body: bytes) -> bytes:
    """A short frame of a client, whose mask changes nothing."""
    return bytes([0x80 | opcode, 0x80 | len(body)]) + bytes(4) + body


@pytest.mark.parametrize("path", ["/graphql", f"{API}/stream"])
async def test_nobody_fails_at_a_websocket_that_was_closed_for_its_frames(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    async with running(tmp_path) as started, line(started) as rude:
        await rude.say(head.encode())
        assert (await rude.answer())[0] == 101
        await rude.say(frame(1, b'{"type":"nonsense"}') + frame(1, b"\xff"))
        await asyncio.wait_for(rude.reader.read(), 20)
        await asyncio.sleep(0.1)
    assert [each.message for each in caplog.records if "ASGI" in each.message] == []
