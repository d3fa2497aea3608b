"""Commands through OPC UA (node-opcua), MQTT (mosquitto and its clients) and BACnet (@bacnet-js), from a process."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from bacnet_fixtures import BacnetServer
from mosquitto_fixtures import Mosquitto
from opcua_fixtures import NodeOpcUa
from publishing_fixtures import Subscriber
from service_fixtures import API, Process, process, write_plant

PLANT = """
digital_twins:
  - name: line_1
    components:
      - id: pump
        sensors:
          - {{id: state, labels: [off, on], writable: {{deadline: 60s}}}}
          - {{id: flow, unit: l/min, writable: {{deadline: 60s, interlock: "lamp == true"}}}}
          - {{id: lamp, data_type: boolean, writable: {{deadline: 60s}}}}
          - {{id: locked, writable: {{deadline: 5s}}}}
sensor_ingestion:
  protocols:
    - {source}
"""


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@contextmanager
def running(directory: Path, source: dict[str, Any]) -> Iterator[Process]:
    text = PLANT.format(source=json.dumps(source))
    with process(directory / "data", "-c", str(write_plant(directory, text))) as service:
        assert service.url
        yield service


def get(service: Process, name: str) -> Any:
    return httpx.get(f"{service.url}{API}/signals/pump.{name}/desired").json()


def put(service: Process, name: str, value: Any) -> Any:
    answer = httpx.put(f"{service.url}{API}/signals/pump.{name}/desired", json={"value": value})
    assert answer.status_code == 202, answer.text
    return answer.json()


def done(service: Process, name: str, value: Any) -> Any:
    url = f"{service.url}{API}/commands/{put(service, name, value)['id']}"
    until(lambda: httpx.get(url).json()["ended"])
    return httpx.get(url).json()


# OPC UA

VARIABLES = {
    "state": {"type": "Int32", "value": 0},
    "flow": {"type": "Double", "value": 1.2},
    "lamp": {"type": "Boolean", "value": True},
    "locked": {"type": "Double", "value": 1, "readonly": True},
}


@pytest.fixture
def opcua(tmp_path: Path) -> Iterator[NodeOpcUa]:
    server = NodeOpcUa(tmp_path / "server", variables=VARIABLES)
    server.start()
    yield server
    server.kill()


def opcua_source(server: NodeOpcUa) -> dict[str, Any]:
    nodes = [{"id": f"nsu=urn:plant;s={name}", "name": f"pump.{name}"} for name in VARIABLES]
    nodes[1]["unit"] = "m3/h"
    return {"name": "opcua", "id": "plc", "endpoint": server.url, "writable": True, "nodes": nodes,
            "publishing_interval_ms": 50}  # fmt: skip


@pytest.mark.needs("node")
def test_opcua(opcua: NodeOpcUa, tmp_path: Path) -> None:
    with running(tmp_path, opcua_source(opcua)) as service:
        until(lambda: get(service, "lamp")["value"] is True)
        flow = done(service, "flow", 200)
        assert (flow["state"], flow["read_back"]) == ("confirmed", pytest.approx(200)), flow
        assert opcua.tell(get="flow")["value"] == pytest.approx(12)
        assert done(service, "state", "on")["read_back"] == "on"
        assert opcua.tell(get="state")["value"] == 1
        assert done(service, "lamp", False)["state"] == "confirmed"
        assert opcua.tell(get="lamp")["value"] is False
        locked = done(service, "locked", 2)
        assert locked["state"] == "failed" and "lets nobody write" in locked["why"]


# MQTT


class Lamp:
    """A device by mosquitto's own clients: what comes on `pump/NAME/set` it holds, and shows on `pump/NAME`."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker
        self._tool = Path(servers.program("mosquitto-clients")).with_name("mosquitto_pub")
        self.subscriber = Subscriber(broker.port, topic="pump/+/set")
        self.deaf = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def show(self, name: str, payload: str) -> None:
        command = [self._tool, "-p", str(self._broker.port), "-t", f"pump/{name}", "-m", payload, "-q", "1", "-r"]
        subprocess.run(command, check=True)

    def _work(self) -> None:
        done = 0
        while not self._ended.wait(0.01):
            for topic, payload, _ in self.subscriber.heard[done:]:
                done += 1
                if not self.deaf:
                    self.show(topic.split("/")[1], payload)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.subscriber.close()


