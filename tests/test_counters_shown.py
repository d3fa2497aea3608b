"""Every facade shows the same counters, before and after a crash."""

import time
from pathlib import Path
from typing import Any

import httpx
from service_fixtures import API, document, process, run_cli, write_plant

NEWEST, OLDER = "2024-01-15T10:30:00Z", "2024-01-15T10:29:00Z"
QUERY = "{ service { accounts { name counters { name value } } } sources { name counters { name value } } }"
EXPECTED = {
    "received": 5,
    "acknowledged": 5,
    "duplicate": 1,
    "refused": 0,
    "waiting": 0,
    "read": 4,
    "stored": 3,
    "applied": 1,
    "superseded": 1,
    "late": 1,
    "dead_lettered": 1,
}


def test_all_facades_show_the_same_before_and_after_a_crash(tmp_path: Path) -> None:
    plant, data = write_plant(tmp_path), tmp_path / "data"
    with process(data, "-c", str(plant)) as running, httpx.Client(base_url=running.url, timeout=30) as http:
        _send(http, "c_temp", 50.0, NEWEST)
        _send(http, "c_temp", 51.0, NEWEST)
        _send(http, "c_temp", 40.0, OLDER, key="k")
        _send(http, "c_temp", 40.0, OLDER, key="k")
        _send(http, "c_temp", "hot", NEWEST)
        _compare(http)
        running.kill()
    with process(data) as running, httpx.Client(base_url=running.url, timeout=30) as http:
        _compare(http)
        shown = run_cli("sources", "--data", str(data), cwd=tmp_path).stdout
        assert "superseded" in shown and "derived" in shown
        status = run_cli("status", "--data", str(data), cwd=tmp_path).stdout
        assert "late, from sources" in status


def _send(http: httpx.Client, name: str, value: Any, stamp: str, key: str | None = None) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    body = document("conveyor", name, value, stamp)
    http.post(f"{API}/telemetry", json=body, headers=headers).raise_for_status()


def _compare(http: httpx.Client) -> None:
    while not (answer := http.get(f"{API}/sources").json())["others"] or _lag(http):
        time.sleep(0.02)  # analytics concludes in its own time
    (source,) = answer["sources"]
    assert {name: source[name] for name in EXPECTED} == EXPECTED
    assert {name: http.get("/health").json()["sources"][0][name] for name in EXPECTED} == EXPECTED
    data = http.post("/graphql", json={"query": QUERY}).json()["data"]
    accounts = {account["name"]: _numbers(account) for account in data["service"]["accounts"]}
    assert accounts["http"] == _numbers(data["sources"][0])
    assert {name: accounts["http"][name] for name in EXPECTED} == EXPECTED
    derived = {each["name"]: each for each in answer["others"]}["derived"]
    assert derived["stored"] > 0
    metrics = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
    shown = {name: f"iotsense_source_{name}{'' if name == 'waiting' else '_total'}" for name in EXPECTED}
    assert {name: int(metrics[f'{metric}{{source="http"}}']) for name, metric in shown.items()} == EXPECTED
    assert metrics["iotsense_counters_add_up"] == "1"
    stored = sum(int(n) for name, n in metrics.items() if name.startswith("iotsense_source_stored_total"))
    assert stored == int(metrics["iotsense_readings_total"])


def _lag(http: httpx.Client) -> int:
    return int(http.get("/health").json()["tasks"]["monitor"]["lag_entries"])


def _numbers(account: dict[str, Any]) -> dict[str, int]:
    return {counter["name"]: int(counter["value"]) for counter in account["counters"]}
