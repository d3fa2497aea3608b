"""Definitions under their ETag: who applies what was made of older ones is told so."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from service_fixtures import API, PLANT, client, document, service, write_plant

from iotsense.service import Service

APPLY = f"{API}/definitions/apply"


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as started:
        yield started


@pytest_asyncio.fixture
async def http(running: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client(running) as opened:
        yield opened


async def tag_of(http: httpx.AsyncClient) -> str:
    return (await http.get(f"{API}/definitions")).headers["etag"]


async def apply(http: httpx.AsyncClient, text: str, **headers: str) -> httpx.Response:
    return await http.post(APPLY, json={"documents": {"plant.yaml": text}}, headers=headers)


@pytest.mark.parametrize("change", [("threshold: 80", "threshold: 60"), ("fanuc_m20", "fanuc_m10")])
async def test_what_is_outdated_is_refused(running: Service, http: httpx.AsyncClient, change: tuple[str, str]) -> None:
    seen = await tag_of(http)
    assert (await apply(http, PLANT.replace(*change), **{"If-Match": seen})).status_code == 200
    assert await tag_of(http) != seen
    revision = running.twin.graph.revision
    refused = await apply(http, PLANT, **{"If-Match": seen})
    assert (refused.status_code, refused.json()["type"]) == (412, "/problems/outdated")
    assert running.twin.graph.revision == revision
    assert (await apply(http, PLANT, **{"If-Match": f'"other", {await tag_of(http)}'})).status_code == 200
    assert await tag_of(http) == seen, "the same definitions again"
    for anything in ({"If-Match": "*"}, {}):
        assert (await apply(http, PLANT.replace(*change), **anything)).status_code == 200


async def test_what_is_discovered_outdates_nothing(running: Service, http: httpx.AsyncClient) -> None:
    seen, revision = await tag_of(http), running.twin.graph.revision
    assert (await http.post(f"{API}/telemetry", json=document("newcomer", "level", 1))).status_code == 202
    assert running.twin.graph.revision > revision
    assert await tag_of(http) == seen
    packed = seen[:-1] + '-gzip"'  # as it comes to a client that takes gzip
    assert (await apply(http, PLANT, **{"If-Match": packed})).status_code == 200
