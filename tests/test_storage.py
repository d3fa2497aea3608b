"""What storage takes, and what it will need, as every facade tells it."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from history_fixtures import DAY, S, entry, opened
from service_fixtures import API, client, run_cli, service, write_plant

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.history_policy import Policy
from iotsense.twin.history_tier import Tier
from iotsense.twin.times import format_time, now_ns

START = 19_000 * DAY


def test_what_is_there_is_measured_and_what_is_needed_calculated(tmp_path: Path) -> None:
    policy = Policy(raw=3 * DAY, tiers=(Tier("1m", 10 * DAY), Tier("1h", 100 * DAY)))
    now = [START]
    store = opened(tmp_path / "history", quiet_s=0.0, policy=lambda: policy, now=lambda: now[0])
    generator = np.random.default_rng()
    for day in range(6):
        time = np.tile(START + day * DAY + np.arange(0, DAY, 5 * S), 2)
        signal = np.repeat([0, 1], len(time) // 2)
        batch = ReadingBatch.of(signal, time, generator.normal(50, 10, len(time)).round(2))
        store.apply([entry(day + 1, START + (day + 1) * DAY, batch)])
        now[0] = START + (day + 1) * DAY
        store.flush()
        while store.upkeep.step():
            pass
    found = store.report({"journal": 1_000})
    kept = {each.name: each for each in found.history}
    assert list(kept) == ["raw", "1m", "1h"]
    assert found.readings_per_day == pytest.approx(2 * 17_280, rel=0.01)
    assert found.bytes == sum(file.stat().st_size for file in store.path.glob("*.part")) + 1_000
    assert (kept["raw"].rows, kept["raw"].oldest) == (3 * 2 * 17_280, START + 3 * DAY)
    assert 3 < kept["raw"].bytes_per_row < 11
    assert kept["raw"].needed_bytes == pytest.approx(kept["raw"].bytes, rel=0.05)
    assert (kept["1m"].rows, kept["1m"].rows_per_day) == (6 * 2 * 1_440, 2 * 1_440)
    assert kept["1m"].needed_bytes == pytest.approx(kept["1m"].bytes / 6 * 10, rel=0.05)
    assert kept["1h"].guessed
    assert kept["1h"].needed_bytes == 100 * 2 * 24 * 40
    assert found.needed_bytes == 1_000 + sum(each.needed_bytes or 0 for each in found.history)
    store.close()


async def test_every_facade_tells_it(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        speed = running.twin.graph.find_signal("conveyor.speed").index
        running.twin.apply(ReadingBatch.of([speed] * 3, [1, 2, 3], [1.0, 2.0, 3.0]))
        assert await asyncio.to_thread(running.twin.catch_up)
        await asyncio.to_thread(running.twin._store.flush)
        answer = (await http.get(f"{API}/storage")).json()
        raw = answer["history"][0]
        assert (raw["name"], raw["retention_s"], raw["guessed"], raw["needed_bytes"]) == ("raw", None, True, None)
        assert raw["oldest"] == "1970-01-01T00:00:00.000000001Z"
        assert set(answer["others"]) == {"journal", "catalog"}
        query = {"query": "{ storage { bytes neededBytes perDay history { name rows bytes retention oldest } } }"}
        shown = (await http.post("/graphql", json=query)).json()["data"]["storage"]
        assert (shown["neededBytes"], shown["history"][0]["rows"]) == (None, raw["rows"])
        said = await asyncio.to_thread(run_cli, "storage", "--url", running.url, cwd=tmp_path)
        assert "for ever" in said.stdout and "readings a day" in said.stdout
        said = await asyncio.to_thread(run_cli, "storage", "--json", "--url", running.url, cwd=tmp_path)
        assert json.loads(said.stdout)["history"][0]["rows"] == raw["rows"]


async def test_an_old_instant_says_how_exact_it_is(tmp_path: Path) -> None:
    plant = write_plant(tmp_path)
    plant.write_text(plant.read_text() + "\niotsense: {storage: {retention: {raw: 1d, 1m_aggregates: 9y}}}\n")
    async with service(tmp_path / "data", plant) as running, client(running) as http:
        speed = running.twin.graph.find_signal("conveyor.speed").index
        now = now_ns()
        time = now - 20 * DAY + np.arange(600) * S
        running.twin.apply(ReadingBatch.of([speed] * 600, time, np.arange(600, dtype=float)))
        assert await asyncio.to_thread(running.twin.catch_up)
        await asyncio.to_thread(running.twin._store.flush)
        while await asyncio.to_thread(running.twin._store.upkeep.step):
            pass
        path = f"{API}/signals/conveyor.speed/history"
        span = {"from": format_time(int(time[0])), "to": format_time(int(time[-1]))}
        found = (await http.get(path, params=span)).json()
        assert (found["tier"], found["precision_s"], found["bucket_s"]) == ("1m", 60.0, 60.0)
        assert (found["low"][0], found["high"][-1]) == (0.0, 599.0)
        assert (found["first"][0], found["last"][-1], found["good_percent"][0]) == (0.0, 599.0, 100.0)
        assert found["mean_over_time"][3] == pytest.approx(found["value"][3], abs=1)
        shown = (await http.get(f"{API}/nodes", params={"as_of": format_time(now)})).headers
        assert "IoTSense-Precision" not in shown
        shown = (await http.get(f"{API}/nodes", params={"as_of": format_time(int(time[300]))})).headers
        assert shown["IoTSense-Precision"] == "60"
        query = {"query": f'{{ precision(asOf: "{format_time(int(time[300]))}") }}'}
        assert (await http.post("/graphql", json=query)).json()["data"] == {"precision": 60.0}
        said = await asyncio.to_thread(
            run_cli,
            "history",
            "conveyor.speed",
            "--from",
            span["from"],
            "--to",
            span["to"],
            "--url",
            running.url,
            cwd=tmp_path,
        )
        assert "from 1m, times are exact to 60 s" in said.stdout
