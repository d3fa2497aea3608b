"""Answers in gzip: what is long and text, for those that take it; tags and caches are told."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from service_fixtures import API, client, document, service, write_plant
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from iotsense.rest.compression import Compression, accepts_gzip

GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}
HISTORY = f"{API}/signals/conveyor.speed/history"


@pytest_asyncio.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as opened:
        readings = [document("conveyor", "speed", i, f"2024-01-15T10:{i // 60:02}:{i % 60:02}Z") for i in range(200)]
        assert (await opened.post(f"{API}/telemetry", json=readings)).status_code == 202
        yield opened


async def raw(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> tuple[httpx.Response, bytes]:
    async with http.stream("GET", path, headers=headers) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("media", ["application/json", "text/csv"])
async def test_long_texts_come_in_gzip_to_those_that_take_it(http: httpx.AsyncClient, media: str) -> None:
    path = f"{HISTORY}?from=2020-01-01&to=2100-01-01"
    plain, body = await raw(http, path, PLAIN | {"Accept": media})
    assert "content-encoding" not in plain.headers
    small, packed = await raw(http, path, GZIP | {"Accept": media})
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) == len(packed) < len(body) / 3
    assert gzip.decompress(packed) == body
    for answer in (plain, small):
        assert answer.headers["vary"] == "Accept, Accept-Encoding"


async def test_what_is_short_or_packed_or_a_stream_stays_as_it_is(http: httpx.AsyncClient) -> None:
    pytest.importorskip("pyarrow")
    parquet = {"Accept": "application/vnd.apache.parquet"}
    answer, body = await raw(http, f"{HISTORY}?from=2020-01-01", GZIP | parquet)
    assert "content-encoding" not in answer.headers and body.startswith(b"PAR1")
    answer, _ = await raw(http, f"{API}/sources", GZIP)
    assert not {"content-encoding", "vary"} & set(answer.headers)
    async with http.stream("GET", f"{API}/nodes/conveyor", headers=GZIP | {"Accept": "text/event-stream"}) as stream:
        assert "content-encoding" not in stream.headers
        assert (await anext(stream.aiter_lines())).startswith("retry")


async def test_each_form_has_a_tag_of_its_own_and_either_is_known(http: httpx.AsyncClient) -> None:
    path = f"{API}/nodes/robot"
    while "health" not in [signal["name"] for signal in (await http.get(path)).json()["signals"]]:
        pass  # it comes by itself, and then nothing else does
    plain, packed = (await http.get(path, headers=PLAIN)), (await http.get(path, headers=GZIP))
    assert packed.headers["content-encoding"] == "gzip" and packed.json() == plain.json()
    assert packed.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'
    for tag in (plain.headers["etag"], packed.headers["etag"], "W/" + plain.headers["etag"]):
        again = await http.get(path, headers=GZIP | {"If-None-Match": tag})
        assert (again.status_code, again.headers["etag"]) == (304, tag)


async def test_the_page_and_graphql_are_compressed_as_well(http: httpx.AsyncClient) -> None:
    first = await http.get("/", headers=GZIP)
    assert first.headers["content-encoding"] == "gzip"
    assert (await http.get("/", headers=GZIP | {"If-None-Match": first.headers["etag"]})).status_code == 304
    body = {"query": "{ __schema { types { name description } } }"}
    assert (await http.post("/graphql", json=body, headers=GZIP)).headers["content-encoding"] == "gzip"


async def asked(app: ASGIApp, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(Compression(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.get("/", headers=headers)


@pytest.mark.parametrize(
    ("answer", "packed"),
    [
        (PlainTextResponse("x" * 1024), True),
        (PlainTextResponse("x" * 200_000), True),
        (PlainTextResponse("x" * 1023), False),
        (PlainTextResponse("x" * 2000, 500), False),
        (Response(b"x" * 2000, media_type="image/png"), False),
        (PlainTextResponse("x" * 2000, headers={"Content-Encoding": "br"}), False),
        (StreamingResponse(iter(["x" * 2000, "y"]), media_type="text/plain"), False),
        (StreamingResponse(iter(["x" * 2000]), media_type="text/plain", headers={"Content-Length": "2000"}), False),
    ],
)
async def test_what_is_compressed(answer: Any, packed: bool) -> None:
    assert ((await asked(answer, GZIP)).headers.get("content-encoding") == "gzip") is packed
    plain = await asked(PlainTextResponse("x" * 2000), {"Accept-Encoding": ""})
    assert "content-encoding" not in plain.headers


def test_who_accepts_gzip() -> None:
    assert all(map(accepts_gzip, (b"gzip", b"br, GZIP;q=0.5", b"*", b"gzip ; q=1", b"br;q=1.0,*;q=0.1")))
    assert not any(map(accepts_gzip, (b"", b"br", b"identity", b"gzip;q=0", b"*;q=0", b"gzip;q=0,*", b"gzip;q=x")))
