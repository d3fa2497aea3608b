"""Files and folders as one project: what adds up, what contradicts, what refers to nothing, and all of it in one go."""

import json
import random
import socket
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from iotsense.twin.define_project import Project
from iotsense.twin.document import Tree
from iotsense.twin.finding import Finding, path_text
from iotsense.twin.project import load_project, load_texts
from iotsense.twin.substitution import reveal
from iotsense.twin.suggestion import NearestWord, nearest

SPEC = Path(__file__).parent / "spec"


def check(text: str, env: dict[str, str] | None = None, **others: str) -> list[str]:
    """Severity, file if several, line, column and words of each finding."""
    texts = {"f.yaml": dedent(text)} | {f"{name}.yaml": dedent(other) for name, other in others.items()}
    _, findings = load_texts(texts, env or {})
    return [
        f"{each.severity[0]} {each.file[0] + ':' if others else ''}{each.line}:{each.column} {each.message}"
        + (f" -> {each.suggestion}" if each.suggestion else "")
        for each in findings
    ]


def load(text: str, env: dict[str, str] | None = None, **others: str) -> Project:
    project, findings = load_texts(
        {"f": dedent(text)} | {name: dedent(other) for name, other in others.items()}, env or {}
    )
    assert project is not None, [str(finding) for finding in findings]
    return project


PLANT = """\
    site: {id: plant_1}
    area: {id: hall, site: plant_1}
    digital_twins:
      - name: line_1
        area: hall
        components:
          - id: conveyor
            type: conveyor
            sensors: [{id: speed, unit: m/s}, {id: temp, name: motor_temperature, type: temperature}]
            parameters: {max_speed: 2.5}
          - id: cell
            components: [{id: robot}, {id: camera}]
    """


# Files and folders --------------------------------------------------------------------------------------------------


def test_sections_of_several_files_and_documents_add_up(tmp_path: Path) -> None:
    (tmp_path / "lines").mkdir()
    (tmp_path / "a.yaml").write_text("site: {id: s}\ndigital_twins: [{name: a}]\n---\ndigital_twins: [{name: b}]\n")
    (tmp_path / "lines" / "c.yml").write_text("digital_twins: [{name: c}]\nsite: [{id: t}]\n")
    (tmp_path / ".hidden.yaml").write_text("foo: 1\n")
    (tmp_path / "notes.txt").write_text("no definitions\n")
    project, findings = load_project(tmp_path, {})
    assert findings == []
    assert project is not None
    assert [twin.name for twin in project.digital_twins] == ["a", "b", "c"]
    assert [site.id for site in project.site] == ["s", "t"]
    assert load_project([tmp_path / "a.yaml", tmp_path / "lines"], {})[0] == project


def test_a_section_that_is_only_begun_is_empty() -> None:
    assert load("digital_twins:\niotsense:\n").sections() == {}


def test_settings_that_contradict_each_other_are_a_mistake() -> None:
    found = check(
        "iotsense: {storage: {type: embedded, retention: {raw: 7d}}}\n",
        g="iotsense: {storage: {type: embedded, retention: {raw: 8d, 1m_aggregates: 90d}}}\n",
    )
    assert found == ["e g:1:55 found the text '8d', which contradicts the text '7d' in f.yaml, line 1,"]


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    project, findings = load_project([tmp_path / "nowhere.yaml", tmp_path / "empty"], {})
    assert project is None
    assert "is not there" in findings[1].message
    assert "no file that ends in .yaml" in findings[0].message


