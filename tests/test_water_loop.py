"""The example of real data: definition and map fit together, and a run of the test bed shows what happened in it."""

import asyncio
import csv
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from service_fixtures import API, client, service

from iotsense.ingest.file_mapping import file_mapping
from iotsense.ingest.files import load_file
from iotsense.service import Service
from iotsense.twin.model import Event
from iotsense.twin.project import load_project
from iotsense.twin.times import NS, datetime_to_ns

EXAMPLE = Path(__file__).parents[1] / "examples" / "water-loop"
SKAB = Path(__file__).parents[2] / "shared" / "data" / "skab" / "valve1" / "12.csv"


def run_of_the_test_bed(tmp_path: Path) -> Path:
    """The file if it is there, else one of the same shape: the flow falls for some minutes and comes back."""
    if SKAB.exists():
        return SKAB
    columns = list(file_mapping([str(EXAMPLE / "skab.map")]).columns)
    path = tmp_path / "run.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["datetime", *columns, "anomaly", "changepoint"])
        for second in range(1140):
            closed = 600 <= second < 970
            flow = 28.0 if closed else 32.0
            cells = [flow if column.startswith("Volume") else 1.0 for column in columns]
            moment = f"2020-03-09 14:{14 + second // 60:02d}:{second % 60:02d}"
            writer.writerow([moment, *cells, float(closed), 0.0])
    return path


def test_the_definition_has_no_mistakes() -> None:
    project, findings = load_project([EXAMPLE])
    assert findings == []
    assert project is not None


async def test_a_run_shows_where_it_should(tmp_path: Path) -> None:
    file = run_of_the_test_bed(tmp_path)
    with file.open() as opened:
        rows = list(csv.DictReader(opened, delimiter=";"))
    async with service(tmp_path / "data", EXAMPLE) as running, client(running) as http:
        mapping = file_mapping([str(EXAMPLE / "skab.map")])
        report = await asyncio.to_thread(load_file, running.twin, file, mapping)
        assert (report.rows, report.bad_rows, report.readings) == (len(rows), 0, 8 * len(rows))
        assert report.ignored == ["anomaly", "changepoint"]
        anomalies = await ended_anomalies(running)
        answer = (await http.get(f"{API}/twins/water_loop/state")).json()
    states = {component["id"]: component["state"] for component in answer["components"]}
    assert states["valve"]["Flow"] == pytest.approx(float(rows[-1]["Volume Flow RateRMS"]))
    told = [row["datetime"] for row in rows if float(row["anomaly"])]
    zone = ZoneInfo("Europe/Moscow")
    first, last = (datetime_to_ns(datetime.fromisoformat(text), zone) for text in (told[0], told[-1]))
    (warning,) = (event for event in anomalies if event.data["severity"] == "warning")
    assert abs(warning.time - first) <= 10 * NS
    assert abs(warning.until - last) <= 10 * NS


async def ended_anomalies(running: Service) -> list[Event]:
    """The anomalies of the flow, once the first of them, a warning, is over."""
    for _ in range(200):
        amended = {e.identity: e for e in running.twin.events() if e.kind == "anomaly"}
        anomalies = [event for event in amended.values() if event.data["rule"] == "flow_falls"]
        if anomalies and all(event.until is not None for event in anomalies):
            return anomalies
        await asyncio.sleep(0.05)
    raise AssertionError("no anomaly began and ended")
