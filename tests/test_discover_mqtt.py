"""Looking around at a real broker, and among the edge nodes of Cirrus Link: what is proposed binds what then comes."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from adapter_contract import until
from mosquitto_fixtures import Mosquitto
from node_fixtures import node_program

from iotsense.ingest.found import Found, Look
from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.look import look_at
from iotsense.ingest.mqtt import MqttAdapter
from iotsense.ingest.mqtt_broker import mqtt_brokers
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.proposal import propose, without_comments
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project
from iotsense.twin.errors import InvalidValueError, SourceError
from iotsense.twin.model import Origin
from iotsense.twin.plan import plan
from iotsense.twin.twin import StoreOptions, Twin

pytestmark = [pytest.mark.needs("mosquitto")]

MESSAGES: dict[str, Any] = {
    "acme/filler/speed": 1500.5,
    "acme/filler/state": "running",
    "acme/filler/tank": {"level": 0.5, "full": False, "ts": 1_700_000_000_000},
    "acme/filler/temperature": {"value": 72.5, "unit": "celsius"},
    "/lab/scale/weights": [1, 2, 3],
    "hall/1": {"device_id": "press_1", "measurements": [{"name": "force", "value": 3, "unit": "kN"}]},
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.stop()


async def publish(broker: Mosquitto, messages: dict[str, Any], retain: bool = False) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        for topic, content in messages.items():
            payload = content if isinstance(content, bytes) else json.dumps(content)
            await client.publish(topic, payload, qos=1, retain=retain)


async def seen(broker: Mosquitto, protocol: str = "mqtt", listen: float = 0.4, **settings: Any) -> Found:
    return await look_at(protocol, broker.url, Look(listen=listen), settings)


async def stored(broker: Mosquitto, found: Found, tmp_path: Path, speak: Any, until_: Any) -> None:
    """Applies what is proposed, has the devices speak again, and holds that nothing is unknown."""
    document = without_comments(propose(found, Look()).document)
    document["sensor_ingestion"]["unbound"] = "dead_letter"
    project = Project.model_validate(document)
    with Twin.open(tmp_path / "data", StoreOptions(projection_interval=0.05)) as twin:
        apply_plan(plan(project, twin.graph, twin.state), twin)
        async with Pipeline(twin, IngestConfig.of(project)) as pipeline:
            (one,) = mqtt_brokers(project)
            adapter = MqttAdapter(one, Backoff(0.05, 0.2))
            task = asyncio.create_task(adapter.run(pipeline.deliver))
            await until(lambda: adapter.status.connects)
            async with speak():
                await until(lambda: until_(twin))
            task.cancel()
        assert [letter.reason for letter in twin.dead_letters()] == []
        assert list(twin.graph.nodes(origin=Origin.DISCOVERED)) == []


def value(twin: Twin, signal: str) -> float | None:
    reading = twin.state.read(twin.graph.find_signal(signal).index)
    return None if reading is None else reading.value


async def test_what_is_proposed_binds_what_comes(broker: Mosquitto, tmp_path: Path) -> None:
    await publish(broker, MESSAGES, retain=True)
    found = await seen(broker)
    points = {path: (point.data_type, point.unit, point.elements) for path, point in found.all_points()}
    assert points == {
        "acme/filler/speed": ("number", None, None),
        "acme/filler/state": ("text", None, None),
        "acme/filler/tank/level": ("number", None, None),
        "acme/filler/tank/full": ("boolean", None, None),
        "acme/filler/temperature": ("number", "celsius", None),
        "lab/scale/weights": ("number", None, 3),
        "press_1/force": ("number", "kN", None),
    }
    assert found.notes == []
    topics = propose(found, Look()).document["sensor_ingestion"]["protocols"][0]["topics"]
    assert sorted(topic["pattern"] for topic in topics) == ["/lab/#", "acme/#", "hall/#"]

    class Speaking:
        async def __aenter__(self) -> None:
            await publish(broker, MESSAGES)

        async def __aexit__(self, *_: object) -> None: ...

    await stored(broker, found, tmp_path, Speaking, lambda twin: value(twin, "press_1.force") == 3)


async def test_only_what_was_asked_for(broker: Mosquitto) -> None:
    await publish(broker, MESSAGES, retain=True)
    found = await seen(broker, topics=("acme/+/speed",))
    ((path, point),) = found.all_points()
    assert path == "acme/filler/speed"
    assert point.item == {"topics": [{"pattern": "acme/+/speed", "namespace": "cell/signal"}]}


async def test_how_often_and_what_cannot_be_read(broker: Mosquitto) -> None:
    async def speak() -> None:
        await asyncio.sleep(0.3)
        rubbish = {f"raw/{i}/x": b"\xff\x00" for i in range(7)} | {"single": 1, "spBv1.0/plant/NBIRTH/edge": b""}
        await publish(broker, rubbish)
        for number in range(4):
            await publish(broker, {"acme/speed": number})
            await asyncio.sleep(0.1)

    speaking = asyncio.create_task(speak())
    found = await seen(broker, listen=1.5)
    await speaking
    ((_, point),) = found.all_points()
    assert point.interval is not None and 0.09 < point.interval < 0.5
    notes = "\n".join(found.notes)
    for words in ("raw/0/x: the payload is not JSON", "3 more topics could not be read", "1 topics are Sparkplug's"):
        assert words in notes


async def test_a_silent_broker(broker: Mosquitto) -> None:
    with pytest.raises(SourceError, match="nothing was published on #"):
        await seen(broker, listen=0.2)
    with pytest.raises(SourceError, match="no edge node spoke"):
        await seen(broker, "sparkplug", 0.2)


async def test_wrong_inputs(broker: Mosquitto, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=f"127.0.0.1:{unused_tcp_port}: .*refused"):
        await look_at("mqtt", f"mqtt://127.0.0.1:{unused_tcp_port}", Look(listen=0.1), {})
    for settings, words in (
        ({"topics": ("a/#/b",)}, "'#' stands alone"),
        ({"namespace": "plant/signal"}, "expected `uns` or levels"),
        ({"version": "4"}, "version: "),
        ({"nonsense": 1}, "mqtt has no setting nonsense"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            await seen(broker, **settings)
    with pytest.raises(InvalidValueError, match="broker: "):
        await look_at("mqtt", "http://127.0.0.1", Look(listen=0.1), {})
    with pytest.raises(InvalidValueError, match="without '/'"):
        await seen(broker, "sparkplug", group="a/b")
    broker.stop()
    broker.password("iotsense", "right")
    broker.start()
    monkeypatch.setitem(os.environ, "LOOK_PASSWORD", "wrong")
    with pytest.raises(SourceError, match=r"(?i)not authori[sz]ed|bad user"):
        await seen(broker, username="iotsense", password="${LOOK_PASSWORD}")
    monkeypatch.setitem(os.environ, "LOOK_PASSWORD", "right")
    with pytest.raises(SourceError, match="nothing was published"):
        await seen(broker, username="iotsense", password="${LOOK_PASSWORD}", listen=0.1)


@pytest.mark.needs("node")
async def test_the_births_of_edge_nodes_are_a_twin(broker: Mosquitto, tmp_path: Path) -> None:
    unit = {"engUnit": {"type": "String", "value": "rpm"}, "engHigh": {"type": "Double", "value": 3000}}
    unit["engLow"] = {"type": "Double", "value": 0}
    motor = [
        {"name": "speed", "type": "Double", "value": 1500.5, "alias": 10, "properties": unit},
        {"name": "Status/state", "type": "String", "value": "running"},
    ]
    birth = {"node": [{"name": "uptime", "type": "UInt64", "value": 5}], "devices": {"motor": motor}}

    def speak() -> Any:
        return node_program("sparkplug_edge.js", MQTT_PORT=str(broker.port), BIRTH=birth)

    async with speak() as node:
        await until(lambda: {"born": True} in node.heard)
        looking = asyncio.create_task(seen(broker, "sparkplug", 1.5))
        await asyncio.sleep(0.5)
        node.tell(data=[{"name": "uptime", "type": "UInt64", "value": 6}])
        found = await looking
    points = dict(found.all_points())
    assert list(points) == ["plant/edge/uptime", "plant/edge/motor/speed", "plant/edge/motor/Status/state"]
    speed = points["plant/edge/motor/speed"]
    assert (speed.unit, speed.low, speed.high, speed.writable) == ("rpm", 0, 3000, True)
    assert found.notes == []
    await stored(broker, found, tmp_path, speak, lambda twin: value(twin, "motor.speed") == 1500.5)