def test_calendars_in_the_folder_are_no_definitions(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("iotsense: {oee: {shift_calendar: shifts.yaml, downtime_reasons: gone.yaml}}\n")
    (tmp_path / "shifts.yaml").write_text("holidays: [2024-01-01]\n")
    _, findings = load_project(tmp_path, {})
    assert [str(finding).partition("a.yaml:")[2] for finding in findings] == [
        "1:65: warning: the file gone.yaml is not there"
    ]


def test_files_are_relative_to_the_project_and_known_by_their_full_names(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_text("")
    (tmp_path / "a.yaml").write_text(
        "sensor_ingestion: {protocols: [{name: mqtt, broker: 'mqtts://b', tls: {ca: certs/ca.pem}}]}\n"
    )
    project, findings = load_project(tmp_path, {})
    assert findings == [] and project is not None
    mqtt = project.sensor_ingestion.protocols[0]
    assert mqtt.name == "mqtt" and mqtt.tls is not None and mqtt.tls.ca == str(tmp_path / "certs" / "ca.pem")


def test_all_mistakes_of_all_files_are_told_in_one_go(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("digital_twins:\n  - name: l\n    tpe: x\n    components: [{id: c}, {id: c}]\n")
    (tmp_path / "b.yaml").write_text("digital_twins:\n\t- x\n")
    (tmp_path / "c.yaml").write_text("anomaly_detection:\n  rules: [{name: r, type: spc}]\nnoise: 1\n")
    project, findings = load_project(tmp_path, {})
    assert project is None
    assert [f"{Path(each.file).name}:{each.line}:{each.column}" for each in findings] == [
        "a.yaml:3:5", "a.yaml:4:32", "b.yaml:2:1", "c.yaml:2:27", "c.yaml:3:1",
    ]  # fmt: skip


def test_with_strict_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "iotsense: {ingestion: {mqtt: {brokers: [{url: 'mqtt://b', client_id: '${NO}'}]}}}\n"
    )
    project, findings = load_project(tmp_path, {})
    assert project is not None and [each.severity for each in findings] == ["warning"]
    project, findings = load_project(tmp_path, {}, strict=True)
    assert project is None and [each.severity for each in findings] == ["error"]


def test_a_finding_as_text_and_as_json() -> None:
    finding = Finding("f.yaml", 3, 5, "error", "digital_twins[0].tpe", "found the unknown key 'tpe'", "type")
    assert str(finding) == "f.yaml:3:5: error: found the unknown key 'tpe'; did you mean 'type'?"
    assert json.loads(json.dumps(finding.to_json())) == {
        "file": "f.yaml", "line": 3, "column": 5, "severity": "error", "path": "digital_twins[0].tpe",
        "message": "found the unknown key 'tpe'", "suggestion": "type",
    }  # fmt: skip
    assert path_text(("a", 0, "b")) == "a[0].b"


def test_paths_are_those_of_the_file() -> None:
    _, findings = load_texts({"a": "digital_twins: [{name: a}]", "b": "digital_twins: [{nme: b}]"}, {})
    assert [(each.file, each.path) for each in findings] == [("b", "digital_twins[0].nme")]


# Mistakes behind mistakes -------------------------------------------------------------------------------------------


def test_a_misspelt_key_hides_nothing_below_it() -> None:
    found = check("digital_twin: [{nam: l, compnents: [{id: c, sensors: [{id: s, unit: celcius}]}]}]\n")
    assert [each.partition(" -> ")[2] for each in found] == ["digital_twins", "name", "components", "celsius"]


def test_a_mistake_brings_no_others_along() -> None:
    found = check(
        """\
        digital_twins:
          - name: l
            components: [{id: a, sensors: [{id: s, unit: 5}]}, {id: b}]
            relationships: [{from: a, to: b, type: feeds_into, transfer_time: -1}]
        anomaly_detection: {rules: [{name: r, type: gizmo, sensor: s}]}
        """
    )
    assert [each.split()[1] for each in found] == ["3:50", "4:71", "5:45"]


def test_after_a_mended_value_the_next_check_runs() -> None:
    found = check("digital_twins: [{name: l, sensors: [{id: s, unit: celcius, low: 5, high: 1}]}]")
    assert [each.split()[1] for each in found] == ["1:51", "1:65"]


def test_where_a_file_cannot_be_read_nothing_counts_as_undefined() -> None:
    found = check("anomaly_detection: {rules: [{name: r, type: threshold, sensor: s, conditions: [{operator: '>', "
                  "threshold: 1}]}]}\n", g="digital_twins: [\n")  # fmt: skip
    assert [each[:3] for each in found] == ["e g"]


JUNK = ["", "x", "${X}", "$${", -1, 0, 1e308, True, None, [], [None], [[1]], {}, {"a": {"b": 1}}, "22:00", "a.b", "é"]


def _spoilt(value: Any, dice: random.Random) -> Any:
    if dice.random() < 0.04:
        return dice.choice(JUNK)
    if isinstance(value, dict):
        entries = ((f"{key}x" if dice.random() < 0.02 else key, _spoilt(each, dice)) for key, each in value.items())
        return {key: each for key, each in entries if dice.random() > 0.02}
    return [_spoilt(each, dice) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(15))
def test_whatever_is_wrong_it_is_told_and_nothing_breaks(seed: int) -> None:
    dice = random.Random(seed)
    texts = {path.name: json.dumps(_spoilt(Tree(path.read_text(), "").documents[0], dice)) for path in SPEC.iterdir()}
    project, findings = load_texts(texts, {})
    assert (project is None) == any(finding.severity == "error" for finding in findings)
    assert all(finding.line >= 1 and finding.column >= 1 and finding.message for finding in findings)
    if project is not None:
        assert Project.from_sections(json.loads(json.dumps(project.sections()))) == project


# Variables ----------------------------------------------------------------------------------------------------------


def test_variables_are_filled_in() -> None:
    text = """\
        digital_twins: [{name: "line_${LINE}", title: "${env.TITLE} ${NO:-x}"}]
        sensor_ingestion:
          protocols: [{name: modbus, host: "${HOST}", port: "${PORT}", polling_interval_ms: "${RATE:-250}"}]
        """
    project = load(text, {"LINE": "7", "TITLE": "Line", "HOST": "h", "PORT": "1502"})
    assert (project.digital_twins[0].name, project.digital_twins[0].title) == ("line_7", "Line x")
    modbus = project.sensor_ingestion.protocols[0]
    assert modbus.name == "modbus" and (modbus.host, modbus.port, modbus.polling_interval_ms) == ("h", 1502, 250)


def test_a_variable_that_is_no_number_is_told() -> None:
    found = check("sensor_ingestion: {protocols: [{name: modbus, host: h, port: '${PORT}'}]}\n", {"PORT": "x"})
    assert found == ["e 1:62 found the text 'x', expected a whole number"]


def test_an_unset_variable_is_one_warning_and_no_error() -> None:
    found = check("sensor_ingestion: {protocols: [{name: modbus, host: h, port: '${PROT}'}]}\n", {"PORT": "1"})
    assert found == ["w 1:62 the variable PROT is not set -> PORT"]


def test_what_an_unset_variable_should_have_given_is_left_out() -> None:
    text = """\
        sensor_ingestion: {protocols: [{name: modbus, host: h, port: "${PORT}"}]}
        iotsense: {oee: {enabled: "${E}"}}
        """
    modbus = load(text).sensor_ingestion.protocols[0]
    assert modbus.name == "modbus" and modbus.port == 502
    assert [each[:1] for each in check(text)] == ["w", "w"]


def test_hostname_is_always_known() -> None:
    text = "iotsense: {ingestion: {mqtt: {brokers: [{url: 'mqtt://b', client_id: 'iotsense_${HOSTNAME}'}]}}}\n"
    assert load(text).iotsense.ingestion.mqtt.brokers[0].client_id == f"iotsense_{socket.gethostname()}"
    assert load(text, {"HOSTNAME": "x"}).iotsense.ingestion.mqtt.brokers[0].client_id == "iotsense_x"


def test_templates_stay_for_their_engines() -> None:
    text = """\
        normalization:
          rules:
            - source: a/b
              transforms:
                - type: add_metadata
                  fields: {line: "${topic.split('/')[1]}", topic: "${topic}", plant: "${env.PLANT}"}
        maintenance_actions:
          triggers:
            - {condition: "rul_days < 7", actions: [{type: inventory_check, parts: ["motor_${equipment.model}"]}]}
        """
    project = load(text, {"PLANT": "p1", "topic": "no"})
    transform = project.normalization.rules[0].transforms[0]
    assert transform.type == "add_metadata"
    assert transform.fields == {"line": "${topic.split('/')[1]}", "topic": "${topic}", "plant": "p1"}
    action = project.maintenance_actions.triggers[0].actions[0]
    assert action.type == "inventory_check" and action.parts == ["motor_${equipment.model}"]


def test_what_nothing_fills_in_is_told() -> None:
    found = check("digital_twins: [{name: l, title: '${topic.x}'}]\n")
    assert found == ["w 1:34 found ${topic.x}, which nothing fills in here"]


def test_secrets_are_never_filled_in_but_looked_for(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hush\n")
    text = f"""\
        sensor_ingestion:
          protocols:
            - {{name: mqtt, broker: "mqtt://a", password: "${{PASSWORD}}"}}
            - {{name: mqtt, broker: "mqtt://b", password: "${{file:{tmp_path}/key}}"}}
        """
    project = load(text, {"PASSWORD": "hush"})
    assert "hush" not in json.dumps(project.sections())
    first, second = project.sensor_ingestion.protocols
    assert first.name == "mqtt" and first.password and reveal(first.password, {"PASSWORD": "hush"}) == "hush"
    assert second.name == "mqtt" and second.password and reveal(second.password, {}) == "hush"
    (tmp_path / "key").unlink()
    found = check(text)
    assert [each.split(" ", 2)[2] for each in found] == [
        "the variable PASSWORD is not set", f"the file {tmp_path}/key is not there",
    ]  # fmt: skip


def test_revealing_what_is_not_there_fails_without_a_secret() -> None:
    from iotsense.twin.errors import InvalidValueError

    with pytest.raises(InvalidValueError, match="the variable NO is not set"):
        reveal("Bearer ${NO}", {})
    with pytest.raises(InvalidValueError, match="cannot be read: FileNotFoundError"):
        reveal("${file:/nowhere}", {})
    assert reveal("Bearer ${T}", {"T": "x"}) == "Bearer x"
    assert reveal("${T:-y}", {}) == "y"


# The plant ----------------------------------------------------------------------------------------------------------


def test_a_plant_without_mistakes_has_no_findings() -> None:
    assert check(PLANT) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("site: [{id: a}, {id: a}]", "e 1:22 found the id 'a' twice"),
        ("site: {id: a}\ndigital_twins: [{name: a}]", "e 2:24 found the id 'a' twice, which is a site already"),
        ("digital_twins: [{name: l, components: [{id: c}, {id: c}]}]", "e 1:54 found the id 'l.c' twice"),
        ("digital_twins: [{name: l, sensors: [{id: c}], components: [{id: c}]}]", "e 1:65 found the id 'l.c' twice"),
        (
            "digital_twins: [{name: l, sensors: [{id: a, name: speed}, {id: b, name: speed}]}]",
            "e 1:73 found the name 'speed' twice in l",
        ),
        (
            "digital_twins: [{name: l, sensors: [{id: a, source: t/x}, {id: b, source: t/x}]}]",
            "e 1:75 found the source 't/x', whose readings l.a has already",
        ),
        ("digital_twins: [{name: l, area: hall}]", "w 1:33 no document defines the area 'hall'"),
        ("site: [{id: a}, {id: b}]\narea: {id: c}", "e 2:7 `site` is missing here: there are several (a, b)"),
        ("area: [{id: a, area: b}, {id: b, area: a}]", "e 1:22 found an area that contains itself: a in b in a"),
        (
            "digital_twins: [{name: l, components: [{id: a}, {id: b, moved_from: l.a}]}]",
            "e 1:69 found moved_from 'l.a', which is still defined",
        ),
    ],
)
def test_mistakes_of_the_plant(text: str, expected: str) -> None:
    found = check(text)
    assert found[0].startswith(expected)


RELATIONSHIPS = [
    ("{from: a, to: x, type: feeds_into}", "e 4:35 found 'x', which no document defines"),
    ("{from: conveyer, to: b, type: feeds_into}", "e 4:28 found 'conveyer', which no document defines -> conveyor"),
    ("{from: s, to: b, type: feeds_into}", "e 4:28 found 's', which is ambiguous: it may be l.a.s, l.b.s"),
    ("{from: a, to: a, type: feeds_into}", "e 4:35 found a relationship from l.a to itself"),
    ("{from: a, to: a.s, type: contains}", "e 4:46 found `contains` with a sensor"),
    ("{from: a, to: b.part, type: contains}", "e 4:35 found l.b.part in l.a, but l.b contains it already"),
    ("{from: b.part, to: b, type: contains}", "e 4:49 found a cycle in `contains`: l.b in l.b.part in l.b"),
    ("{from: a, to: b, type: has_sensor}", "e 4:44 found has_sensor"),
    ("{from: a, to: b, type: f}, {from: l.a, to: b, type: f}", "e 4:48 found the relationship l.a f l.b twice"),
    ("{from: a, to: b, type: contains}, {from: b, to: a, type: contains}", "e 4:44 found a cycle in `contains`"),
]


COMPONENTS = """\
{id: a, sensors: [{id: s}]}, {id: b, sensors: [{id: s}], components: [{id: part}]}, {id: conveyor}"""


@pytest.mark.parametrize(("relationships", "expected"), RELATIONSHIPS)
def test_mistakes_of_relationships(relationships: str, expected: str) -> None:
    found = check(
        f"""\
        digital_twins:
          - name: l
            components: [{COMPONENTS}]
            relationships: [{relationships}]
        """
    )
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_relationships_reach_nested_components_and_other_lines() -> None:
    assert (
        check(
            """\
        digital_twins:
          - name: l
            components: [{id: cell, components: [{id: robot}]}, {id: store}]
            relationships:
              - {from: robot, to: store, type: feeds_into}
              - {from: cell.robot, to: m.press, type: feeds_into}
              - {from: store, to: cell, type: feeds_into}
              - {from: cell, to: store, type: contains}
          - {name: m, components: [{id: press}]}
        """
        )
        == []
    )


# References ---------------------------------------------------------------------------------------------------------


def rule(sensor: str) -> str:
    return (
        f"anomaly_detection: {{rules: [{{name: r, sensor: '{sensor}', type: threshold, "
        "conditions: [{operator: '>', threshold: 1}]}]}\n"
    )


@pytest.mark.parametrize(
    "sensor",
    [
        "speed",
        "conveyor.speed",
        "line_1.conveyor.temp",
        "motor_temperature",
        "temperature",
        "conveyor.motor_temperature",
    ],
)
def test_a_rule_names_sensors_by_id_name_or_type(sensor: str) -> None:
    assert check(PLANT, rule=rule(sensor)) == []


def test_a_sensor_that_no_document_defines_is_a_warning() -> None:
    assert check(PLANT, rule=rule("motor_temprature")) == [
        "w r:1:47 no document defines the sensor 'motor_temprature' -> motor_temperature"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normalization: {rules: [{source: temperature_sensors, transforms: [{type: timestamp_normalize}]}]}",
         "w o:1:34 no document defines the topic, device, source or group"),
        ("predictive_maintenance: {models: [{name: m, type: anomaly_detection, equipment_class: conveyer, "
         "features: [speed]}]}", "w o:1:87 no document defines the type of equipment 'conveyer' -> conveyor"),
        ("predictive_maintenance: {models: [{name: m, type: anomaly_detection, features: [sped]}]}",
         "w o:1:81 no document defines the sensor 'sped' -> speed"),
        ("maintenance_actions: {triggers: [{condition: rul_day < 7, actions: [{type: order_parts}]}]}",
         "w o:1:46 no document defines the value 'rul_day' -> rul_days"),
        ("maintenance_actions: {triggers: [{condition: rul_days < 7, actions: [{type: alert, channels: [sms]}]}]}",
         "w o:1:95 no document defines the channel 'sms'"),
        ("twin_operations: {simulation: [{name: w, type: what_if, variables: [{parameter: conveyor.max_sped, "
         "values: [1]}]}]}", "w o:1:81 no document defines the sensor or parameter of line_1.conveyor 'max_sped'"),
        ("twin_operations: {simulation: [{name: w, type: what_if, constraints: ['convoyer.speed <= 3']}]}",
         "w o:1:71 no document defines the parameter 'convoyer.speed' -> conveyor"),
        ("edge_computing: {nodes: [{id: e, location: hal, local_processing: []}]}",
         "w o:1:44 no document defines the site, area or line 'hal' -> hall"),
        ("edge_computing: {nodes: [{id: e, data_routing: [{condition: 'score > 1', destination: cloud}]}]}",
         "w o:1:61 no document defines the output or sensor 'score'"),
        ("edge_computing: {nodes: [{id: e, data_routing: [{condition: true, destination: clod}]}]}",
         "w o:1:80 no document defines the destination 'clod' -> cloud"),
        ("oee_tracking: {equipment: [{id: conveyr, availability: {running_signal: speed}, performance: "
         "{ideal_cycle_time: 5, actual_cycle_signal: speed}, quality: {good_parts_signal: speed, "
         "reject_signal: speed}}]}",
         "w o:1:33 no document defines the equipment 'conveyr' -> conveyor"),
        ("digital_twins: [{name: m, simulation: {model_file: m.urdf}}]", "w o:1:52 the file m.urdf is not there"),
        ("anomaly_detection: {rules: [{name: r, sensor: speed, type: ml, model: autoencoder, features: [rms]}, "
         "{name: r, sensor: speed, type: ml, model: autoencoder, features: [rms]}]}",
         "e o:1:109 found the name 'r' twice"),
    ],
)  # fmt: skip
def test_what_no_document_defines(text: str, expected: str) -> None:
    found = check(PLANT, other=text)
    assert len(found) == 1, found
    assert found[0].startswith(expected)


