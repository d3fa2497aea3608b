"""The service's sources follow what is applied, while it runs."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest
import websockets
from mosquitto_fixtures import Mosquitto
from service_fixtures import API, PLANT, client, service, write_plant
from websockets.typing import Origin, Subprotocol

SOURCE = """
sensor_ingestion:
  protocols:
    - name: mqtt
      broker: {url}
      topics: [{{pattern: "plant/#"}}]
"""


async def until(http: httpx.AsyncClient, path: str, holds: Callable[[Any], Any]) -> Any:
    while True:
        answer = (await http.get(path)).json()
        if holds(answer):
            return answer
        await asyncio.sleep(0.02)


async def apply(http: httpx.AsyncClient, text: str) -> None:
    answer = await http.post(f"{API}/definitions/apply", json={"documents": {"plant.yaml": text}})
    assert answer.status_code == 200, answer.text


def states(answer: Any) -> dict[str, str]:
    return {source["name"]: source["state"] for source in answer["sources"]}


@pytest.mark.needs("mosquitto")
async def test_a_source_comes_and_goes_with_its_definition(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        assert states((await http.get(f"{API}/sources")).json()) == {"http": "running"}
        await apply(http, PLANT + SOURCE.format(url=mosquitto.url))
        await until(http, f"{API}/sources", lambda a: states(a).get("mqtt") == "running")
        first = running.sources["mqtt"]
        document = {"device_id": "conveyor", "measurements": [{"name": "speed", "value": 1.5}]}
        async with aiomqtt.Client("127.0.0.1", mosquitto.port) as publisher:
            await publisher.publish("plant/conveyor", json.dumps(document), qos=1)
        path = f"{API}/twins/line_1/state"
        await until(http, path, lambda a: a["components"][0]["state"] == {"speed": 1.5})
        await apply(http, PLANT.replace("threshold: 80", "threshold: 70") + SOURCE.format(url=mosquitto.url))
        assert running.sources["mqtt"] is first  # what did not change stays connected
        metrics = (await http.get("/metrics")).text
        assert 'iotsense_source_stored_total{source="mqtt"} 1' in metrics
        assert 'iotsense_source_up{source="mqtt",state="running"} 1' in metrics
        await apply(http, PLANT)
        assert states((await http.get(f"{API}/sources")).json()) == {"http": "running"}


async def test_a_source_that_cannot_connect_is_named_and_the_rest_works(tmp_path: Path) -> None:
    file = write_plant(tmp_path, PLANT + SOURCE.format(url="mqtt://127.0.0.1:9"))
    async with service(tmp_path / "data", file) as running, client(running) as http:
        health = await until(http, "/health", lambda a: a["status"] == "degraded")
        assert any(reason.startswith("source mqtt is in backoff") for reason in health["reasons"])
        assert (await http.get("/readyz")).status_code == 200


async def test_sockets_of_foreign_pages_are_kept_out(tmp_path: Path) -> None:
    async with service(tmp_path / "data") as running:
        url = running.url.replace("http", "ws") + "/graphql"
        protocols = [Subprotocol("graphql-transport-ws")]
        async with websockets.connect(url, subprotocols=protocols, origin=Origin(running.url)) as socket:
            await socket.send('{"type": "connection_init"}')
            assert "connection_ack" in str(await socket.recv())
        with pytest.raises(websockets.InvalidStatus):
            async with websockets.connect(url, subprotocols=protocols, origin=Origin("http://evil.example")):
                pass
