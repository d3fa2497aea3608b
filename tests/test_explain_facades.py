"""Explanations over REST, GraphQL and the command line of a running service, with a real broker's message."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import API, process, run_cli

DEFINITION = """
digital_twins:
  - name: line_1
    components:
      - id: pump
        sensors: [{ id: speed, unit: m/s }]
sensor_ingestion:
  protocols:
    - name: mqtt
      broker: mqtt://127.0.0.1:1
      topics:
        - { pattern: "m/+", schema: { device_id: "${topic.split('/')[1]}", name: speed, value: "$.v", unit: km/h } }
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("explain")
    (folder / "plant.yaml").write_text(DEFINITION)
    with process(folder / "data", "-c", str(folder / "plant.yaml")) as service:
        yield service.url


@pytest.fixture
def sending(url: str) -> Iterator[None]:
    """Readings of the pump, over and over."""
    end = threading.Event()

    def send() -> None:
        document = {"device_id": "pump", "measurements": [{"name": "speed", "value": 36, "unit": "km/h"}]}
        while not end.wait(0.05):
            httpx.post(f"{url}{API}/telemetry", json=document)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    end.set()
    thread.join()


def explain(url: str, **question: Any) -> Any:
    return httpx.post(f"{url}{API}/explain", json=question, timeout=60).json()


@pytest.mark.usefixtures("sending")
def test_the_next_message_over_every_facade(url: str, tmp_path: Path) -> None:
    found = explain(url, point="pump.speed", wait_s=30)
    (reading,) = found["readings"]
    assert (found["came"], reading["signal"]) == (True, "line_1.pump.speed")
    named = {step["step"]: step for step in reading["steps"]}
    assert named["convert"]["values"] == {"value": 10.0, "unit": "m/s"}
    assert named["store"]["values"]["entry"] > 0
    query = (
        '{ explain(point: "pump.speed", waitS: 30) { came signals readings { signal steps { step said values } } } }'
    )
    answer = httpx.post(f"{url}/graphql", json={"query": query}, timeout=60).json()
    told = answer["data"]["explain"]["readings"][0]["steps"]
    assert [step["step"] for step in told] == [step["step"] for step in reading["steps"]]
    shown = run_cli("explain", "pump.speed", "--wait", "30s", "--url", url, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "  convert   36 x 0.277778 + 0 = 10 m/s\n" in shown.stdout
    assert "            a sensor of line_1.pump: speed -> line_1.pump.speed\n" in shown.stdout


def test_a_payload_from_a_file(url: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_text('{"v": 72}')
    given = ("explain", "speed", "--payload", "body", "--topic", "m/pump", "--url", url)
    shown = run_cli(*given, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "source    mqtt (mqtt mqtt://127.0.0.1:1) is " in shown.stdout
    assert "72 x 0.277778 + 0 = 20 m/s" in shown.stdout
    assert "nothing: this is a dry run" in shown.stdout
    found = json.loads(run_cli(*given, "--json", cwd=tmp_path).stdout)
    assert (found["dry_run"], found["readings"][0]["signal"]) == (True, "line_1.pump.speed")
    without_service = run_cli(*given[:-2], "--data", str(tmp_path / "new"), cwd=tmp_path)
    assert without_service.returncode != 0
    assert "Traceback" not in without_service.stderr


def test_nothing_comes(url: str, tmp_path: Path) -> None:
    began = time.monotonic()
    found = explain(url, point="pump", wait_s=0.2)
    assert not found["came"]
    assert time.monotonic() - began < 10
    assert found["readings"][0]["signal"] == "line_1.pump.speed"


@pytest.mark.parametrize(
    ("question", "status", "words"),
    [
        ({"point": "pmp"}, 404, "nothing is called 'pmp'"),
        ({"point": "pump", "wait_s": -1}, 400, "wait_s is from 0 to 300 seconds"),
        ({"point": "pump", "topic": "a"}, 400, "belong to a payload"),
        ({"point": "pump", "payload": "1", "payload_base64": "MQ=="}, 400, "give the payload once"),
        ({"point": "pump", "payload_base64": "?"}, 400, "not base64"),
        ({}, 400, "missing required field"),
    ],
)
def test_wrong_questions_say_why(url: str, question: dict[str, Any], status: int, words: str) -> None:
    answer = httpx.post(f"{url}{API}/explain", json=question)
    assert answer.status_code == status
    assert words in answer.text


def test_wrong_options_say_why(url: str, tmp_path: Path) -> None:
    told = run_cli("explain", "pump", "--topic", "a", "--url", url, cwd=tmp_path)
    assert "say of a --payload how it came" in told.stderr