@pytest.mark.parametrize("source", ["s/+/t", "x/y", "conveyor", "speed", "mqtt", "warm", "line_1.conveyor"])
def test_normalization_names_topics_devices_sources_and_groups(source: str) -> None:
    text = f"""\
        sensor_ingestion: {{protocols: [{{name: mqtt, broker: "mqtt://b", topics: [{{pattern: s/+/t}}]}}]}}
        normalization:
          groups: {{warm: [conveyor]}}
          rules: [{{source: "{source}", transforms: [{{type: timestamp_normalize}}]}}]
        """
    assert check(PLANT, other=text) == []


# Sources ------------------------------------------------------------------------------------------------------------


def test_both_forms_of_ingestion_add_up() -> None:
    assert (
        check(
            """\
        sensor_ingestion:
          protocols:
            - {name: mqtt, broker: "mqtt://b:1883", client_id: x, topics: [{pattern: a/b}]}
            - {name: opcua, endpoint: "opc.tcp://h:4840", nodes: [{id: "i=1"}]}
        iotsense:
          ingestion:
            mqtt: {brokers: [{url: "mqtt://b", qos: 1, client_id: x}], topics: ["a/#", a/b]}
            opcua: {endpoints: [{url: "opc.tcp://h:4840", security_policy: None}]}
        """
        )
        == []
    )


