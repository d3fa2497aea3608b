"""The examples of docs/mqtt.md and docs/load.md: the YAML is valid and means what the page says, the Python runs."""

import re
from pathlib import Path

import pytest
import yaml

from iotsense.ingest.configured import configured_sources
from iotsense.ingest.file_mapping import file_mapping
from iotsense.ingest.mqtt import MqttAdapter
from iotsense.ingest.mqtt_broker import mqtt_brokers
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.define_bacnet import BacnetDevice, BacnetObject, BacnetProtocol
from iotsense.twin.define_cdc import PostgresProtocol, RowNodes, RowSignals
from iotsense.twin.define_modbus import ModbusDevice, ModbusRegister
from iotsense.twin.define_mqtt import MqttConnection, Sparkplug
from iotsense.twin.define_opcua import OpcUaNode, OpcUaProtocol
from iotsense.twin.define_payload import Payload, Protocol
from iotsense.twin.define_project import Project
from iotsense.twin.define_protocols import AmqpProtocol, AmqpQueue, KafkaProtocol
from iotsense.twin.plan import plan
from iotsense.twin.project import load_project, load_texts
from iotsense.twin.twin import Twin

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)


def test_the_brokers_of_the_page() -> None:
    text = blocks("mqtt.md", "yaml")[0]
    first, second = mqtt_brokers(Project.model_validate(yaml.safe_load(text.replace("_${HOSTNAME}", ""))))
    assert (first.name, first.host, first.port, first.tls is not None) == ("mqtt", "broker.factory.local", 8883, True)
    assert first.subscriptions == (("sensors/+/temperature", 1), ("machines/#", 2))
    assert (second.name, second.port, second.client_id) == ("mqtt_2", 1883, "iotsense")
    assert second.subscriptions == (("sensors/#", 1),)


def test_the_unified_namespace_and_the_command_of_the_page() -> None:
    uns, writing = blocks("mqtt.md", "yaml")[1:]
    (topic,) = Project.model_validate(yaml.safe_load(uns)).sensor_ingestion.protocols[0].topics
    assert topic.namespace == "enterprise/site/area/line/cell/signal"
    project, findings = load_texts({"page.yaml": writing})
    assert project is not None, findings
    (broker,) = mqtt_brokers(project)
    (point,) = MqttAdapter(broker).writable()
    assert (point.device, point.address, point.unit) == ("filler_1", "speed", "rpm")


def test_the_host_application_of_the_page() -> None:
    (text,) = blocks("protocols/sparkplug.md", "yaml")
    (broker,) = mqtt_brokers(Project.model_validate(yaml.safe_load(text)))
    assert [topic for topic, _ in broker.subscriptions] == [
        "spBv1.0/filling/#",
        "spBv1.0/packing/#",
        "spBv1.0/STATE/iotsense",
    ]
    page = (ROOT / "docs/protocols/sparkplug.md").read_text("utf-8")
    assert [name for name in Sparkplug.model_fields if f"`{name}`" not in page] == []


def test_the_opc_ua_servers_of_the_page() -> None:
    (text,) = blocks("protocols/opcua.md", "yaml")
    first, second = configured_sources(Project.model_validate(yaml.safe_load(text)))
    assert first.settings.security_policy == "Basic256Sha256" and len(first.settings.nodes) == 3
    assert second.settings.server_certificate == "certs/press.der"
    page = (ROOT / "docs/protocols/opcua.md").read_text("utf-8")
    settings = {*OpcUaProtocol.model_fields, *OpcUaNode.model_fields} - set(Protocol.model_fields) - {"nodes"}
    assert [name for name in sorted(settings - {"name"}) if f"`{name}`" not in page] == []


def test_every_setting_of_a_connection_is_on_the_page() -> None:
    page = (ROOT / "docs" / "mqtt.md").read_text("utf-8")
    assert [name for name in MqttConnection.model_fields if f"`{name}`" not in page] == []


def test_the_kafka_page() -> None:
    (text,) = blocks("protocols/kafka.md", "yaml")
    (source,) = configured_sources(Project.model_validate(yaml.safe_load(text)))
    assert (source.name, [via for via, _ in source.payloads()]) == ("kafka", ["plant.temperatures", "plant.telemetry"])
    page = (ROOT / "docs" / "protocols" / "kafka.md").read_text("utf-8")
    own = [name for name in KafkaProtocol.model_fields if name not in Protocol.model_fields and name != "name"]
    assert [name for name in own if f"`{name}`" not in page] == []


