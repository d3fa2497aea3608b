"""What reporting did, over REST, GraphQL and the command line; the example of docs/reporting.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from service_fixtures import API, process, run_cli

from iotsense.twin.define_project import Project
from iotsense.twin.define_reporting import Reporting

PAGE = (Path(__file__).parents[1] / "docs" / "reporting.md").read_text("utf-8")
DEFINITION = """
digital_twins:
  - name: line_1
    components:
      - id: pump
        reporting: { strategy: deadband, deadband: 1 }
        sensors: [{ id: speed, unit: m/s }]
anomaly_detection:
  rules:
    - { name: fast, type: threshold, sensor: speed, conditions: [{ operator: ">", threshold: 10, hysteresis: 2 }] }
"""


def test_the_page() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert Project.model_validate(yaml.safe_load(text)).digital_twins
    assert [name for name in Reporting.model_fields if f"`{name}" not in PAGE] == []
    for strategy in ("every", "on_change", "deadband", "swinging_door", "period"):
        assert f"| `{strategy}` |" in PAGE


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("reporting")
    (folder / "plant.yaml").write_text(DEFINITION)
    with process(folder / "data", "-c", str(folder / "plant.yaml")) as service:
        for number, value in enumerate([1.0, 1.5, 2.5, 9.0, 9.5, 8.5, 11.0, 9.0, 8.9, 8.1, 7.5, 7.4]):
            document = {
                "device_id": "pump",
                "timestamp": 1_700_000_000 + number,
                "measurements": [{"name": "speed", "value": value}],
            }
            answer = httpx.post(f"{service.url}{API}/telemetry", json=document)
            assert answer.status_code == 202, answer.text
        yield service.url


def test_what_was_stored(url: str) -> None:
    """8 is where `fast` clears: all above it is stored, and the first below."""
    end = "2023-11-15T00:00:00Z"
    span = {"from": "2023-11-14T00:00:00Z", "to": end}
    history = httpx.get(f"{url}{API}/signals/line_1.pump.speed/history", params=span).json()
    assert history["value"] == [1.0, 2.5, 9.0, 9.5, 8.5, 11.0, 9.0, 8.9, 8.1, 7.5]


def test_rest_graphql_and_command_line(url: str, tmp_path: Path) -> None:
    expected: dict[str, Any] = {
        "signal": "line_1.pump.speed",
        "source": "http",
        "policy": "deadband 1 (as line_1.pump says)",
        "received": 12,
        "stored": 10,
        "ratio": 1.2,
    }
    (report,) = httpx.get(f"{url}{API}/reporting").json()["signals"]
    assert report["worst_error"] == 0.5
    assert report["mean_error"] == pytest.approx(0.3)
    assert {name: report[name] for name in expected} == expected
    assert httpx.get(f"{url}{API}/reporting", params={"source": "mqtt"}).json()["signals"] == []
    query = "{ reporting { signal source policy received stored ratio worstError meanError } }"
    (found,) = httpx.post(f"{url}/graphql", json={"query": query}).json()["data"]["reporting"]
    assert (found["signal"], found["ratio"], found["worstError"]) == ("line_1.pump.speed", 1.2, 0.5)
    shown = run_cli("sources", "--url", url, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    words = r"line_1\.pump\.speed +http +deadband 1 \(as line_1\.pump says\) +12 +10 +1\.2 +0\.5 +0\.3"
    assert re.search(words, shown.stdout), shown.stdout
    sources = httpx.get(f"{url}{API}/sources").json()["sources"]
    counted = [(each["read"], each["stored"], each["suppressed"]) for each in sources if each["name"] == "http"]
    assert counted == [(12, 10, 2)]