def test_what_contradicts_in_both_forms_is_an_error() -> None:
    found = check(
        """\
        sensor_ingestion:
          protocols:
            - {name: mqtt, broker: "mqtt://b:1883", qos: 2}
            - {name: modbus, host: h, polling_interval_ms: 100}
            - {name: opcua, endpoint: "opc.tcp://h:4840", nodes: [{id: "i=1", name: x}]}
            - {name: opcua, endpoint: "opc.tcp://h:4840", nodes: [{id: "i=1", name: y}]}
        iotsense:
          ingestion:
            mqtt: {brokers: [{url: "mqtt://b", qos: 1}]}
            modbus: {devices: [{host: h, port: 502, polling_interval_ms: 1000}]}
        """
    )
    assert [each.split()[1] for each in found] == ["6:77", "9:45", "10:66"]
    assert "found qos 1" in found[1] and "contradicts 2 in sensor_ingestion" in found[1]


def test_topics_need_a_broker() -> None:
    assert check("iotsense: {ingestion: {mqtt: {topics: [a/b]}}}") == [
        "e 1:31 found topics without a broker, expected `brokers` beside them"
    ]


# Notices ------------------------------------------------------------------------------------------------------------


def test_each_section_without_an_engine_says_so_in_one_line() -> None:
    project, _ = load_texts({path.name: path.read_bytes() for path in SPEC.glob("*.yaml")}, {})
    assert project is not None
    notices = project.notices()
    assert all("no engine" in notice and "\n" not in notice for notice in notices)
    told = " ".join(notices)
    for words in (
        "type ml",
        "type correlation_break", "type control_chart", "predictive_maintenance (3 models)",
        "maintenance_actions (2 triggers)", "twin_operations: sync", "twin_operations: simulation",
        "edge_computing (1 node)", "oee_tracking (1 machine)",
        "iotsense.alerts",
    ):  # fmt: skip
        assert words in told
    assert "threshold" not in told and "mqtt" not in told


