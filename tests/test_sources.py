"""What is told of the sources: states, errors, rates, lag, points; and that a reload leaves the others alone."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from adapter_contract import until
from service_fixtures import API, PLANT, client, document, process, run_cli, service, write_plant
from test_http_poll import Device

from iotsense.ingest import throughput
from iotsense.ingest.feeds import Feeds
from iotsense.ingest.source_state import SourceState
from iotsense.ingest.throughput import MEMORY_S, Throughput
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.times import format_time, now_ns, parse_time


def test_a_rate_is_right_early_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(throughput.time, "monotonic", lambda: clock[0])
    rate = Throughput()
    for _ in range(40):
        clock[0] += 0.05
        rate.add(5)
    assert rate.rate == pytest.approx(100, rel=0.02)
    for _ in range(1000):
        clock[0] += 0.05
        rate.add(1)
    assert rate.rate == pytest.approx(20, rel=0.05)
    clock[0] += 10 * MEMORY_S
    assert rate.rate < 0.01


def test_a_signal_is_fed_by_whom_its_latest_reading_came_from() -> None:
    feeds = Feeds()
    assert feeds.note([("a", 2), ("b", 1), ("a", 1)], ReadingBatch.of([0, 5, 5, 2], [10, 20, 30, 40], [1.0] * 4)) == {
        "a": 40,
        "b": 30,
    }
    assert (feeds.signals("a").tolist(), feeds.signals("b").tolist()) == ([0, 2], [5])
    feeds.note([("b", 2)], ReadingBatch.of([2, 900], [50, 60], [1.0] * 2))
    assert (feeds.signals("a").tolist(), feeds.signals("b").tolist()) == ([0], [2, 5, 900])
    assert feeds.signals("nobody").tolist() == []


def polled(*urls: str) -> str:
    protocols = [
        {"name": "http", "id": f"poll_{i}", "endpoints": [{"url": url, "interval": "20ms", "retries": 0}]}
        for i, url in enumerate(urls)
    ]
    return f"{PLANT}\nsensor_ingestion: {json.dumps({'protocols': protocols})}\n"


async def the_source(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await http.get(f"{API}/sources/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_source_with_its_points(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        old = format_time(now_ns() - 90 * 10**9)
        readings = [document("conveyor", "motor_temperature", 20), document("conveyor", "speed", 1.5, old)]
        assert (await http.post(f"{API}/telemetry", json=readings[:1])).status_code == 202
        assert (await http.post(f"{API}/telemetry", json=readings[1:])).status_code == 202
        assert (await http.post(f"{API}/telemetry", json=document("conveyor", "status", "running"))).status_code == 202
        found = await the_source(http, "http")
        assert [(point["signal"], point["value"], point["quality"]) for point in found["points"]] == [
            ("line_1.conveyor.c_speed", 1.5, "good"),
            ("line_1.conveyor.c_temp", 20, "good"),
            ("line_1.conveyor.c_status", "running", "good"),
        ]
        assert (found["total"], found["points"][0]["time"], found["points"][0]["unit"]) == (3, old, "m/s")
        assert (await http.get(f"{API}/sources/http?limit=1")).json()["points"] == found["points"][:1]
        source = found["source"]
        assert source["readings_per_s"] == pytest.approx(source["messages_per_s"], rel=0.05)
        assert 0 < source["readings_per_s"] < 4
        assert source["lag_s"] < 5  # of the last message's readings
        assert (await http.post(f"{API}/telemetry", json=readings[1:])).status_code == 202
        assert (await the_source(http, "http"))["source"]["lag_s"] == pytest.approx(90, abs=20)
        metrics = (await http.get("/metrics")).text
        assert 'iotsense_source_lag_seconds{source="http"} 9' in metrics
        missing = await http.get(f"{API}/sources/htpp")
        assert missing.status_code == 404
        assert "did you mean 'http'?" in missing.json()["detail"]


async def test_errors_are_told_while_they_last_and_afterwards(tmp_path: Path) -> None:
    device = Device()
    text = polled(device.url)
    async with service(tmp_path / "data", write_plant(tmp_path, text)) as running, client(running) as http:
        status = running.sources["poll_0"].status
        await until(lambda: status.state is SourceState.BACKOFF)
        source = (await the_source(http, "poll_0"))["source"]
        assert "cannot be reached" in source["error"]
        assert source["last_error"] == source["error"]
        assert source["next_attempt"] is None or parse_time(source["next_attempt"]) > parse_time(source["since"])
        device.value = document("conveyor", "speed", 2)
        device.start()
        try:
            await until(lambda: status.state is SourceState.RUNNING)
            query = "{ sources { name state error lastError lastErrorAt retryAt connects stretched lag remarks"
            query += " messagesPerSecond readingsPerSecond } }"
            found = (await http.post("/graphql", json={"query": query})).json()["data"]["sources"]
            (told,) = [each for each in found if each["name"] == "poll_0"]
            assert (told["state"], told["error"], told["retryAt"], told["connects"]) == ("running", None, None, 1)
            assert "cannot be reached" in told["lastError"]
            assert told["lastErrorAt"]
            health = (await http.get("/health")).json()
            (source,) = [each for each in health["sources"] if each["name"] == "poll_0"]
            assert (source["error"], source["last_error"]) == (None, told["lastError"])
        finally:
            device.kill()


async def test_a_reload_leaves_no_gap_on_the_others(tmp_path: Path) -> None:
    """One source is changed, added and removed while another goes on; each of its polls is a reading."""
    steady, other = Device(), Device()
    for device in (steady, other):
        device.value = document("conveyor", "speed", 1)
        device.start()
    try:
        file = write_plant(tmp_path, polled(steady.url))
        async with service(tmp_path / "data", file) as running, client(running) as http:
            source = running.sources["poll_0"]
            await until(lambda: source.status.counters.stored > 3)
            arrivals: list[float] = []
            plain = steady.plain

            def answer(headers: dict[str, str]) -> Any:
                arrivals.append(time.monotonic())
                return plain(headers)

            steady.answers["/"] = answer
            for text in (
                polled(steady.url, other.url),  # added
                polled(steady.url, other.url + "/changed"),
                polled(steady.url, other.url).replace("threshold: 80", "threshold: 70"),  # changed back, and a rule
                polled(steady.url),  # removed
            ):
                applied = await http.post(f"{API}/definitions/apply", json={"documents": {"plant.yaml": text}})
                assert applied.status_code == 200, applied.text
                before = len(arrivals)
                await until(lambda before=before: len(arrivals) > before + 5)
                assert running.sources["poll_0"] is source
            assert set(running.sources) == {"poll_0"}
            assert source.status.connects == 1
            counters = running.pipeline.counters
            assert counters["poll_1"].stored > 0
            asked = len(steady.asked)
            await until(lambda: counters["poll_0"].stored >= asked)
            assert counters["poll_0"].adds_up
            assert counters["poll_0"].dead_lettered == counters["poll_0"].refused == 0
    finally:
        steady.kill()
        other.kill()


def test_the_verb(tmp_path: Path) -> None:
    write_plant(tmp_path)
    with process(tmp_path / "data", "-c", str(tmp_path / "plant.yaml")) as running:
        body = json.dumps([document("conveyor", "speed", 1.5), document("conveyor", "status", "stopped")])
        headers = {"content-type": "application/json"}
        assert httpx.post(f"{running.url}{API}/telemetry", content=body, headers=headers).status_code == 202
        everything = run_cli("sources", cwd=tmp_path, IOTSENSE_DATA=str(tmp_path / "data"))
        assert everything.returncode == 0, everything.stderr
        assert any(
            line.split()[:2] == ["http", "http"] and "running" in line for line in everything.stdout.splitlines()
        )
        one = run_cli("sources", "http", cwd=tmp_path, IOTSENSE_DATA=str(tmp_path / "data"))
        assert "2 points since the start" in one.stdout
        assert "line_1.conveyor.c_status" in one.stdout
        assert "polls left out" in one.stdout
        missing = run_cli("sources", "nobody", cwd=tmp_path, IOTSENSE_DATA=str(tmp_path / "data"))
        assert missing.returncode != 0
        assert "no source is called 'nobody'" in missing.stderr