@pytest.fixture
def lamp(mosquitto: Mosquitto) -> Iterator[Lamp]:
    device = Lamp(mosquitto)
    device.show("lamp", "true")
    yield device
    device.close()


@pytest.mark.needs("mosquitto", "mosquitto-clients")
def test_mqtt(mosquitto: Mosquitto, lamp: Lamp, tmp_path: Path) -> None:
    commands = [
        {"device": "pump", "name": name, "topic": f"pump/{name}/set", "state": f"pump/{name}"}
        for name in ("lamp", "flow", "state")
    ]
    commands[1]["payload_template"] = '{"value": ${value}, "at": "${time}"}'
    topics = [{"pattern": "pump/+", "schema": {"device_id": "pump", "name": "${topic.split('/')[1]}", "value": "$"}}]
    source = {"name": "mqtt", "id": "plc", "broker": mosquitto.url, "writable": True, "topics": topics,
              "commands": commands}  # fmt: skip
    with running(tmp_path, source) as service:
        until(lambda: get(service, "lamp")["value"] is True)
        flow = done(service, "flow", 200)
        assert (flow["state"], flow["read_back"]) == ("confirmed", 200), flow
        assert json.loads(lamp.subscriber.heard[-1][1])["value"] == 200
        assert done(service, "lamp", False)["state"] == "confirmed"
        assert lamp.subscriber.heard[-1][:2] == ("pump/lamp/set", "false")
        until(lambda: get(service, "lamp")["value"] is False)
        assert done(service, "state", "on")["read_back"] == "on"
        # Killed before the device has shown it: the next run looks, and does not send it again.
        lamp.deaf = True
        id = put(service, "lamp", True)["id"]
        until(lambda: lamp.subscriber.heard[-1][:2] == ("pump/lamp/set", "true"))
        service.kill()
    lamp.show("lamp", "true")
    sent = len(lamp.subscriber.heard)
    with running(tmp_path, source) as service:
        until(lambda: httpx.get(f"{service.url}{API}/commands/{id}").json()["state"] == "confirmed")
        assert len(lamp.subscriber.heard) == sent


# BACnet


@pytest.mark.needs("node")
def test_bacnet(tmp_path: Path) -> None:
    server = BacnetServer()
    server.start()
    server.add(
        {
            "1,1": {"name": "Flow", "value": 3.5, "default": 0},
            "4,1": {"name": "Lamp", "value": 1, "tag": 9, "default": 0},
            "14,1": {"name": "State", "value": 1, "tag": 2, "states": ["off", "on"], "default": 1},
        }
    )
    objects = [
        {"object": "analog-output,1", "name": "flow", "unit": "m3/h"},
        {"object": "binary-output,1", "name": "lamp"},
        {"object": "multi-state-output,1", "name": "state"},
    ]
    device = {"device_id": server.device, "address": server.address, "device": "pump", "objects": objects}
    source = {"name": "bacnet", "id": "plc", "address": "127.0.0.1/8", "port": servers.free_port(), "writable": True,
              "interval": "50ms", "devices": [device]}  # fmt: skip
    try:
        with running(tmp_path, source) as service:
            until(lambda: get(service, "lamp")["value"] is True)
            flow = done(service, "flow", 200)
            assert (flow["state"], flow["read_back"]) == ("confirmed", pytest.approx(200)), flow
            assert server.tell("get", "1,1")["value"] == pytest.approx(12)
            assert done(service, "lamp", False)["state"] == "confirmed"
            assert done(service, "state", "on")["read_back"] == "on"
            assert server.tell("get", "14,1")["value"] == 2
    finally:
        server.kill()