def test_a_project_that_uses_only_what_is_built_has_no_notices() -> None:
    assert load(PLANT, rule=rule("speed") + "iotsense: {storage: {type: embedded}}\n").notices() == []


# Speed --------------------------------------------------------------------------------------------------------------


def test_ten_thousand_sensors_with_as_many_mistakes_are_read_without_quadratic_work() -> None:
    lines = ["digital_twins:"]
    for line in range(10):
        lines += [f"  - name: line_{line}", "    components:"]
        for component in range(50):
            lines += [f"      - id: c_{component}", "        sensors:"]
            lines += [f"          - {{id: s_{n}, nam: x{n}, unit: celcius{n % 3}}}" for n in range(20)]
    lines += ["anomaly_detection:", "  rules:"]
    lines += [
        f"    - {{name: r{n}, type: threshold, sensor: s_{n}x, conditions: [{{operator: '>', threshold: 1}}]}}"
        for n in range(1000)
    ]
    project, findings = load_texts({"f": "\n".join(lines)}, {})
    assert project is None
    assert sum(each.severity == "error" for each in findings) == 20_000
    assert sum(each.suggestion == "celsius" for each in findings) == 10_000


def test_the_nearest_word_is_found_among_many() -> None:
    words = NearestWord(f"line_{n}.motor_{n}.temperature" for n in range(20_000))
    assert words.find("line_777.motor_777.temprature") == "line_777.motor_777.temperature"
    assert words.find("xyz") is None
    assert nearest("Temperature", ("temperature",)) == "temperature"
    assert nearest("", ("temperature",)) is None
