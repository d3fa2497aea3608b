"""History by `Accept`: what comes is what pandas, Arrow and a spreadsheet would read, and says the same as JSON."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow
import pyarrow.parquet
import pytest
from facade_fixtures import build, put
from service_fixtures import API
from starlette.requests import Request

from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.pipeline import Pipeline
from iotsense.rest.app import build_app
from iotsense.rest.context import Context
from iotsense.rest.history_formats import ARROW, CSV, PARQUET
from iotsense.rest.http_errors import NotAcceptableError
from iotsense.rest.negotiation import preferred
from iotsense.twin.times import NS
from iotsense.twin.twin import Twin

SPEED, STATUS = "line_1.conveyor.speed", "line_1.conveyor.status"
SPAN = {"from": "2024-01-15T10:30:00Z", "to": "2024-01-15T10:31:00Z"}
T = 1_705_314_600 * NS


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        put(twin, SPEED, 1.5, 2.25, float("nan"), time=T + 2 * NS + 1, quality=192)
        put(twin, STATUS, twin.label_code(twin.graph.find_signal(STATUS).index, "running"), time=T)
        yield twin


async def ask(twin: Twin, signal: str, accept: str, **parameters: Any) -> httpx.Response:
    transport = httpx.ASGITransport(build_app(Context(twin, Pipeline(twin, IngestConfig()))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        path, given = f"{API}/signals/{signal}/history", {**SPAN, **parameters}
        return await http.get(path, params=given, headers={"Accept": accept})


async def test_csv_says_what_json_does(twin: Twin) -> None:
    told = (await ask(twin, SPEED, "application/json")).json()
    answer = await ask(twin, SPEED, "text/csv, application/json;q=0.5")
    assert answer.headers["content-type"].startswith(CSV) and answer.headers["vary"] == "Accept"
    assert f'filename="{SPEED}.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["time"] for row in rows] == told["time"] and [row["quality"] for row in rows] == told["quality"]
    assert [row["value"] for row in rows] == ["1.5", "2.25", ""]
    (text,) = csv.DictReader(io.StringIO((await ask(twin, STATUS, CSV)).text, newline=""))
    assert text["value"] == "running"


async def test_arrow_and_parquet_are_tables_with_times(twin: Twin) -> None:
    arrow = pyarrow.ipc.open_stream((await ask(twin, SPEED, ARROW)).content).read_all()
    parquet = pyarrow.parquet.read_table(io.BytesIO((await ask(twin, SPEED, PARQUET)).content))
    for table in (arrow, parquet):
        assert table.column_names == ["time", "value", "quality"]
        assert table.column("time").type == pyarrow.timestamp("ns", "UTC")
        assert table.column("time").cast("int64").to_pylist() == [T + 1, T + NS + 1, T + 2 * NS + 1]
        assert table.column("value").to_pylist() == [1.5, 2.25, None]
        assert table.schema.metadata[b"signal"] == SPEED.encode() and table.schema.metadata[b"unit"] == b"m/s"
    buckets = pyarrow.ipc.open_stream((await ask(twin, SPEED, ARROW, points=1)).content).read_all()
    assert {"low", "high", "count"} < set(buckets.column_names) and buckets.schema.metadata[b"bucket_s"]
    nothing = pyarrow.ipc.open_stream((await ask(twin, SPEED, ARROW, to="2024-01-15T10:30:00.000000001Z")).content)
    assert nothing.read_all().num_rows == 0


async def test_pages_are_linked_in_every_format(twin: Twin) -> None:
    for accept in ("application/json", CSV, ARROW, PARQUET):
        first = await ask(twin, SPEED, accept, limit=2)
        link = first.headers["link"]
        assert link.endswith('; rel="next"') and "limit=2" in link
        assert "link" not in (await ask(twin, SPEED, accept)).headers
    url = httpx.URL(link[1:].partition(">")[0])
    rest = await ask(twin, SPEED, "application/json", **dict(url.params))
    assert len(rest.json()["time"]) == 1


async def test_what_cannot_be_had_is_told_with_what_can(twin: Twin) -> None:
    answer = await ask(twin, SPEED, "image/png")
    assert answer.status_code == 406 and answer.json()["type"] == "/problems/not-acceptable"
    assert "image/png" in answer.json()["detail"] and CSV in answer.json()["detail"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "a/json"), ("*/*", "a/json"), ("text/csv", "text/csv"), ("text/*", "text/csv"), ("TEXT/CSV", "text/csv"),
        ("a/json;q=0.1, text/csv;q=0.2", "text/csv"), ("*/*;q=0.1, text/csv", "text/csv"),
        ("text/csv;q=0, */*", "a/json"), ("a/json;q=0, */*", "text/csv"), ("a/json;q=x", None), ("b/*", None),
        ("*/*;q=0", None), (",", None),
    ],
)  # fmt: skip
def test_preferences(accept: str, chosen: str | None) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    if chosen is None:
        with pytest.raises(NotAcceptableError):
            preferred(request, ("a/json", "text/csv"))
    else:
        assert preferred(request, ("a/json", "text/csv")) == chosen
