"""What definitions accept, what they become, and how each mistake is told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iotsense.twin.define_project import Project
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.project import load_texts
from iotsense.twin.substitution import SECRET_KEYS

SPEC = Path(__file__).parent / "spec"
DOCUMENTS = {
    "sensor_ingestion", "normalization", "predictive_maintenance", "maintenance_actions", "anomaly_detection",
    "digital_twins", "twin_operations", "edge_computing", "oee_tracking", "iotsense",
}  # fmt: skip


def load(text: str, env: dict[str, str] | None = None) -> Project:
    project, findings = load_texts({"f.yaml": text}, env or {})
    assert [str(finding) for finding in findings if finding.severity == "error"] == []
    assert project is not None
    return project


def mistakes(text: str) -> list[str]:
    """Line, column and words of each error."""
    _, findings = load_texts({"f.yaml": text}, {})
    return [
        f"{finding.line}:{finding.column} {finding.message}"
        + (f" -> {finding.suggestion}" if finding.suggestion else "")
        for finding in findings
        if finding.severity == "error"
    ]


def sensor(fields: str) -> str:
    return (
        "digital_twins: [{name: l, components: [{id: c, sensors: [{id: s, type: temperature,\n" + fields + "\n}]}]}]\n"
    )


def rule(fields: str) -> str:
    return "anomaly_detection: {rules: [{name: r, sensor: s,\n" + fields + "\n}]}\n"


def protocol(fields: str) -> str:
    return "sensor_ingestion: {protocols: [{\n" + fields + "\n}]}\n"


# The contract -------------------------------------------------------------------------------------------------------


def test_all_ten_documents_are_there() -> None:
    assert {path.stem for path in SPEC.glob("*.yaml")} == DOCUMENTS


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_documents_of_the_specification_are_accepted_unchanged(name: str) -> None:
    project, findings = load_texts({name: (SPEC / f"{name}.yaml").read_bytes()}, {})
    assert [str(finding) for finding in findings if finding.severity == "error"] == []
    assert project is not None
    assert list(project.sections()) == [name]


def test_the_documents_together_are_one_project_that_is_read_back_equal() -> None:
    project, _ = load_texts({path.name: path.read_bytes() for path in SPEC.glob("*.yaml")}, {})
    assert project is not None
    sections = json.loads(json.dumps(project.sections()))
    assert set(sections) == DOCUMENTS
    again = Project.from_sections(sections)
    assert again == project
    assert again.sections() == sections


def test_values_of_the_specification_become_what_they_mean() -> None:
    project, _ = load_texts({path.name: path.read_bytes() for path in SPEC.glob("*.yaml")}, {})
    assert project is not None
    mqtt, opcua, modbus = project.sensor_ingestion.protocols
    assert mqtt.name == "mqtt" and mqtt.topics[0].schema_ is not None
    assert mqtt.topics[0].schema_.device_id == "$.deviceId"
    assert opcua.name == "opcua" and opcua.nodes[1].sampling_interval_ms == 100
    assert modbus.name == "modbus" and modbus.registers[1].type == "float32"
    spike = project.anomaly_detection.rules[0]
    assert spike.type == "threshold" and spike.conditions[2].window == 300
    life = project.predictive_maintenance.models[0]
    assert life.type == "remaining_useful_life" and life.thresholds is not None and life.thresholds.critical == 7
    assert life.features[0].window == 3600
    assert project.predictive_maintenance.models[1].features[0].name == "pressure_differential"
    twin = project.digital_twins[0]
    assert twin.components[1].sensors[0].joints == 6
    assert twin.relationships[0].from_ == "conveyor_1" and twin.relationships[0].transfer_time == 2.5
    assert project.twin_operations.replay is not None and project.twin_operations.replay.retention == 90 * 86_400
    assert project.edge_computing.nodes[0].data_routing[1].aggregation == 60
    assert project.oee_tracking.equipment[0].shifts[2].start == "22:00"
    assert project.iotsense.storage.retention["1d_aggregates"] == 10 * 365 * 86_400


def test_from_sections_refuses_what_is_no_project() -> None:
    with pytest.raises(InvalidValueError, match="no project"):
        Project.from_sections({"digital_twins": [{"nme": "x"}]})


# What is beyond the specification -----------------------------------------------------------------------------------


def test_places_come_as_one_or_many() -> None:
    one = load("enterprise: {id: acme}\nsite: {id: s, timezone: Europe/Berlin}\narea: {id: a, site: s}\n")
    assert [one.enterprise[0].id, one.site[0].timezone, one.area[0].site] == ["acme", "Europe/Berlin", "s"]
    many = load("site: [{id: s}, {id: t}]\narea: [{id: a, site: s}, {id: b, area: a}]\n")
    assert [area.area for area in many.area] == [None, "a"]


def test_a_sensor_has_all_that_an_engineer_may_say_of_it() -> None:
    project = load(
        sensor(
            """name: temperature, unit: °C, low: -5, high: 120.5, stepped: true, labels: ["off", "on"], source: a/b/c,
            expected_interval: 1m30s, pose: {position: [1, 2, 3], orientation: [0, 0, 1, 0], frame: world},
            geo: {latitude: 52.5, longitude: 13.4}, external_ids: {sap: "10004711"},
            documents: [{title: Manual, url: "https://example.com/m.pdf"}], properties: {colour: red, at: [1, {x: 2}]}
            """
        )
    )
    found = project.digital_twins[0].components[0].sensors[0]
    assert (found.expected_interval, found.labels, found.high) == (90.0, ["off", "on"], 120.5)
    assert found.pose is not None and found.pose.position == [1, 2, 3]
    assert found.properties == {"colour": "red", "at": [1, {"x": 2}]}
    assert Project.from_sections(json.loads(json.dumps(project.sections()))) == project


def test_components_nest() -> None:
    project = load("digital_twins: [{name: l, components: [{id: cell, components: [{id: robot}]}]}]\n")
    assert project.digital_twins[0].components[0].components[0].id == "robot"


@pytest.mark.parametrize("version", ["5", "5.0", '"5"', '"5.0"'])
def test_the_mqtt_version_may_be_a_number(version: str) -> None:
    found = load(protocol(f"name: mqtt, broker: mqtt://b, version: {version}")).sensor_ingestion.protocols[0]
    assert found.name == "mqtt" and found.version == "5.0"


@pytest.mark.parametrize(
    "fields",
    [
        "name: mqtt, broker: mqtts://b:8883, qos: 2, client_id: x, version: 3.1.1, username: u, "
        "password: '${P}', tls: {ca: /dev/null}, keep_alive: 30s, topics: [{pattern: a/+/b, qos: 0}]",
        "name: opcua, endpoint: opc.tcp://h:4840, security_policy: Basic256Sha256, security_mode: Sign, "
        "nodes: [{id: 'ns=2;s=A', deadband: 0.5, unit: bar}]",
        "name: modbus, transport: rtu, serial_port: /dev/ttyUSB0, parity: even, unit_id: 3, "
        "registers: [{address: 4, type: int16, name: x, scale: 0.1, table: input, word_order: little}]",
        "name: modbus, host: h, port: 802, tls: {}, addressing: modicon, device: pump_1, word_order: little, "
        "registers: [{address: 40001, type: float32, name: x}, {address: '300007', type: string, count: 8, name: y}], "
        "forbidden: [{first: 100, last: 120}]",
        "name: amqp, url: amqps://h, queues: [{queue: q, routing_key: '#'}], username: u, password: '${P}'",
        "name: coap, endpoint: coap://h, resources: [{path: /t, observe: false, interval: 10s}]",
        "name: bacnet, devices: [{device_id: 12, objects: [{object: 'analog-input,1', name: t}]}]",
        "name: bacnet, address: 10.0.0.5/24, bbmd: '10.1.0.2:47808', priority: 8, devices: [{device_id: "
        "1, address: 10.1.0.9, device: a, objects: [{object: 'analog-value:1', name: t, interval: 5s, priority: 10}]}]",
        "name: kafka, bootstrap_servers: [a:9092, b:9092], topics: [{topic: t}], security_protocol: SASL_SSL, "
        "sasl_mechanism: PLAIN, username: u, password: '${env.P}'",
        "name: http, endpoints: [{url: 'https://h/x', interval: 5s, headers: {Authorization: 'Bearer ${T}'}}]",
    ],
)
def test_all_eight_protocols_are_modelled(fields: str) -> None:
    project = load(protocol(fields), {"P": "secret", "T": "secret"})
    assert "secret" not in json.dumps(project.sections())
    assert Project.from_sections(project.sections()) == project


def test_secret_fields_are_those_whose_variables_are_not_filled_in() -> None:
    from iotsense.twin.define_types import SecretMark

    marked: set[str] = set()

    def visit(model: Any) -> None:
        for name, field in model.model_fields.items():
            text = repr(field.annotation) + repr(field.metadata)
            if SecretMark.__name__ in text:
                marked.add(name)

    import iotsense.twin.define_bacnet as bacnet
    import iotsense.twin.define_config as config
    import iotsense.twin.define_modbus as modbus
    import iotsense.twin.define_mqtt as mqtt
    import iotsense.twin.define_opcua as opcua
    import iotsense.twin.define_payload as payload
    import iotsense.twin.define_protocols as protocols
    import iotsense.twin.define_publishing as publishing
    from iotsense.twin.define_types import Model

    for module in (bacnet, config, modbus, mqtt, opcua, payload, protocols, publishing):
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, Model):
                visit(found)
    assert marked == SECRET_KEYS


# Mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (sensor("unt: bar"), "2:1 found the unknown key 'unt' -> unit"),
        (sensor("unit: celcius"), "2:7 'celcius' is not a unit that is known here -> celsius"),
        (sensor("unit: 5"), "2:7 found the number 5, expected a text (quote it)"),
        (sensor("low: 5, high: 1"), "2:6 found low 5 above high 1"),
        (sensor("high: hot"), "2:7 found the text 'hot', expected a number"),
        (sensor("high: .nan"), "2:7 found the number nan, expected a finite number"),
        (sensor("stepped: yes"), "2:10 found the text 'yes', expected true or false"),
        (sensor("joints: 0"), "2:9 found the number 0, expected a number of 1 or more"),
        (sensor("joints: 2.5"), "2:9 found the number 2.5, expected a whole number"),
        (sensor("expected_interval: 5"), "2:20 found the number 5, expected a duration with its unit, such as '5s'"),
        (sensor("expected_interval: 0s"), "2:20 a duration must be positive"),
        (sensor("expected_interval: -5s"), "2:20 a duration must be positive"),
        (sensor("expected_interval: soon"), "2:20 'soon' is not a duration"),
        (sensor("labels: [a, a]"), "2:9 found the label 'a' twice"),
        (sensor("labels: [a], data_type: number"), "2:9 found labels on a sensor of data_type number"),
        (sensor("unit:"), "2:1 found nothing after 'unit', expected a value"),
        (sensor("pose: {position: [1, 2]}"), "2:18 found a list, expected 3 or more items"),
        (sensor("pose: {position: [1, 2, 3], orientation: [1, 1, 0, 0]}"), "2:42 found a quaternion of length 1.414"),
        (sensor("geo: {latitude: 91, longitude: 0}"), "2:17 found the number 91, expected a number of 90 or less"),
        (sensor("documents: [{title: x}]"), "2:13 a document has either a `url` or a `file`"),
        (sensor("external_ids: {sap: 10004711}"), "2:21 found the number 10004711, expected a text (quote it)"),
        ("digital_twins: [{name: line 1}]", "1:24 found 'line 1', expected an id of letters"),
        ("digital_twins: [{type: x}]", "1:17 `name` is missing here"),
        ("digital_twins: {name: l}", "1:16 found a mapping, expected a list"),
        ("digital_twins: [l]", "1:17 found the text 'l', expected a mapping"),
        ("site: {id: s, timezone: Europe/Berln}", "1:25 found 'Europe/Berln', expected a time zone of the IANA"),
        ("area: [{id: a, site: s, area: b}]", "1:22 an area that is part of another `area`"),
        (rule("type: treshold, conditions: [{operator: '>', threshold: 5}]"), "2:7 found 'treshold', expected one of"),
        (
            rule("typ: threshold, conditions: [{operator: '>', threshold: 5}]"),
            "2:1 found the unknown key 'typ'",
        ),
        (rule("enabled: true"), "1:29 `type` is missing here"),
        (rule("type: threshold, conditions: []"), "2:30 found a list, expected 1 or more items"),
        (rule("type: threshold, conditions: [{operator: '=>', threshold: 5}]"), "2:42 found the text '=>', expected"),
        (
            rule("type: threshold, conditions: [{operator: '>', threshold: [5]}]"),
            "2:58 found a list, expected",
        ),
        (
            rule("type: threshold, conditions: [{metric: rate_of_change, operator: '>', threshold: 5}]"),
            "2:40 a rate_of_change needs a `window`",
        ),
        (
            rule("type: threshold, conditions: [{operator: '>', threshold: running}]"),
            "2:58 a threshold that is",
        ),
        (
            rule("type: threshold, conditions: [{operator: '>', threshold: 5, hysteresis: -1}]"),
            "2:73 found the number -1, expected a number of 0 or more",
        ),
        (
            "anomaly_detection: {rules: [{name: r, type: control_chart, sensor: s, chart_type: xbar_r}]}",
            "1:29 a chart of type xbar_r needs a `subgroup_size`",
        ),
        (
            "anomaly_detection: {rules: [{name: r, type: correlation_break, sensors: [a, b], window: 1h, "
            "expected_correlation: 0.5, min_correlation: 0.8}]}",
            "1:137 found min_correlation 0.8",
        ),
        (protocol("name: mqqt, broker: mqtt://b"), "2:7 found 'mqqt', expected one of mqtt, opcua"),
        (protocol("name: mqtt, broker: b:1883"), "2:21 found 'b:1883', expected an address such as mqtt://host"),
        (protocol("name: mqtt, broker: 'mqtt://u:p@b'"), "2:21 found a password in an address"),
        (protocol("name: mqtt, broker: mqtt://b, qos: 3"), "2:36 found the number 3, expected a number of 2 or less"),
        (protocol("name: mqtt, broker: mqtt://b, password: hush"), "2:41 found a secret in the clear"),
        (protocol("name: mqtt, broker: mqtt://b, topics: [{pattern: a/#/b}]"), "2:50 found 'a/#/b'; '#' stands alone"),
        (protocol("name: mqtt, broker: mqtt://b, topics: [{pattern: a+}]"), "2:50 found 'a+'; '+' stands for a whole"),
        (
            protocol("name: mqtt, broker: mqtt://b, topics: [{pattern: a, parser: protobuf}]"),
            "2:61 the parser protobuf needs a `schema_file`",
        ),
        (protocol("name: modbus"), "1:32 the transport tcp needs a `host`"),
        (
            protocol("name: modbus, host: h, registers: [{address: 0, count: 1, type: float32, name: x}]"),
            "2:56 found count 1, expected 2",
        ),
        (protocol("name: opcua, endpoint: opc.tcp://h, nodes: [{id: Motor}]"), "2:50 found the text 'Motor', expected"),
        (
            "normalization: {rules: [{source: s, transforms: [{type: unit_conversion, from_unit: bar, to_unit: m}]}]}",
            "1:99 bar cannot be converted to m",
        ),
        (
            "normalization: {rules: [{source: s, transforms: [{type: add_metadata, fields: {a: '${topic.split('}}]}]}",
            "1:50 `a`:",
        ),
        ("maintenance_actions: {triggers: [{condition: 'rul_days <', actions: [{type: order_parts}]}]}", "1:46 "),
        (
            "maintenance_actions: {triggers: [{condition: 'rul_days < 7', actions: [{type: schedule_maintenance, "
            "window: sundy, duration: 4h}]}]}",
            "1:109 'sundy' is not a schedule",
        ),
        (
            "predictive_maintenance: {models: [{name: m, type: remaining_useful_life, features: [a], "
            "thresholds: {critical: 30, warning: 7}}]}",
            "1:125 expected critical < warning",
        ),
        (
            "predictive_maintenance: {models: [{name: m, type: forecasting, features: [a]}]}",
            "1:51 found 'forecasting', expected one of remaining_useful_life, failure_probability",
        ),
        (
            "twin_operations: {simulation: [{name: w, type: what_if, objective: most, variables: []}]}",
            "1:68 'most' is not an objective",
        ),
        (
            "twin_operations: {simulation: [{name: w, type: what_if, variables: [{parameter: a.b, range: [2, 1]}]}]}",
            "1:93 found a range from 2 to 1",
        ),
        ("iotsense: {storage: {retention: {1x: 7d}}}", "1:33 found '1x', expected raw, or aggregates"),
        ("iotsense: {storage: {type: timescaledb}}", "1:28 storage of type timescaledb needs a `host`"),
        ("iotsense: {alerts: {channels: {boss: {url: 'https://x'}}}}", "1:20 channel 'boss': its name is no type"),
        ("digital_twin: []", "1:1 found the unknown section 'digital_twin' -> digital_twins"),
        ("foo: 1", "1:1 found the unknown section 'foo', expected one of enterprise, site"),
        ("- 1", "1:1 found a list, expected sections such as digital_twins"),
    ],
)
def test_a_mistake_is_told_with_its_place_what_was_found_and_what_is_expected(text: str, expected: str) -> None:
    found = mistakes(text)
    assert len(found) == 1, found
    assert found[0].startswith(expected)


def shifts(*given: str) -> str:
    return (
        "oee_tracking: {equipment: [{id: m, shifts: [" + ", ".join(given) + "], "
        "availability: {running_signal: s}, performance: {ideal_cycle_time: 45, actual_cycle_signal: s}, "
        "quality: {good_parts_signal: s, reject_signal: s}}]}"
    )


def test_shifts_may_cross_midnight_but_not_overlap() -> None:
    load(shifts("{name: a, start: 22:00, end: 06:00}", "{name: b, start: 06:00, end: 22:00}"))
    overlapping = shifts("{name: a, start: 22:00, end: 06:30}", "{name: b, start: 06:00, end: 14:00}")
    assert "shifts 'a' and 'b' at the same time (monday 06:00)" in mistakes(overlapping)[0]
    # A shift of Sunday night reaches into Monday.
    week_end = shifts("{name: a, start: 22:00, end: 06:00, days: [sunday]}", "{name: b, start: 05:00, end: 14:00}")
    assert "at the same time (monday 05:00)" in mistakes(week_end)[0]
    assert "a whole day is 00:00 to 24:00" in mistakes(shifts("{name: a, start: 06:00, end: 06:00}"))[0]


def test_importing_the_package_does_not_import_pydantic() -> None:
    code = "import sys, iotsense; raise SystemExit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
