"""Writing by InfluxDB's interfaces: its own client, what Telegraf sends, and every answer that a writer decides by."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from service_fixtures import API, PLANT, client, service, write_plant

from iotsense.service import Service
from iotsense.twin.errors import OverloadedError, StorageFullError
from iotsense.twin.times import format_time, now_ns, parse_time

SETTING = "iotsense: {{ingestion: {{line_protocol: {{{}}}}}}}\n"
SECOND = 1_000_000_000
T = parse_time("2025-03-01T10:00:00Z")


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        yield running, http


async def write(http: httpx.AsyncClient, lines: str | bytes, **parameters: str) -> httpx.Response:
    return await http.post("/write", content=lines, params={"db": "telegraf"} | parameters)


def latest(running: Service, id: str) -> tuple[Any, str]:
    """A signal's value and time."""
    signal = running.twin.graph.find_signal(id)
    reading = running.twin.state.read(signal.index)
    assert reading is not None
    labels = running.twin.labels(signal.index)
    return labels[int(reading.value)] if labels else reading.value, format_time(reading.time)


async def test_the_client_of_influxdb_writes(plant: tuple[Service, httpx.AsyncClient]) -> None:
    running, _ = plant

    def run() -> str:
        with InfluxDBClient(running.url, token="any", org="works") as influx:
            assert influx.ping()
            api = influx.write_api(SYNCHRONOUS)
            point = Point("conveyor").field("speed", 1.5).field("status", "running").time(T, WritePrecision.NS)
            api.write("plant", record=[point, Point("c_temp").field("value", 40).time(T // 10**6, WritePrecision.MS)])
            api.write("plant", record="robot joints=1", write_precision=WritePrecision.S)
            return influx.version()

    with pytest.raises(ApiException) as refused:
        await asyncio.to_thread(run)
    assert refused.value.status == 400
    assert "takes 3 values" in refused.value.body or "list" in refused.value.body
    assert latest(running, "conveyor.speed") == (1.5, "2025-03-01T10:00:00.000Z")
    assert latest(running, "conveyor.status") == ("running", "2025-03-01T10:00:00.000Z")
    assert latest(running, "conveyor.motor_temperature") == (40, "2025-03-01T10:00:00.000Z")


async def test_the_batching_client_keeps_what_it_was_told(plant: tuple[Service, httpx.AsyncClient]) -> None:
    running, _ = plant
    failures: list[InfluxDBError] = []

    def run() -> None:
        with (
            InfluxDBClient(running.url, token="any", org="works", enable_gzip=True) as influx,
            influx.write_api(error_callback=lambda _, __, error: failures.append(error)) as api,
        ):
            for i in range(2500):
                api.write("plant", record=f"conveyor speed={i} {T + i}")

    await asyncio.to_thread(run)
    assert failures == []
    assert running.pipeline.counters["http"].stored == 2500


@pytest.mark.parametrize("packed", [False, True])
async def test_what_telegraf_sends(tmp_path: Path, packed: bool) -> None:
    corpus = (Path(__file__).parent / "telegraf.lp").read_bytes()
    body, headers = (gzip.compress(corpus), {"Content-Encoding": "gzip"}) if packed else (corpus, {})
    text = SETTING.format("metadata_tags: [type, slave_id, topic, status_code]") + (
        PLANT.replace("id: conveyor", "id: press_1")
        .replace("from: conveyor", "from: press_1")
        .replace("name: motor_temperature", "name: modbus_temperature")
    )
    async with service(tmp_path / "data", write_plant(tmp_path, text)) as running, client(running) as http:
        created = await http.post("/query", data={"q": 'CREATE DATABASE "telegraf"'})
        assert (created.status_code, created.json()) == (200, {"results": [{"statement_id": 0}]})
        assert (await http.get("/ping")).status_code == (await http.head("/ping")).status_code == 204
        answer = await http.post("/api/v2/write?bucket=b&org=o&precision=ns", content=body, headers=headers)
        assert (answer.status_code, answer.text) == (204, "")
        assert (latest(running, "press_1.modbus_temperature"))[0] == 62.4
        assert (latest(running, "press_2.mqtt_consumer_state"))[0] == 'idle "A", waiting'
        cores = [(latest(running, f"gateway-7.cpu_usage_user_cpu{i}"))[0] for i in (0, 1)]
        assert cores == [8.53, 4.12]
        assert running.pipeline.counters["http"].dead_lettered == 0
        again = await http.post("/api/v2/write?bucket=b", content=body, headers=headers)
        assert again.status_code == 204
        counters = running.pipeline.counters["http"]
        assert (counters.applied, counters.superseded) == (counters.stored // 2, counters.stored // 2)


async def test_what_telegraf_sent(plant: tuple[Service, httpx.AsyncClient]) -> None:
    """Recorded from a Telegraf; it sends in chunks, whose number it does not know beforehand."""
    running, http = plant
    packed = gzip.compress((Path(__file__).parent / "telegraf_recorded.lp").read_bytes())

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(packed), 1000):
            yield packed[at : at + 1000]

    headers = {"Content-Encoding": "gzip", "Authorization": "Token any", "Content-Type": "text/plain; charset=utf-8"}
    answer = await http.post("/api/v2/write?bucket=plant&org=works", content=chunks(), headers=headers)
    assert (answer.status_code, answer.text) == (204, "")
    assert latest(running, "press_1.machine_temperature")[0] == 62.4
    assert latest(running, "press_1.machine_state")[0] == 'idle, "A"'
    assert latest(running, "gateway-7.system_n_cpus")[0] == 2
    assert running.pipeline.counters["http"].dead_lettered == 0


async def test_good_lines_are_kept_and_bad_ones_are_dead_letters(plant: tuple[Service, httpx.AsyncClient]) -> None:
    running, http = plant
    lines = f'conveyor speed=1 {T}\nconveyor speed=\nconveyor speed=2 {T + 1}\nrobot,host=conveyor speed="fast" {T}\n'
    answer = await write(http, lines + f'conveyor speed="quick" {T}')
    assert answer.status_code == 400
    words = answer.json()["error"]
    assert words.startswith("partial write: unable to parse 'conveyor speed=': missing value of field speed")
    assert words.endswith("dropped=2")
    assert answer.json()["message"] == words
    assert answer.json()["code"] == "invalid"
    assert answer.headers["X-Influxdb-Error"] == words
    assert latest(running, "conveyor.speed") == (2, "2025-03-01T10:00:00.000000001Z")
    letters = (await http.get(f"{API}/dead-letters")).json()["dead_letters"]
    assert {letter["payload"] for letter in letters} >= {"conveyor speed="}
    # Taken in again they fail for the same reasons, and change nothing.
    outcome = (await http.post(f"{API}/dead-letters/replay", json={"all": True})).json()
    assert outcome == {"replayed": 0, "failed": len(letters)}
    assert running.pipeline.counters["http"].adds_up


@pytest.mark.parametrize(
    ("parameters", "stamp", "factor"),
    [({}, T, 1), ({"precision": "u"}, T // 1000, 1000), ({"precision": "ms"}, T // 10**6, 10**6),
     ({"precision": "s"}, T // SECOND, SECOND), ({"precision": "m"}, T // 60 // SECOND, 60 * SECOND),
     ({"precision": "h"}, T // 3600 // SECOND, 3600 * SECOND)],
)  # fmt: skip
async def test_precisions(
    plant: tuple[Service, httpx.AsyncClient], parameters: dict[str, str], stamp: int, factor: int
) -> None:
    running, http = plant
    for _ in range(2):  # once the slow way, once the fast
        assert (await write(http, f"conveyor speed=1 {stamp}\n", **parameters)).status_code == 204
        assert (latest(running, "conveyor.speed"))[1] == "2025-03-01T10:00:00.000Z"
    before = now_ns()
    assert (await write(http, "conveyor speed=2", **parameters)).status_code == 204
    assert parse_time((latest(running, "conveyor.speed"))[1]) >= before // 1000 * 1000


async def test_requests_that_are_wrong(plant: tuple[Service, httpx.AsyncClient]) -> None:
    running, http = plant
    running.context.max_body = 5000
    line = "conveyor speed=1"

    async def told(path: str, content: bytes | str = line, **headers: str) -> tuple[int, str]:
        answer = await http.post(path, content=content, headers=headers)
        return answer.status_code, answer.json()["error"]

    assert await told("/write") == (400, "the parameter `db` is required")
    assert await told("/api/v2/write?org=o") == (400, "the parameter `bucket` is required")
    assert (await told("/write?db=d&precision=min"))[1].startswith("invalid precision 'min'")
    assert (await told("/write?db=d", b"x" * 5001))[0] == 413
    zeros = {"Content-Encoding": "gzip"}
    assert (await told("/write?db=d", gzip.compress(b"\n" * 10**7), **zeros))[0] == 413
    assert await told("/write?db=d", gzip.compress(b"conveyor speed=1")[:-9], **zeros) == (
        400, "the body is not gzip: it ends too early",
    )  # fmt: skip
    assert (await told("/write?db=d", b"plain", **zeros))[1].startswith("the body is not gzip")
    assert (await told("/write?db=d", **{"Content-Encoding": "br"}))[0] == 415
    assert (await told("/query?q=SELECT+1"))[1].startswith("InfluxQL is not spoken here")
    assert (await http.post("/write?db=d", content="", headers={"Origin": "http://evil.example"})).status_code == 403
    assert (await write(http, "\n# nothing\n")).status_code == 204
    odd = await write(http, "m\x01\x7fé f=\n")
    assert odd.headers["X-Influxdb-Error"].startswith("partial write: unable to parse 'm??? f='")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(OverloadedError("full"), 429, "too many requests"), (StorageFullError("no room"), 503, "unavailable")],
)
async def test_what_is_not_stored_is_to_be_sent_again(
    plant: tuple[Service, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    running, http = plant

    async def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(running.pipeline, "submit", refuse)
    answer = await write(http, "conveyor speed=1")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert int(answer.headers["Retry-After"]) >= 1


async def test_it_can_be_configured_and_switched_off(tmp_path: Path) -> None:
    text = PLANT + SETTING.format('name_template: "${field}", device_tags: [machine]')
    async with service(tmp_path / "data", write_plant(tmp_path, text)) as running, client(running) as http:
        assert (await write(http, f"modbus,machine=conveyor,host=gw speed=3 {T}")).status_code == 204
        assert (latest(running, "conveyor.speed"))[0] == 3
        answer = await http.post(
            f"{API}/definitions/apply", json={"documents": {"plant.yaml": PLANT + SETTING.format("enabled: false")}}
        )
        assert answer.status_code == 200, answer.text
        assert (await write(http, f"conveyor speed=4 {T}")).status_code == 404
        assert running.pipeline.counters["http"].stored == 1
