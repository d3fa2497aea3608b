"""The examples of docs/mqtt.md and docs/load.md: the YAML is valid and means what the page says, the Python runs."""

import re
from pathlib import Path

import pytest
import yaml

from iotsense.ingest.file_mapping import file_mapping
from iotsense.ingest.mqtt_broker import mqtt_brokers
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.define_mqtt import MqttConnection
from iotsense.twin.define_project import Project
from iotsense.twin.plan import plan
from iotsense.twin.project import load_project
from iotsense.twin.twin import Twin

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)


def test_the_brokers_of_the_page() -> None:
    (text,) = blocks("mqtt.md", "yaml")
    first, second = mqtt_brokers(Project.model_validate(yaml.safe_load(text.replace("_${HOSTNAME}", ""))))
    assert (first.name, first.host, first.port, first.tls is not None) == ("mqtt", "broker.factory.local", 8883, True)
    assert first.subscriptions == (("sensors/+/temperature", 1), ("machines/#", 2))
    assert (second.name, second.port, second.client_id) == ("mqtt_2", 1883, "iotsense")
    assert second.subscriptions == (("sensors/#", 1),)


def test_every_setting_of_a_connection_is_on_the_page() -> None:
    page = (ROOT / "docs" / "mqtt.md").read_text("utf-8")
    assert [name for name in MqttConnection.model_fields if f"`{name}`" not in page] == []


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
