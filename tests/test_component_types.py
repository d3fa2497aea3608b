"""Component types: what instances have from them, what they may change, and what a new version does to all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from type_fixtures import FORTY, TYPES, applied, load, mistakes, second_version

from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.component_types import TypeLibrary
from iotsense.twin.define_project import Project
from iotsense.twin.document import Tree
from iotsense.twin.errors import ConflictError
from iotsense.twin.export_definition import dump_yaml, export, exported
from iotsense.twin.graph import Graph
from iotsense.twin.model import Level
from iotsense.twin.parameter_values import fit
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.schema import json_schema
from iotsense.twin.twin import Twin

TIME = 1_700_000_000_000_000_000


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        yield twin


def line(component: str) -> str:
    return f"digital_twins:\n  - name: line_1\n    components:\n      - {component}\n"


def pump(fields: str = "") -> str:
    return line(f"{{ id: p, type: pump{', ' + fields if fields else ''} }}")


def types(*given: str) -> str:
    return "component_types:\n" + "".join(f"  - {{ {each} }}\n" for each in given)


# What instances have


def test_an_instance_has_the_sensors_parameters_and_rules_of_its_type_and_of_what_that_extends() -> None:
    project = load(TYPES, pump())
    component = project.digital_twins[0].components[0]
    assert [(each.id, each.unit) for each in component.sensors] == [("power", "kW"), ("flow", "l/min")]
    assert component.parameters == {"max_flow": 120}
    kind = project.type_library().find("pump")
    assert kind is not None and kind.lineage == ("pump", "machine")
    assert {name: item.owner for name, item in kind.rules.items()} == {"hungry": "machine", "too_much": "pump"}
    graph = applied(Graph(), project)
    assert graph.find("line_1.p").properties == {"parameters": {"max_flow": 120}, "type_version": 1}
    assert graph.find_signal("line_1.p.flow").unit == "liter_per_minute" or graph.find_signal("line_1.p.flow").unit


def test_the_texts_of_a_type_s_sensors_are_filled_in_for_each_instance() -> None:
    text = types(
        "name: pump, parameters: { tag: { required: true } }, sensors: [{ id: s,"
        ' source: "${component.twin}/${component.path}/${component.name}/${parameters.tag}/${external_ids.sap}" }]'
    )
    fields = 'name: Big, parameters: { tag: "T7" }, external_ids: { sap: "100" }'
    found = load(text, pump(fields)).digital_twins[0].components[0].sensors[0]
    assert found.source == "line_1/line_1.p/Big/T7/100"


def test_an_instance_changes_sensors_field_by_field_adds_some_and_leaves_some_out() -> None:
    project = load(TYPES, pump("sensors: [{ id: noise }, { id: power, low: 1, high: 90 }], without: [flow]"))
    sensors = {each.id: each for each in project.digital_twins[0].components[0].sensors}
    assert set(sensors) == {"power", "noise"}
    assert (sensors["power"].unit, sensors["power"].low, sensors["power"].high) == ("kW", 1, 90)


def test_an_extending_type_changes_what_it_names() -> None:
    text = types(
        "name: a, parameters: { x: { min: 0, max: 5, default: 1 }, y: { required: true } },"
        " sensors: [{ id: s, unit: kW, stepped: true }],"
        ' rules: [{ name: r, type: threshold, sensor: s, conditions: [{ operator: ">", threshold: 1 }] }]',
        "name: b, extends: a, parameters: { x: { max: 3 }, y: { default: 7 } }, sensors: [{ id: s, stepped: false }],"
        ' rules: [{ name: r, type: threshold, sensor: s, conditions: [{ operator: "<", threshold: 0 }] }]',
        "name: c, extends: b, parameters: { x: { range: [2, 9], default: 4 } }",
    )
    library = load(text, line("{ id: i, type: c }")).type_library()
    kind = library.find("c")
    assert kind is not None
    assert kind.lineage == ("c", "b", "a")
    assert kind.parameters["x"] == {"default": 4, "range": [2.0, 9.0]}
    assert kind.parameters["y"] == {"default": 7}
    assert kind.sensors["s"].fields == {"id": "s", "unit": "kW", "stepped": False}
    assert kind.rules["r"].owner == "b"
    assert kind.rules["r"].fields["conditions"][0]["operator"] == "<"
    assert library.subtypes("a") == {"a", "b", "c"}


def test_a_quantity_becomes_a_number_of_the_declared_unit() -> None:
    component = load(TYPES, pump('parameters: { max_flow: "3 l/s", length: "150 cm" }')).digital_twins[0].components[0]
    assert component.parameters == pytest.approx({"max_flow": 180, "length": 1.5})


def test_a_type_that_no_document_defines_stays_the_free_word_that_it_is() -> None:
    project = load(TYPES, line("{ id: c, type: conveyor, parameters: { anything: 1 }, sensors: [{ id: s }] }"))
    assert [each.id for each in project.digital_twins[0].components[0].sensors] == ["s"]
    assert applied(Graph(), project).find("line_1.c").properties == {"parameters": {"anything": 1}}


def test_sensors_that_no_instance_changes_are_one_value_for_all() -> None:
    components = load(TYPES, FORTY).digital_twins[0].components
    assert len({id(each.sensors[0]) for each in components}) == 1
    assert len({each.sensors[1].source for each in components}) == 40


def test_models_for_a_type_of_equipment_mean_its_extensions_too() -> None:
    models = """\
        predictive_maintenance:
          models:
            - name: m
              type: anomaly_detection
              algorithm: isolation_forest
              equipment_class: machine
              features: [power]
        """
    assert load(TYPES, pump(), models)


# Mistakes

A_PUMP = "{ name: pump, parameters: { x: { unit: m, max: 5 } }, sensors: [{ id: s, unit: kW, high: 5 }] }"
MISTAKES: list[tuple[str, list[str]]] = [
    # The type
    (types("name: line"), ["0.yaml:2:13: error: found 'line', which is the name of a level; choose another"]),
    (
        types("name: a", "name: a, version: 2", "name: a, version: 2"),
        ["0.yaml:4:25: error: found version 2 of a twice; a new version has a new number"],
    ),
    (types("name: a", "name: a"), ["0.yaml:3:13: error: found version 1 of a twice; a new version has a new number"]),
    (types("name: a, version: 0"), ["0.yaml:2:25: error: found the number 0, expected a number of 1 or more"]),
    (
        types("name: pump", "name: big, extends: pomp"),
        ["0.yaml:3:27: error: found 'pomp', which no document defines as a component type; did you mean 'pump'?"],
    ),
    (
        types("name: a, extends: c", "name: b, extends: a", "name: c, extends: b", "name: d, extends: a"),
        ["0.yaml:2:25: error: found a type that extends itself: a extends c extends b extends a"],
    ),
    (types("name: a, extends: a"), ["0.yaml:2:25: error: found a type that extends itself: a extends a"]),
    (
        types("name: a, sensors: [{ id: s }, { id: s }]"),
        ["0.yaml:2:43: error: found the id 's' twice in a"],
    ),
    (
        types("name: a, sensors: [{ id: s }]", "name: b, extends: a, sensors: [{ id: t, name: s }]"),
        ["0.yaml:3:38: error: found the name 's' twice in b; its state has one key each"],
    ),
    (
        types("name: a, sensors: [{ id: s, high: 3 }]", "name: b, extends: a, sensors: [{ id: s, low: 5 }]"),
        ["0.yaml:3:38: error: found low 5 above high 3"],
    ),
    (
        types("name: a, parameters: { x: { max: 3 } }", "name: b, extends: a, parameters: { x: { min: 5 } }"),
        ["0.yaml:3:45: error: found a lowest value of 5 above the highest, 3"],
    ),
    (
        types("name: a, parameters: { x: { max: 3, default: 5 } }"),
        ["0.yaml:2:52: error: found the number 5, expected 3 or less"],
    ),
    (
        types("name: a, parameters: { x: { max: 3, range: [1, 2] } }"),
        ["0.yaml:2:50: error: found range beside min or max, which say the same; leave one of them out"],
    ),
    (
        types("name: a, parameters: { x: { required: true, default: 5 } }"),
        ["0.yaml:2:60: error: found a default of what is required; leave one of them out"],
    ),
    (
        types("name: a, parameters: { x: { type: text, unit: m } }"),
        ["0.yaml:2:41: error: found a unit or a range of a text; they belong to numbers"],
    ),
    (
        types("name: a, parameters: { x: { unit: parsec2000 } }"),
        ["0.yaml:2:41: error: 'parsec2000' is not a unit that is known here"],
    ),
    (
        types('name: a, sensors: [{ id: s, source: "x/${compnent.id}" }]'),
        [
            "0.yaml:2:43: error: found ${compnent.id}, expected one of component, parameters, external_ids, properties;"
            " did you mean 'component'?"
        ],
    ),
    (
        types('name: a, parameters: { tag: {} }, sensors: [{ id: s, source: "x/${parameters.tga}" }]'),
        [
            "0.yaml:2:68: error: found ${parameters.tga}, which an instance of a does not have;"
            " did you mean 'parameters.tag'?"
        ],
    ),
    (
        types(
            "name: a, sensors: [{ id: flow }], "
            'rules: [{ name: r, type: threshold, sensor: flov, conditions: [{ operator: ">", threshold: 1 }] }]'
        ),
        ["0.yaml:2:85: warning: a has no sensor 'flov'; did you mean 'flow'?"],
    ),
    (
        types(
            "name: a, sensors: [{ id: s }], "
            'rules: [{ name: r, type: threshold, sensor: s, conditions: [{ operator: ">", '
            'threshold: "${parameters.m}" }] }]'
        ),
        ["0.yaml:2:126: error: found ${parameters.m}, which an instance of a does not have"],
    ),
    # The instance
    (
        TYPES + pump("parameters: { max_flow: 600 }"),
        ["0.yaml:23:54: error: found the number 600, expected 500 l/min or less (max_flow of pump)"],
    ),
    (
        TYPES + pump('parameters: { max_flow: "3 kW" }'),
        [
            "0.yaml:23:54: error: found the text '3 kW', expected a number of l/min:"
            " kW (power) cannot be converted to l/min (volume flow) (max_flow of pump)"
        ],
    ),
    (
        TYPES + pump('parameters: { max_flow: "300" }'),
        ["0.yaml:23:54: error: found the text '300', expected a number of l/min (max_flow of pump)"],
    ),
    (
        TYPES + pump("parameters: { max_flow: [1] }"),
        ["0.yaml:23:54: error: found a list, expected a number of l/min (max_flow of pump)"],
    ),
    (
        TYPES + pump("parameters: { max_flw: 60 }"),
        ["0.yaml:23:44: error: found the parameter 'max_flw', which pump does not have; did you mean 'max_flow'?"],
    ),
    (
        TYPES + pump("parameters: { colour: blue }"),
        [
            "0.yaml:23:44: error: found the parameter 'colour', which pump does not have, expected one of number,"
            " max_flow, length; what only this one has are `properties`"
        ],
    ),
    (
        types("name: pump, parameters: { x: { required: true } }") + pump(),
        ["0.yaml:6:9: error: the parameter 'x' is missing here; pump requires it"],
    ),
    (
        TYPES + pump("sensors: [{ id: power, high: -1 }]"),
        ["0.yaml:23:40: error: 'power' of the sensors of pump does not fit here: found low 0 above high -1"],
    ),
    (
        TYPES + pump("without: [flov]"),
        ["0.yaml:23:40: error: found 'flov', expected a sensor of pump; did you mean 'flow'?"],
    ),
    (
        TYPES + pump("without: [flow], sensors: [{ id: flow }]"),
        ["0.yaml:23:40: error: found 'flow', which is among the `sensors` here too"],
    ),
    (
        TYPES + pump("type_version: 3"),
        ["0.yaml:23:44: error: found version 3 of pump, expected 1"],
    ),
    (
        TYPES + line("{ id: c, type: pomp, type_version: 1 }"),
        [
            "0.yaml:23:30: warning: found `type_version`, which only an instance of one of `component_types` has;"
            " did you mean 'pump'?"
        ],
    ),
    (
        types('name: pump, sensors: [{ id: s, source: "${external_ids.sap}" }]') + pump(),
        [
            "0.yaml:6:9: error: 's' of the sensors of pump does not fit here: 'external_ids.sap' is not known here",
        ],
    ),
    (
        types("name: pump, sensors: [{ id: s, source: x }]") + FORTY.replace("parameters: { number: ${each} }", ""),
        ["0.yaml:6:9: error: found the source 'x', whose readings line_1.pump_1.s has already (in pump_2 and 38 more)"],
    ),
    # All forty are wrong, and it is told once; one is wrong, and it is told which.
    (
        TYPES + FORTY.replace("number:", "max_flow: -1, number:"),
        [
            "0.yaml:26:33: error: found the number -1, expected 0 l/min or more"
            " (max_flow of pump) (in pump_1 and 39 more)"
        ],
    ),
    (
        TYPES + FORTY.replace("number:", "max_flow: '${each * 12.6}', number:"),
        [
            "0.yaml:26:33: error: found the number 504.0, expected 500 l/min or less (max_flow of pump) (in pump_40)",
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_a_mistake_is_told_with_its_place(text: str, expected: list[str]) -> None:
    assert mistakes(text) == expected


def test_where_a_type_is_wrong_its_instances_are_not_blamed() -> None:
    found = mistakes(TYPES.replace("max_flow: { unit: l/min,", "max_flow: { unit: lmin,") + FORTY)
    assert found == ["0.yaml:11:25: error: 'lmin' is not a unit that is known here; did you mean 'l/min'?"]
    wrong = types("name: a, sensors: [{ id: s, high: 3 }]", "name: pump, extends: a, sensors: [{ id: s, low: 5 }]")
    assert mistakes(wrong + FORTY.replace('number: "${each}"', "")) == ["0.yaml:3:41: error: found low 5 above high 3"]


def test_a_warning_about_a_type_hides_no_mistake_of_an_instance() -> None:
    found = mistakes(TYPES.replace("plant/$", "${SITE}/$") + pump("parameters: { max_flow: 600 }"))
    assert found == [
        "0.yaml:14:54: warning: the variable SITE is not set",
        "0.yaml:23:54: error: found the number 600, expected 500 l/min or less (max_flow of pump)",
    ]


# Versions


def test_a_new_version_reaches_forty_pumps_in_one_revision_and_the_plan_tells_it_once(twin: Twin) -> None:
    apply_plan(plan(load(TYPES, FORTY), twin.graph), twin)
    revision = twin.graph.revision
    planned = plan(load(second_version(), FORTY), twin.graph, twin.state)
    assert planned.text() == (
        "~ pump 1 → 2: 40 instances (line_1.pump_1, line_1.pump_2, … line_1.pump_40)\n"
        "    + seal_temp  (sensor of type temperature)\n"
        "        + signal value (unit: celsius)\n"
        "~ component_types[pump].version: 1 → 2\n"
        '+ component_types[pump].sensors[seal_temp]: {"id": "seal_temp", "type": "temperature", "unit": "celsius…\n'
        "\n"
        "nodes: 40 added, 40 changed; other definitions: 2 changed\n"
    )
    (change,) = planned.to_dict()["types"]
    assert (change["type"], change["from"], change["to"], len(change["instances"])) == ("pump", 1, 2, 40)
    apply_plan(planned, twin)
    assert twin.graph.revision == revision + 1
    assert {twin.graph.find(f"pump_{n}").properties["type_version"] for n in range(1, 41)} == {2}
    assert len([node for node in twin.graph.nodes(level=Level.SENSOR) if node.short_id == "seal_temp"]) == 40
    assert plan(load(second_version(), FORTY), twin.graph, twin.state).empty


def test_forty_new_pumps_are_told_once_and_what_differs_is_not() -> None:
    text = plan(load(TYPES, FORTY), Graph()).text()
    assert text.startswith("+ pump 1: 40 new instances (line_1.pump_1, line_1.pump_2, … line_1.pump_40)\n")
    assert "    + parameters: …\n" in text
    assert "        + source: …\n" in text
    assert "    + rule machine.hungry\n    + rule pump.too_much\n" in text
    assert "pump_17" not in text


def test_a_rule_that_changes_is_told_with_the_instances_that_it_watches() -> None:
    graph = applied(Graph(), load(TYPES, FORTY, line("{ id: mill, type: machine }").replace("line_1", "line_2")))
    text = plan(load(TYPES.replace("threshold: 50", "threshold: 60"), FORTY), graph).text()
    assert text.startswith(
        "~ pump 1: 40 instances (line_1.pump_1, line_1.pump_2, … line_1.pump_40)\n    ~ rule machine.hungry"
    )


def test_a_thousand_instances_migrate_in_one_revision_or_not_at_all(tmp_path: Path) -> None:
    thousand = FORTY.replace("[1, 40]", "[1, 1000]")
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(load(TYPES, thousand), twin.graph), twin)
        revision = twin.graph.revision
        index = twin.graph.find_signal("pump_777.power").index
        twin.apply(ReadingBatch.of([index], TIME, [7.0]))
        # Version 3 has no power any more: one of the thousand has readings, so none of them changes.
        without = TYPES.replace("extends: machine\n", "version: 3\n", 1)
        planned = plan(load(without, thousand.replace("parameters:", "properties:")), twin.graph, twin.state)
        assert planned.changes.lost() == ["line_1.pump_777.power"]
        before = twin.graph
        with pytest.raises(ConflictError, match=r"pump_777\.power would be removed and has history"):
            apply_plan(planned, twin)
        assert twin.graph is before
        apply_plan(plan(load(second_version(), thousand), twin.graph, twin.state), twin)
        assert twin.graph.revision == revision + 1
        assert twin.graph.find_signal("pump_777.power").index == index
    with Twin.open(tmp_path / "data") as twin:
        assert len([node for node in twin.graph.nodes(level=Level.SENSOR) if node.short_id == "seal_temp"]) == 1000
        assert plan(load(second_version(), thousand), twin.graph, twin.state).empty


def test_an_instance_may_stay_at_a_version_while_others_go_on() -> None:
    both = TYPES + second_version(TYPES[TYPES.index("  - name: pump") :])
    pinned = FORTY + "      - { id: old, type: pump, type_version: 1 }\n"
    graph = applied(Graph(), load(TYPES, pinned))
    assert graph.find("old").properties["type_pinned"] is True
    graph = applied(graph, load(both, pinned))
    assert "line_1.old.seal_temp" not in graph
    assert graph.find("old").properties["type_version"] == 1
    assert "line_1.pump_40.seal_temp" in graph
    # Beside the first, the second version is a type of its own in the plan.
    assert "+ component_types[pump 2]: " in plan(load(both, pinned), applied(Graph(), load(TYPES, pinned))).text()
    (old,) = [one for one in exported(graph)["digital_twins"][0]["components"] if one["id"] == "old"]
    assert old == {"id": "old", "type": "pump", "type_version": 1}
    # A pin says something even where it is at the newest.
    assert exported(applied(Graph(), load(TYPES, pinned)))["digital_twins"][0]["components"][-1] == old
    assert mistakes(second_version(), pinned) == ["1.yaml:8:46: error: found version 1 of pump, expected 2"]


def test_another_type_keeps_the_history_of_the_sensors_that_both_have(twin: Twin) -> None:
    types = TYPES + "  - { name: seal_pump, extends: pump, sensors: [{ id: seal_temp }] }\n"
    apply_plan(plan(load(types, pump()), twin.graph), twin)
    index = twin.graph.find_signal("p.flow").index
    twin.apply(ReadingBatch.of([index], TIME, [7.0]))
    planned = plan(load(types, pump().replace("type: pump", "type: seal_pump")), twin.graph, twin.state)
    assert "~ type: pump → seal_pump" in planned.text()
    apply_plan(planned, twin)
    assert twin.graph.find_signal("p.flow").index == index
    assert twin.graph.find("p.seal_temp").level is Level.SENSOR


# Export


def test_an_export_keeps_types_and_leaves_out_what_instances_have_from_them() -> None:
    changed = "      - { id: big, type: pump, parameters: { max_flow: 300 }, without: [flow], "
    changed += "sensors: [{ id: power, name: load, low: 1 }, { id: noise }] }\n"
    graph = applied(Graph(), load(TYPES, FORTY + changed))
    document = exported(graph)
    components = document["digital_twins"][0]["components"]
    assert components[6] == {"id": "pump_7", "type": "pump", "parameters": {"number": 7}}
    assert components[40] == {
        "id": "big",
        "type": "pump",
        "parameters": {"max_flow": 300},
        "sensors": [{"id": "power", "name": "load", "low": 1.0}, {"id": "noise"}],
        "without": ["flow"],
    }
    assert plan(load(export(graph)), graph).empty
    # So a new version of the type still reaches all of them.
    again = export(graph).replace('- name: "pump"\n  version: 1', '- name: "pump"\n  version: 2', 1)
    assert plan(load(again), graph).changes.counts()["changed"] == 41


def test_what_readings_taught_does_not_fill_an_export(twin: Twin) -> None:
    apply_plan(plan(load(TYPES, FORTY), twin.graph), twin)
    index = twin.graph.find_signal("pump_1.flow").index
    twin.change(lambda edit: edit.update_signal(index, data_type="number"), "ingest")
    assert exported(twin.graph)["digital_twins"][0]["components"][0].keys() == {"id", "type", "parameters"}
    assert plan(load(export(twin.graph)), twin.graph, twin.state).empty


def test_types_survive_a_restart_and_the_sections_read_back(tmp_path: Path) -> None:
    project = load(TYPES, FORTY)
    assert Project.from_sections(project.sections()).sections() == project.sections()
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(project, twin.graph), twin)
    with Twin.open(tmp_path / "data") as twin:
        kind = TypeLibrary.of(twin.graph.definition).of_node(twin.graph.find("pump_3"))
        assert kind is not None and (kind.name, kind.version) == ("pump", 1)


def test_the_schema_knows_types() -> None:
    validator = jsonschema.Draft7Validator(json_schema())
    for text in (TYPES, FORTY, pump('without: [flow], type_version: 1, parameters: { max_flow: "3 l/s" }')):
        validator.validate(Tree(text, "f").documents[0])
    for wrong in (types("name: a, extends: [b]"), types("name: a, parameters: { x: 5 }"), types("sensors: []")):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(Tree(wrong, "f").documents[0])


# Whatever types and instances there are

ids = st.sampled_from(["a", "b", "c", "d"])
numbers = st.integers(0, 9)


@st.composite
def sensors(draw: st.DrawFn, owner: str = "${component.path}") -> list[dict[str, Any]]:
    found = []
    for id in draw(st.lists(ids, unique=True, max_size=3)):
        fields = st.fixed_dictionaries(
            {"id": st.just(id)},
            optional={
                "name": st.just(f"n_{id}"),
                "type": st.sampled_from(["flow", "power"]),
                "unit": st.sampled_from(["kW", "celsius"]),
                "low": st.integers(-9, 0),
                "high": st.integers(1, 9),
                "stepped": st.booleans(),
                "properties": st.just({"x": 1}),
                "source": st.just(f"{owner}/{id}"),
                "expected_interval": st.just("5s"),
                "labels": st.just(["on", "off"]),
            },
        )
        found.append(draw(fields))
    return found


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for name in ("base", "middle", "top"):
        for version in range(1, draw(st.integers(2, 3))):
            parameters = {
                id: draw(st.fixed_dictionaries({}, optional={"default": numbers, "min": st.just(0), "max": st.just(9)}))
                for id in draw(st.lists(ids, unique=True, max_size=2))
            }
            kind = {"name": name, "version": version, "sensors": draw(sensors()), "parameters": parameters}
            if name != "base" and draw(st.booleans()):
                kind["extends"] = "base" if name == "middle" else "middle"
            found.append(kind)
    library = TypeLibrary(found)
    components = []
    for number in range(draw(st.integers(0, 4))):
        kind = library.find(draw(st.sampled_from(["base", "middle", "top"])))
        assert kind is not None
        component: dict[str, Any] = {"id": f"i{number}", "type": kind.name}
        if draw(st.booleans()):
            component["type_version"] = draw(st.sampled_from(library.versions(kind.name)))
            kind = library.find(kind.name, component["type_version"])
            assert kind is not None
        component["parameters"] = {name: draw(numbers) for name in kind.parameters if draw(st.booleans())}
        own = draw(sensors(f"own/{number}"))
        named = {sensor["id"] for sensor in own}
        component["sensors"] = own
        component["without"] = [id for id in kind.sensors if id not in named and draw(st.booleans())]
        components.append(component)
    return {"component_types": found, "digital_twins": [{"name": "line", "components": components}]}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), documents())
def test_what_is_applied_and_exported_is_found_equal(before: dict[str, Any], after: dict[str, Any]) -> None:
    graph = Graph()
    for document in (before, after):
        project, findings = load_texts({"f": dump_yaml(document)}, {})
        assert project is not None, [str(finding) for finding in findings]
        graph = applied(graph, project)
        again, findings = load_texts({"f": export(graph)}, {})
        assert again is not None, [str(finding) for finding in findings]
        assert plan(again, graph).empty, plan(again, graph).text()
        assert applied(Graph(), again).definition == graph.definition


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_value_fits_exactly_if_it_is_in_the_range(value: float, one: float, other: float) -> None:
    declared = {"unit": "m", "min": min(one, other), "max": max(one, other)}
    try:
        assert fit(declared, value) == value
        fits = True
    except Exception as error:
        assert "expected" in str(error)
        fits = False
    assert fits == (declared["min"] <= value <= declared["max"])