def test_the_modbus_page() -> None:
    (text,) = blocks("protocols/modbus.md", "yaml")
    tank, drives = configured_sources(Project.model_validate(yaml.safe_load(text)))
    assert (tank.name, tank.settings.polling_interval_ms, len(tank.settings.registers)) == ("modbus", 1000, 5)
    assert tank.settings.registers[2].place("zero_based") == ("input", 11)
    assert (drives.name, drives.settings.registers[0].place("zero_based")) == ("drives", ("holding", 10))
    page = (ROOT / "docs" / "protocols" / "modbus.md").read_text("utf-8")
    fields = {*ModbusDevice.model_fields, *ModbusRegister.model_fields}
    assert [name for name in fields if f"`{name}`" not in page] == []


def test_the_bacnet_page() -> None:
    (text,) = blocks("protocols/bacnet.md", "yaml")
    (source,) = configured_sources(Project.model_validate(yaml.safe_load(text)))
    first, second = source.settings.devices
    assert (first.objects[3].priority, first.objects[1].interval, second.address) == (8, 30, "192.168.1.20:47808")
    page = (ROOT / "docs" / "protocols" / "bacnet.md").read_text("utf-8")
    fields = {*BacnetProtocol.model_fields, *BacnetDevice.model_fields, *BacnetObject.model_fields}
    assert [name for name in fields - {*Protocol.model_fields, "name"} if f"`{name}`" not in page] == []


def test_the_amqp_page() -> None:
    (text,) = blocks("protocols/amqp.md", "yaml")
    (source,) = configured_sources(Project.model_validate(yaml.safe_load(text)))
    first, second = source.settings.queues
    assert (first.reject, first.declare_, second.declare_) == (True, "active", "passive")
    page = (ROOT / "docs" / "protocols" / "amqp.md").read_text("utf-8")
    fields = {*AmqpProtocol.model_fields, *AmqpQueue.model_fields} - {*Payload.model_fields, *Protocol.model_fields}
    assert [name for name in fields - {"name"} if f"`{name.rstrip('_')}`" not in page] == []


def test_the_page_of_change_data_capture() -> None:
    postgres, debezium = (Project.model_validate(yaml.safe_load(text)) for text in blocks("protocols/cdc.md", "yaml"))
    (source,) = configured_sources(postgres)
    assert [table.full_name for table in source.settings.tables] == ["public.measurements", "mes.machines"]
    assert [source.name for source in configured_sources(debezium)] == ["debezium"]
    page = (ROOT / "docs" / "protocols" / "cdc.md").read_text("utf-8")
    models = (PostgresProtocol, RowSignals, RowNodes)
    fields = {name for model in models for name in model.model_fields} - {*Protocol.model_fields}
    assert [name for name in fields - {"name"} if f"`{name}" not in page] == []


def test_the_map_file_of_the_page(tmp_path: Path) -> None:
    (text,) = blocks("load.md", "yaml")
    (tmp_path / "a.map").write_text(text, "utf-8")
    mapping = file_mapping([str(tmp_path / "a.map")], {"decimal": "."})
    assert (mapping.timezone, mapping.delimiter, mapping.decimal) == ("Europe/Moscow", ";", ".")
    assert mapping.column("Druck 2").unit == "kPa"


def test_the_python_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = file_mapping([str(ROOT / "examples" / "water-loop" / "skab.map")]).columns
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "run-12.csv").write_text(
        ";".join(["datetime", *columns]) + "\n" + ";".join(["2020-03-09 14:14:40Z", *"12345678"]) + "\n"
    )

    project, _ = load_project([ROOT / "examples" / "water-loop"])
    assert project is not None
    with Twin.open("iotsense-data") as twin:
        apply_plan(plan(project, twin.graph, twin.state), twin)
    (code,) = blocks("load.md", "python")
    exec(compile(code, "load.md", "exec"), {})
    assert capsys.readouterr().out == "8 0\n"


@pytest.mark.parametrize("page", ["kafka", "amqp", "cdc"])
def test_what_the_pages_say_can_be_loaded(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_PASSWORD", "AMQP_PASSWORD", "MES_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    for number, text in enumerate(blocks(f"protocols/{page}.md", "yaml")):
        folder = tmp_path / str(number)
        (folder / "certs").mkdir(parents=True)
        (folder / "certs" / "factory-ca.pem").write_text("")
        (folder / "plant.yaml").write_text(text, "utf-8")
        project, findings = load_project([folder / "plant.yaml"])
        assert project is not None and not [finding for finding in findings if finding.severity == "error"], findings
