"""The monitor inside a service: what /health tells of it, and that killing the process changes no conclusion."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
from analytics_fixtures import SPIKE, T0, S, set_rules
from service_fixtures import API, PLANT, client, document, process, service, write_plant

from iotsense.analytics.computation import Computation
from iotsense.analytics.ledger import standing
from iotsense.analytics.monitor import Monitor
from iotsense.twin.times import format_time
from iotsense.twin.twin import Twin


async def test_a_rule_that_cannot_be_used_is_told_by_health(tmp_path: Path) -> None:
    metres = SPIKE | {"sensor": "c_temp", "conditions": [SPIKE["conditions"][0] | {"unit": "metre"}]}
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        await asyncio.to_thread(set_rules, running.twin, metres)
        reasons: list[str] = []
        while not any("temperature_spike" in reason for reason in reasons):
            await asyncio.sleep(0.02)
            reasons = (await http.get("/health")).json()["reasons"]


async def test_a_reading_over_http_lowers_the_health_that_rest_shows(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        for value, expected in (
            (90.0, {"score": 75, "status": "warning"}),
            (20.0, {"score": 100, "status": "healthy"}),
        ):
            answer = await http.post(f"{API}/telemetry", json=document("conveyor", "c_temp", value))
            assert answer.status_code == 202, answer.text
            health: dict[str, Any] | None = None
            while health != expected:
                await asyncio.sleep(0.02)
                state = (await http.get(f"{API}/twins/line_1/state")).json()
                health = next(part for part in state["components"] if part["id"] == "conveyor").get("health")


def test_killing_the_process_changes_no_conclusion(tmp_path: Path) -> None:
    noise = random.Random()
    plant = write_plant(tmp_path)
    sent: list[tuple[int, float]] = []
    second = 0
    for _ in range(4):
        with process(tmp_path / "data", "-c", str(plant)) as started, httpx.Client(base_url=started.url) as http:
            for _ in range(noise.randrange(20, 80)):
                second, value = second + 1, noise.uniform(60.0, 100.0)
                stamp = format_time(T0 + second * S)
                answer = http.post(f"{API}/telemetry", json=document("conveyor", "c_temp", value, stamp))
                assert answer.status_code == 202, answer.text
                sent.append((second, value))
            started.kill()
    with Twin.open(tmp_path / "data") as twin:
        monitor = Monitor(twin)
        while monitor.step():
            pass
        told = [(e.time, e.until) for e in twin.events(kind="anomaly", limit=100_000) if e.data["condition"] == 0]
    assert told == expected(sent, 80.0)


def test_killing_the_process_among_late_readings_changes_no_conclusion(tmp_path: Path) -> None:
    noise = random.Random()
    computed = "      - id: conveyor\n        computed: [{ name: twice, expression: 2 * motor_temperature }]\n"
    plant = write_plant(tmp_path, PLANT.replace("      - id: conveyor\n", computed))
    values = {second: noise.uniform(60.0, 100.0) for second in range(200)}
    order = sorted(values, key=lambda second: second + noise.uniform(0, 30))
    for round in range(4):
        with process(tmp_path / "data", "-c", str(plant)) as started, httpx.Client(base_url=started.url) as http:
            for second in order[round * 50 : round * 50 + 50]:
                stamp = format_time(T0 + second * S)
                answer = http.post(f"{API}/telemetry", json=document("conveyor", "c_temp", values[second], stamp))
                assert answer.status_code == 202, answer.text
            started.kill()
    with Twin.open(tmp_path / "data") as twin:
        for worker in (Monitor(twin), Computation(twin)):
            while worker.step():
                pass
        told = [(a.onset, a.until) for a in standing(twin.standing_events("anomaly")) if a.key[2] == 0]
        calm = expected(sorted(values.items()), 80.0)
        ended = {onset for onset, until in calm if until is not None}
        assert sorted(told) == [event for event in calm if event[1] is not None or event[0] not in ended]
        twice = twin.history(twin.graph.find_signal("conveyor.twice").index, T0, T0 + 1000 * S)
        assert twice.value.tolist() == [2 * values[second] for second in range(200)]


def expected(readings: list[tuple[int, float]], limit: float) -> list[tuple[int, int | None]]:
    """The events that the readings give: one for each onset, one for each end."""
    events: list[tuple[int, int | None]] = []
    onset: int | None = None
    for second, value in readings:
        if onset is None and value > limit:
            onset = T0 + second * S
            events.append((onset, None))
        elif onset is not None and value <= limit:
            events.append((onset, T0 + second * S))
            onset = None
    return events
