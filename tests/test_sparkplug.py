"""Sparkplug B through a real broker, with the edge node of Cirrus Link's npm package sparkplug-client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from adapter_contract import Store, running, until
from mosquitto_fixtures import Mosquitto
from node_fixtures import NodeProgram, node_program

from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.mqtt import MqttAdapter
from iotsense.ingest.mqtt_broker import mqtt_brokers
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.points import Point
from iotsense.ingest.protobuf_wire import put_bytes, put_number
from iotsense.ingest.sample import Sample
from iotsense.ingest.sparkplug_host import SparkplugHost
from iotsense.ingest.sparkplug_topic import SparkplugTopic
from iotsense.ingest.sparkplug_values import STALE
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_project import Project
from iotsense.twin.errors import InvalidValueError, SourceError
from iotsense.twin.plan import plan
from iotsense.twin.twin import StoreOptions, Twin

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.needs("node")]

UNIT = {"engUnit": {"type": "String", "value": "rpm"}, "engHigh": {"type": "Double", "value": 3000}}
BIRTH: dict[str, Any] = {
    "node": [
        {"name": "Node Control/Rebirth", "type": "Boolean", "value": False},
        {"name": "uptime", "type": "UInt64", "value": 5, "alias": 1},
    ],
    "devices": {
        "motor": [
            {"name": "speed", "type": "Double", "value": 1500.5, "alias": 10, "properties": UNIT},
            {"name": "state", "type": "String", "value": "running", "alias": 11},
            {"name": "target", "type": "Int32", "value": 0},
        ],
        "compressed": [{"name": "level", "type": "Float", "value": 0.5}],
    },
}


@pytest.fixture
def broker(tmp_path: Path):
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.stop()


def project(broker: Mosquitto, **fields: Any) -> Project:
    sparkplug = fields.pop("sparkplug", {"host_id": "iotsense", "rebirth_interval": "100ms"})
    protocol = {"name": "mqtt", "broker": broker.url, "client_id": "host", "sparkplug": sparkplug, **fields}
    return Project.model_validate({"sensor_ingestion": {"protocols": [protocol]}})


def adapter_at(broker: Mosquitto, **fields: Any) -> MqttAdapter:
    (one,) = mqtt_brokers(project(broker, **fields))
    return MqttAdapter(one, Backoff(0.05, 0.2))


def samples(store: Store) -> list[Sample]:
    return [sample for message in store.messages for sample in message.samples]


def last(store: Store, device: str, name: str) -> Sample | None:
    found = [sample for sample in samples(store) if (sample.device, sample.address) == (device, name)]
    return found[-1] if found else None


@asynccontextmanager
async def edge(broker: Mosquitto, **birth: Any) -> AsyncIterator[NodeProgram]:
    async with node_program("sparkplug_edge.js", MQTT_PORT=broker.port, BIRTH=birth or BIRTH) as node:
        await until(lambda: {"born": True} in node.heard)
        yield node


async def test_births_data_and_deaths(broker: Mosquitto) -> None:
    store = Store()
    async with running(adapter_at(broker), store), edge(broker) as node:
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        told = {(sample.device, sample.address): (sample.value, sample.unit) for sample in samples(store)}
        assert told == {
            ("plant/edge", "uptime"): (5, None),
            ("plant/edge/motor", "speed"): (1500.5, "rpm"),
            ("plant/edge/motor", "state"): ("running", None),
            ("plant/edge/motor", "target"): (0, None),
            ("plant/edge/compressed", "level"): (0.5, None),
        }
        node.tell(device="motor", data=[{"alias": 10, "type": "Double", "value": 1600}])
        node.tell(data=[{"name": "uptime", "type": "UInt64", "value": 6}])
        await until(lambda: last(store, "plant/edge", "uptime").value == 6)
        assert (last(store, "plant/edge/motor", "speed").value, samples(store)[-2].unit) == (1600, "rpm")
        node.tell(death="motor")
        await until(lambda: last(store, "plant/edge/motor", "speed").quality == STALE)
        stale = last(store, "plant/edge/motor", "speed")
        assert (stale.value, last(store, "plant/edge/compressed", "level").quality) == (1600, 192)
        node.tell(birth="motor")
        await until(lambda: last(store, "plant/edge/motor", "speed").quality == 192)
        assert last(store, "plant/edge/motor", "speed").time > stale.time
        node.kill()
        await until(lambda: last(store, "plant/edge", "uptime").quality == STALE)
        assert {last(store, *key).quality for key in told} == {STALE}
        assert not [message for message in store.messages if message.payload is not None]


async def test_a_gap_asks_for_a_rebirth_and_loses_nothing(broker: Mosquitto) -> None:
    store = Store()
    async with running(adapter_at(broker), store), edge(broker) as node:
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        assert {"rebirth": True} not in node.heard
        node.tell(skip=3)
        node.tell(data=[{"name": "uptime", "type": "UInt64", "value": 7}])
        await until(lambda: {"rebirth": True} in node.heard)
        await until(lambda: len([s for s in samples(store) if s.address == "level"]) == 2)
        assert 7 in [sample.value for sample in samples(store) if sample.address == "uptime"]


async def test_data_that_comes_before_its_birth_waits_for_it(broker: Mosquitto) -> None:
    store = Store()
    async with edge(broker) as node:
        async with running(adapter_at(broker), store):
            node.tell(device="motor", data=[{"alias": 10, "type": "Double", "value": 1700}])
            await until(lambda: {"rebirth": True} in node.heard)
            await until(lambda: last(store, "plant/edge/motor", "target"))
        assert [s.value for s in samples(store) if s.address == "speed"] == [1700, 1500.5]
        assert not [message for message in store.messages if message.payload is not None]


def test_an_edge_node_that_does_not_answer_is_read_by_names() -> None:
    clock = [0.0]
    host = SparkplugHost(5.0, lambda: clock[0])
    topic = SparkplugTopic("plant", "DDATA", "edge", "motor")

    def data(value: int, alias: bool = False) -> bytes:
        name = put_number(2, 7) if alias else put_bytes(1, b"speed")
        return put_bytes(2, name + put_number(4, 3) + put_number(10, value)) + put_number(3, value)

    assert host.take(topic, data(1), 10**18, may_wait=True) == []
    assert [told for told, _ in host.rebirths()] == ["spBv1.0/plant/NCMD/edge"]
    clock[0] = 4.0
    assert host.take(topic, data(2), 10**18, may_wait=True) == []
    clock[0] = 6.0
    heard = host.take(topic, data(3), 10**18, may_wait=True)
    assert [sample.value for each in heard for sample in each.samples] == [1, 2, 3]
    (unread,) = host.take(topic, data(4, alias=True), 10**18, may_wait=True)
    assert unread.unread and not unread.samples
    (dead,) = host.take(topic._replace(kind="NDEATH", device=None), b"", 2 * 10**18)
    assert [(sample.value, sample.quality) for sample in dead.samples] == [(3, STALE)]
    assert host.take(topic._replace(kind="NDEATH", device=None), b"", 2 * 10**18)[0].samples == []


async def test_after_a_break_of_ours_edge_nodes_are_asked_anew(broker: Mosquitto) -> None:
    store = Store()
    async with running(adapter_at(broker), store) as _, edge(broker) as node:
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        broker.stop()
        broker.start()
        await until(lambda: node.heard.count({"born": True}) >= 2)
        await until(lambda: len([s for s in samples(store) if s.address == "level" and s.quality == 192]) >= 2)


async def test_an_edge_node_that_died_while_we_were_away_is_missed(broker: Mosquitto) -> None:
    store = Store()
    async with running(adapter_at(broker), store), edge(broker) as node:
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        broker.stop()
        node.kill()
        broker.start()
        await until(lambda: last(store, "plant/edge/motor", "speed").quality == STALE)
        assert last(store, "plant/edge", "uptime").quality == STALE


async def test_a_rebirth_is_not_asked_for_at_every_message(broker: Mosquitto) -> None:
    store = Store()
    sparkplug = {"rebirth_interval": "1h"}
    async with running(adapter_at(broker, sparkplug=sparkplug), store), edge(broker) as node:
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        for value in range(20):
            node.tell(skip=1)
            node.tell(data=[{"name": "uptime", "type": "UInt64", "value": value}])
        await until(lambda: 19 in [sample.value for sample in samples(store)])
        await asyncio.sleep(0.2)
        assert node.heard.count({"rebirth": True}) == 1


async def test_history_comes_with_its_own_time(broker: Mosquitto) -> None:
    store = Store()
    async with running(adapter_at(broker), store), edge(broker) as node:
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        old = {"name": "speed", "type": "Double", "value": 900, "isHistorical": True, "timestamp": 1_700_000_000_000}
        node.tell(device="motor", data=[old])
        await until(lambda: last(store, "plant/edge/motor", "speed").value == 900)
        assert last(store, "plant/edge/motor", "speed").time == 1_700_000_000 * 10**9
        node.kill()
        await until(lambda: last(store, "plant/edge/motor", "speed").quality == STALE)
        assert last(store, "plant/edge/motor", "speed").value == 1500.5


async def states(broker: Mosquitto, count: int) -> list[dict[str, Any]]:
    found = []
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("spBv1.0/STATE/iotsense", qos=1)
        async for message in client.messages:
            found.append(json.loads(message.payload))
            if len(found) == count:
                break
    return found


async def test_the_primary_host_says_that_it_is_there(broker: Mosquitto) -> None:
    async with running(adapter_at(broker), Store()) as task:
        (online,) = await asyncio.wait_for(states(broker, 1), 5)
        watching = asyncio.create_task(states(broker, 2))
        await asyncio.sleep(0.2)
        task.cancel()
        _, offline = await asyncio.wait_for(watching, 5)
    assert online["online"] is True
    assert online["timestamp"] > 1_700_000_000_000
    assert (offline["online"], offline["timestamp"] >= online["timestamp"]) == (False, True)


async def test_a_late_will_of_ours_does_not_stand(broker: Mosquitto) -> None:
    async with running(adapter_at(broker), Store()):
        watching = asyncio.create_task(states(broker, 3))
        await asyncio.sleep(0.2)
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.publish("spBv1.0/STATE/iotsense", b'{"online": false, "timestamp": 1}', qos=1, retain=True)
        told = await asyncio.wait_for(watching, 5)
        assert [state["online"] for state in told] == [True, False, True]


async def test_metrics_are_set(broker: Mosquitto) -> None:
    store, adapter = Store(), adapter_at(broker, writable=True)
    target = Point("target", "plant/edge/motor")
    async with running(adapter, store), edge(broker) as node:
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        assert target in adapter.writable()
        assert Point("speed", "plant/edge/motor", "rpm") in adapter.writable()
        await adapter.write(target, -1200.0)
        await until(lambda: any("command" in told for told in node.heard))
        (told,) = [told for told in node.heard if "command" in told]
        assert (told["device"], told["command"][0]["name"], told["command"][0]["value"]) == ("motor", "target", -1200)

        async def shown() -> Any:
            return (await adapter.read(target)).value

        for _ in range(200):
            if await shown() == -1200:
                break
            await asyncio.sleep(0.02)
        assert await shown() == -1200
        with pytest.raises(InvalidValueError, match="from -2147483648 to 2147483647"):
            await adapter.write(target, 1e12)
        with pytest.raises(SourceError, match="no birth certificate tells of it"):
            await adapter.write(Point("nonsense", "plant/edge/motor"), 1.0)
        node.kill()
        await until(lambda: last(store, "plant/edge", "uptime").quality == STALE)
        with pytest.raises(SourceError, match="plant/edge/motor is offline"):
            await adapter.write(target, 1.0)


async def test_a_source_is_read_only_unless_it_says_otherwise(broker: Mosquitto) -> None:
    store, adapter = Store(), adapter_at(broker)
    async with running(adapter, store), edge(broker):
        await until(lambda: last(store, "plant/edge/compressed", "level"))
        assert list(adapter.writable()) == []


async def test_rubbish_is_a_dead_letter(broker: Mosquitto) -> None:
    store = Store()
    async with running(adapter_at(broker), store):
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            for topic in ("spBv1.0/plant/NBIRTH/edge", "spBv1.0/plant/DDATA/edge/motor", "spBv1.0/plant/what/edge"):
                await client.publish(topic, b"\xff\xff", qos=1)
            await client.publish("spBv1.0/plant/NBIRTH/edge", b"xx", qos=1)
        await until(lambda: len(store.messages) == 3)
    assert store.payloads == [b"\xff\xff", b"\xff\xff", b"xx"]


async def test_it_becomes_nodes_of_the_graph(broker: Mosquitto, tmp_path: Path) -> None:
    wanted = project(broker)
    with Twin.open(tmp_path / "data", StoreOptions(projection_interval=0.05)) as twin:
        async with Pipeline(twin, IngestConfig.of(wanted)) as pipeline:
            adapter = adapter_at(broker)
            task = asyncio.create_task(adapter.run(pipeline.deliver))
            async with edge(broker) as node:
                await until(lambda: "plant.edge.motor.state" in twin.graph)
                node.tell(device="motor", data=[{"alias": 10, "type": "Double", "value": 1600}])
                speed = twin.graph.find_signal("motor.speed")
                await until(lambda: (reading := twin.state.read(speed.index)) and reading.value == 1600)
                assert (speed.unit, [str(each.level) for each in twin.graph.ancestors(speed.node)]) == (
                    "rpm",
                    ["component", "component", "area"],
                )
                node.kill()
                await until(lambda: twin.state.read(speed.index).quality == STALE)
                assert twin.graph.candidates("unassigned") == []
            task.cancel()
        assert not list(twin.dead_letters())


async def test_what_an_engineer_has_defined_is_found(broker: Mosquitto, tmp_path: Path) -> None:
    motor = {"id": "motor", "sensors": [{"id": "rpm", "name": "speed", "unit": "rpm"}]}
    line = {"name": "line_1", "area": "plant", "components": [{"id": "edge", "components": [motor]}]}
    sections = project(broker, writable=True).sections() | {"area": [{"id": "plant"}], "digital_twins": [line]}
    wanted = Project.model_validate(sections)
    with Twin.open(tmp_path / "data", StoreOptions(projection_interval=0.05)) as twin:
        apply_plan(plan(wanted, twin.graph, twin.state), twin)
        signal = twin.graph.find_signal("motor.rpm")
        async with Pipeline(twin, IngestConfig.of(wanted)) as pipeline:
            found = pipeline.signal_at("mqtt", Point("speed", "plant/edge/motor", "rpm"))
            assert found is not None and found.index == signal.index
            task = asyncio.create_task(adapter_at(broker).run(pipeline.deliver))
            async with edge(broker):
                await until(lambda: (reading := twin.state.read(signal.index)) and reading.value == 1500.5)
            task.cancel()
