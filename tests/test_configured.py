"""The sources of a project, whichever of the two forms of configuration names them."""

from typing import Any

from iotsense.ingest.configured import configured_sources
from iotsense.ingest.ingest_config import IngestConfig
from iotsense.twin.define_project import Project

OPCUA = {
    "name": "opcua",
    "endpoint": "opc.tcp://plc:4840",
    "nodes": [{"id": "ns=2;s=A", "name": "a"}, {"id": "ns=2;s=B"}],
}


def project(*protocols: dict[str, Any], **ingestion: Any) -> Project:
    return Project.model_validate(
        {"sensor_ingestion": {"protocols": list(protocols)}, "iotsense": {"ingestion": ingestion}}
    )


def test_what_both_forms_say_of_a_connection_adds_up() -> None:
    endpoint = {"url": "opc.tcp://plc:4840/", "security_policy": "Basic256Sha256", "nodes": [{"id": "ns=2;s=C"}]}
    (source,) = configured_sources(project(OPCUA, opcua={"endpoints": [endpoint]}))
    assert (source.name, source.protocol) == ("opcua", "opcua")
    assert source.settings.endpoint == "opc.tcp://plc:4840"
    assert source.settings.security_policy == "Basic256Sha256"
    assert [node.id for node in source.settings.nodes] == ["ns=2;s=A", "ns=2;s=B", "ns=2;s=C"]
    assert source.settings.publishing_interval_ms == 500


def test_an_item_that_both_forms_name_has_what_either_says() -> None:
    endpoint = {"url": "opc.tcp://plc:4840", "nodes": [{"id": "ns=2;s=A", "deadband": 0.5}]}
    (source,) = configured_sources(project(OPCUA, opcua={"endpoints": [endpoint]}))
    first = source.settings.nodes[0]
    assert (first.name, first.deadband) == ("a", 0.5)


def test_sources_are_equal_exactly_if_they_need_no_restart() -> None:
    modbus = {"name": "modbus", "host": "10.0.0.1", "registers": [{"address": 0, "type": "float32", "name": "level"}]}
    before, same = (configured_sources(project(OPCUA, modbus)) for _ in range(2))
    assert before == same
    changed = configured_sources(project(OPCUA | {"publishing_interval_ms": 100}, modbus))
    assert [source == other for source, other in zip(before, changed, strict=True)] == [False, True]


def test_names_are_unique_and_disabled_connections_are_left_out() -> None:
    kafka = {"name": "kafka", "bootstrap_servers": ["a:9092"], "topics": [{"topic": "t"}]}
    other = kafka | {"bootstrap_servers": ["b:9092"]}
    off = kafka | {"bootstrap_servers": ["c:9092"], "enabled": False}
    mqtt = {"name": "mqtt", "broker": "mqtt://b", "topics": [{"pattern": "#"}]}
    assert [source.name for source in configured_sources(project(kafka, other, off, mqtt))] == ["kafka", "kafka_2"]


def test_payloads_are_read_as_the_item_says_by_which_they_came() -> None:
    poll = {
        "name": "http",
        "timezone": "Europe/Berlin",
        "endpoints": [{"url": "http://a/x", "interval": "1s", "schema": {"value": "$.v"}}],
    }
    amqp = {"name": "amqp", "url": "amqp://broker", "id": "factory", "queues": [{"queue": "readings"}]}
    config = IngestConfig.of(project(poll, amqp, {"name": "http"}))
    assert set(config.items) == {("http_poll", "http://a/x"), ("factory", "readings")}
    assert config.items["http_poll", "http://a/x"].schema_ is not None
    assert str(config.zones["http_poll"]) == "Europe/Berlin"
