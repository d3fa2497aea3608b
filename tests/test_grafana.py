"""docs/grafana: every query of the dashboard is answered by a service, with the columns and paths that it names.

Grafana itself is not here: how it draws them is not tested.
"""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml
from service_fixtures import API, document, process, write_plant

from iotsense.twin.access import Role
from iotsense.twin.key_store import KeyStore

FOLDER = Path(__file__).parents[1] / "docs" / "grafana"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
DATASOURCE = yaml.safe_load((FOLDER / "datasource.yaml").read_text())["datasources"][0]
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
PANELS = {each["title"]: each["targets"][0] for each in DASHBOARD["panels"]}
QUERIES = PANELS | {name: each["query"]["infinityQuery"] for name, each in VARIABLES.items() if each["type"] == "query"}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A plant with an anomaly and health, asked with the key of a viewer, as the data source says."""
    folder = tmp_path_factory.mktemp("grafana")
    keys, now = KeyStore(folder / "data"), datetime.now().astimezone()
    _, viewer = keys.create("grafana", sorted(Role.VIEWER.scopes), role=Role.VIEWER)
    _, gateway = keys.create("gateway", sorted(Role.ENGINEER.scopes), role=Role.ENGINEER)
    with process(folder / "data", "-c", str(write_plant(folder))) as running:
        times = [(now - timedelta(seconds=30 - i)).isoformat() for i in range(30)]
        readings = [document("conveyor", "speed", i, time) for i, time in enumerate(times)]
        readings += [document("conveyor", "motor_temperature", 99, times[0]), document("robot", "joints", [1, 2, 3])]
        sent = httpx.post(f"{running.url}{API}/telemetry", json=readings, headers={"X-API-Key": gateway})
        assert sent.status_code == 202
        bearer = DATASOURCE["secureJsonData"]["bearerToken"].replace("$IOTSENSE_API_KEY", viewer)
        with httpx.Client(base_url=running.url, headers={"Authorization": f"Bearer {bearer}"}) as client:
            while not client.get(f"{API}/twins/line_1").json()["health"]:
                pass
            yield client


def filled(http: httpx.Client, url: str, **chosen: str) -> str:
    """A URL as Grafana sends it."""
    now = datetime.now().astimezone()
    span = {"__from:date:iso": now - timedelta(hours=1), "__to:date:iso": now}
    texts = {name: quote(each.isoformat()) for name, each in span.items()}
    texts |= {f"{name}:percentencode": quote(each) for name, each in chosen.items()} | {"url": str(http.base_url)}
    return re.sub(r"\$\{([^}]+)\}", lambda found: texts[found[1]].rstrip("/"), url)


def at(document: Any, path: str) -> Any:
    """What a selector picks; paths of names are all that the dashboard uses."""
    for name in path.split(".") if path else ():
        document = document.get(name) if isinstance(document, dict) else None
    return document


def rows(http: httpx.Client, query: dict[str, Any], **chosen: str) -> list[list[Any]]:
    """The columns of a query, row by row."""
    headers = {each["key"]: each["value"] for each in query["url_options"].get("headers", [])}
    answer = http.request(query["url_options"]["method"], filled(http, query["url"], **chosen), headers=headers)
    assert answer.status_code == 200, answer.text
    if query["type"] == "csv":
        found: Any = list(csv.DictReader(io.StringIO(answer.text)))
        assert answer.headers["content-type"].startswith("text/csv")
    else:
        found = at(answer.json(), query["root_selector"])
    found = found if isinstance(found, list) else [found]
    return [[at(row, column["selector"]) for column in query["columns"]] for row in found]


def fits(value: Any, kind: str) -> bool:
    """Whether a column of this type can show it."""
    if value is None:
        return True
    if kind == "number":
        return isinstance(value, int | float) or bool(re.fullmatch(r"-?[\d.]+", str(value)))
    if kind == "timestamp":
        return datetime.fromisoformat(value).tzinfo is not None
    return isinstance(value, bool) if kind == "boolean" else not isinstance(value, dict | list)


@pytest.mark.parametrize("title", QUERIES)
def test_every_query_is_answered_with_the_columns_it_names(http: httpx.Client, title: str) -> None:
    query = QUERIES[title]
    chosen = {"twin": "line_1", "component": "line_1.conveyor", "sensor": "line_1.conveyor.c_speed"}
    found = rows(http, query, **chosen)
    assert found
    for column, values in zip(query["columns"], zip(*found, strict=True), strict=True):
        assert any(value is not None for value in values), f"nothing is at {column['selector']}"
        assert all(fits(value, column["type"]) for value in values), column["selector"]


def test_what_the_variables_offer_can_be_asked_for(http: httpx.Client) -> None:
    (twin,) = itertools.chain(*rows(http, QUERIES["twin"]))
    assert twin == "line_1"
    components = [*itertools.chain(*rows(http, QUERIES["component"], twin=twin))]
    sensors = [*itertools.chain(*rows(http, QUERIES["sensor"], twin=twin))]
    assert components == ["line_1.conveyor", "line_1.robot"]
    assert all(rows(http, PANELS["State of $component"], component=each) for each in components)
    assert len(sensors) == 4
    for each in (*sensors, "line_1.robot.joints.value[1]"):  # the last as docs/grafana.md says
        rows(http, PANELS["$sensor"], sensor=each)


def test_the_parts_fit_each_other() -> None:
    used = {json.dumps(each["datasource"]) for each in (*DASHBOARD["panels"], *QUERIES.values())}
    assert used == {json.dumps({"type": DATASOURCE["type"], "uid": DATASOURCE["uid"]})}
    assert DATASOURCE["jsonData"]["auth_method"] == "bearerToken"
    assert DATASOURCE["jsonData"]["allowedHosts"] == [VARIABLES["url"]["query"]]
    taken = [each["gridPos"] for each in DASHBOARD["panels"]]
    for a, b in itertools.combinations(taken, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    page = (FOLDER.parent / "grafana.md").read_text()
    assert all(f"grafana/{file.name}" in page for file in FOLDER.iterdir())
    provider = yaml.safe_load((FOLDER / "dashboards.yaml").read_text())["providers"][0]
    assert f"{provider['options']['path']}/dashboard.json" in page
