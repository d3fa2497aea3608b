"""Commands to a real Modbus device (modbus-serial), from a service that is a process of its own and may be killed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from modbus_fixtures import ModbusServer
from service_fixtures import API, Process, process, write_plant

pytestmark = [pytest.mark.needs("node")]

PLANT = """
digital_twins:
  - name: line_1
    components:
      - id: pump
        sensors:
          - {{id: state, labels: [off, on], data_type: text, writable: true}}
          - {{id: flow, unit: l/min, low: 0, high: 500, writable: {{interlock: "state == 'on'", deadline: 60s}}}}
          - {{id: valve, data_type: boolean, writable: {{deadline: 60s}}}}
          - {{id: level, unit: m, writable: {{deadline: 2s}}}}
sensor_ingestion:
  protocols:
    - name: modbus
      id: plc
      host: 127.0.0.1
      port: {port}
      writable: {writable}
      polling_interval_ms: 50
      timeout: 500ms
      device: pump
      registers:
        - {{name: state, address: 1, type: uint16}}
        - {{name: flow, address: 2, type: uint16, scale: 0.1, unit: m3/h}}
        - {{name: valve, address: 3, type: bool}}
        - {{name: level, address: 5, type: float32, table: input, unit: m}}
"""


@pytest.fixture
def device() -> Iterator[ModbusServer]:
    server = ModbusServer()
    server.start()
    server.put(1, 1)
    yield server
    server.kill()


@contextmanager
def running(directory: Path, device: ModbusServer, writable: bool = True) -> Iterator[Process]:
    text = PLANT.format(port=device.port, writable=str(writable).lower())
    with process(directory / "data", "-c", str(write_plant(directory, text))) as service:
        until(lambda: shown(service, "state") == "on")
        yield service


def until(condition: Callable[[], Any]) -> None:
    while not condition():
        time.sleep(0.02)


def shown(service: Process, name: str) -> Any:
    answer = httpx.get(f"{service.url}{API}/signals/pump.{name}/desired")
    return answer.json().get("value") if answer.is_success else None


def put(service: Process, name: str, value: Any, **more: Any) -> httpx.Response:
    return httpx.put(f"{service.url}{API}/signals/pump.{name}/desired", json={"value": value, **more})


def done(service: Process, name: str, value: Any, **more: Any) -> Any:
    answer = put(service, name, value, **more)
    assert answer.status_code == 202, answer.text
    return ended(service, answer.json()["id"])


def ended(service: Process, id: str) -> Any:
    url = f"{service.url}{API}/commands/{id}"
    until(lambda: httpx.get(url).json()["ended"])
    return httpx.get(url).json()


def test_values_reach_the_registers_as_they_mean_it(tmp_path: Path, device: ModbusServer) -> None:
    with running(tmp_path, device) as service:
        found = done(service, "flow", 200)  # l/min are 12 m3/h, which the register counts in tenths
        assert (found["state"], found["address"]) == ("confirmed", "pump.plc/1/holding/2"), found
        assert found["read_back"] == pytest.approx(200)
        assert device.get(2) == [120]
        assert done(service, "valve", True)["state"] == "confirmed"
        assert device.get(3, table="coil") == [1]
        assert done(service, "state", "off")["read_back"] == "off"
        until(lambda: shown(service, "state") == "off")
        refused = put(service, "flow", 100)
        assert refused.status_code == 409 and "state is 'off'" in refused.json()["detail"]
        assert put(service, "level", 1).status_code == 409  # an input register
        device.tell("refuse", [{"table": "coil", "first": 3, "last": 3, "code": 4}])
        failed = done(service, "valve", False)
        assert failed["state"] == "failed" and "exception 4" in failed["why"]


def test_a_read_only_source_says_what_to_set(tmp_path: Path, device: ModbusServer) -> None:
    with running(tmp_path, device, writable=False) as service:
        answer = put(service, "valve", True)
        assert answer.status_code == 409
        assert "plc is read-only: set `writable: true` there" in answer.json()["detail"]


def test_killed_while_it_is_sent_it_is_read_back_and_not_sent_again(tmp_path: Path, device: ModbusServer) -> None:
    with running(tmp_path, device) as service:
        device.tell("delay", 200)
        id = put(service, "valve", True).json()["id"]
        until(lambda: device.get(3, table="coil") == [1])
        waiting = put(service, "valve", False).json()["id"]
        assert httpx.get(f"{service.url}{API}/commands/{id}").json()["state"] == "sent"
        service.kill()
    device.tell("delay", 0)
    with running(tmp_path, device) as service:
        assert ended(service, id)["state"] == "confirmed"
        assert ended(service, waiting)["state"] == "confirmed"
        assert device.get(3, table="coil") == [0]


def test_a_device_that_is_away_gets_it_when_it_is_back(tmp_path: Path, device: ModbusServer) -> None:
    with running(tmp_path, device) as service:
        device.kill()
        until(lambda: sources(service)["plc"]["state"] == "backoff")
        late = done(service, "valve", True, deadline="300ms")
        assert late["state"] == "expired" and "plc is not connected" in late["why"]
        id = put(service, "valve", True).json()["id"]
        service.kill()
    device.start()
    device.put(1, 1)
    with running(tmp_path, device) as service:
        assert ended(service, id)["state"] == "confirmed"
        assert device.get(3, table="coil") == [1]


def sources(service: Process) -> Any:
    found = httpx.get(f"{service.url}{API}/sources").json()["sources"]
    return {source["name"]: source for source in found}
