"""`for_each`: one entry that stands for many, and mistakes that name the file, the line and the entry they are in."""

from textwrap import dedent
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.twin.define_project import Project
from iotsense.twin.define_twins import Component
from iotsense.twin.document import Tree
from iotsense.twin.finding import Finding
from iotsense.twin.project import load_texts
from iotsense.twin.schema import json_schema

FORTY = """\
digital_twins:
  - name: line_1
    components:
      - for_each: { range: [1, 40] }
        id: "pump_${each}"
        name: "Pump ${pad(each, 2)}"
        type: pump
        sensors: [{ id: flow, unit: l/min, source: "plant/pumps/${each}/flow" }]
        parameters: { number: "${each}", slot: "${(index + 1) * 10}", kind: "${'p' + str(each)}" }
      - id: header
    relationships:
      - { for_each: { range: [1, 39] }, from: "pump_${each}", to: "pump_${each + 1}", type: feeds_into }
"""


def load(text: str, env: dict[str, str] | None = None) -> Project:
    project, findings = load_texts({"f.yaml": dedent(text)}, env or {})
    assert project is not None, [str(finding) for finding in findings]
    assert findings == []
    return project


def mistakes(text: str, env: dict[str, str] | None = None) -> list[str]:
    return [str(finding) for finding in load_texts({"f.yaml": dedent(text)}, env or {})[1]]


def components(text: str, env: dict[str, str] | None = None) -> list[Component]:
    return load(text, env).digital_twins[0].components


def test_one_entry_makes_forty_pumps() -> None:
    line = load(FORTY).digital_twins[0]
    assert [each.id for each in line.components] == [*(f"pump_{n}" for n in range(1, 41)), "header"]
    seventh = line.components[6]
    assert (seventh.name, seventh.sensors[0].source) == ("Pump 07", "plant/pumps/7/flow")
    # A text that is one reference and nothing else becomes the value, a number for example.
    assert seventh.parameters == {"number": 7, "slot": 70, "kind": "p7"}
    assert [(each.from_, each.to) for each in line.relationships][-1] == ("pump_39", "pump_40")
    assert len(line.relationships) == 39


def test_what_for_each_writes_is_what_one_would_write_by_hand() -> None:
    by_hand = "\n".join(
        f"""\
      - {{ id: pump_{n}, name: "Pump {n:02}", type: pump,
           sensors: [{{ id: flow, unit: l/min, source: "plant/pumps/{n}/flow" }}],
           parameters: {{ number: {n}, slot: {n * 10}, kind: p{n} }} }}"""
        for n in range(1, 41)
    )
    arrows = "\n".join(f"      - {{ from: pump_{n}, to: pump_{n + 1}, type: feeds_into }}" for n in range(1, 40))
    rest = f"      - id: header\n    relationships:\n{arrows}"
    text = f"digital_twins:\n  - name: line_1\n    components:\n{by_hand}\n{rest}"
    assert load(FORTY).sections() == load(text).sections()


def test_a_list_gives_values_or_mappings() -> None:
    found = components(
        """\
        digital_twins:
          - name: l
            components:
              - { for_each: [inlet, outlet], id: "valve_${each}" }
              - for_each:
                  - { name: a, power: 5.5, tags: [x, y], sap: "100" }
                  - { name: b, power: 7, tags: [z], sap: "200" }
                id: "motor_${each.name}"
                parameters: { power: "${each.power}", half: "${each.power / 2}", tags: "${each.tags}" }
                external_ids: { sap: "${each.sap}" }
        """
    )
    assert [each.id for each in found] == ["valve_inlet", "valve_outlet", "motor_a", "motor_b"]
    assert found[2].parameters == {"power": 5.5, "half": 2.75, "tags": ["x", "y"]}
    assert found[3].external_ids == {"sap": "200"}


def test_entries_nest_and_see_the_entry_around_them() -> None:
    lines = load(
        """\
        digital_twins:
          - for_each: [{ name: north, pumps: [a, b] }, { name: south, pumps: [c] }]
            name: "line_${each.name}"
            components:
              - for_each: "${each.pumps}"
                id: "pump_${each}"
                sensors:
                  - for_each: { range: [1, 2] }
                    id: "bearing_${each}"
                    source: "${outer.outer.each.name}/${outer.each}/${each}"
        """
    ).digital_twins
    assert [(line.name, [each.id for each in line.components]) for line in lines] == [
        ("line_north", ["pump_a", "pump_b"]),
        ("line_south", ["pump_c"]),
    ]
    assert [each.source for each in lines[0].components[1].sensors] == ["north/b/1", "north/b/2"]


def test_the_environment_counts_and_names() -> None:
    text = """\
        digital_twins:
          - name: l
            components: [{ for_each: { range: [1, "${PUMPS}"] }, id: "p_${each}", name: "${SITE} ${each}" }]
        """
    assert [each.name for each in components(text, {"PUMPS": "2", "SITE": "Ulm"})] == ["Ulm 1", "Ulm 2"]
    assert components(text, {"PUMPS": "0", "SITE": "Ulm"}) == []


def test_a_range_may_have_steps_and_a_list_may_be_empty() -> None:
    line = "digital_twins: [{name: l, components: [{for_each: %s, id: 'c_${each}'}]}]"
    assert [each.id for each in components(line % "{range: [10, 30], step: 10}")] == ["c_10", "c_20", "c_30"]
    assert components(line % "[]") == []


def test_other_templates_are_left_for_their_engines() -> None:
    found = components(
        """\
        digital_twins:
          - name: l
            components: [{ for_each: [1], id: "c_${each}", description: "${topic} of $${each} ${each}" }]
        """
    )
    assert found[0].description == "${topic} of $${each} 1"


def entry(fields: str, more: str = "") -> str:
    return f"digital_twins:\n  - name: l\n    components:\n      - {fields}\n{more}"


MISTAKES = [
    (
        entry("{ for_each: 5, id: 'p_${each}' }"),
        ["f.yaml:4:21: error: found the number 5, expected a list, or a range such as {range: [1, 40]}"],
    ),
    (
        entry("{ for_each: { range: [1] }, id: 'p_${each}' }"),
        ["f.yaml:4:30: error: expected two whole numbers here, the first and the last: [1, 40]"],
    ),
    (
        entry("{ for_each: { range: [1, 2.5] }, id: 'p_${each}' }"),
        ["f.yaml:4:30: error: expected two whole numbers here, the first and the last: [1, 40]"],
    ),
    (
        entry("{ for_each: { range: [40, 1] }, id: 'p_${each}' }"),
        ["f.yaml:4:30: error: found the range from 40 down to 1, expected the smaller number first"],
    ),
    (
        entry("{ for_each: { range: [1, 2], step: 0 }, id: 'p_${each}' }"),
        ["f.yaml:4:44: error: expected a whole number of 1 or more as step"],
    ),
    (
        entry("{ for_each: { range: [1, 2], steps: 1 }, id: 'p_${each}' }"),
        ["f.yaml:4:38: error: found the unknown key 'steps', expected range, step"],
    ),
    (
        entry("{ for_each: [{ name: a }, { nam: b }], id: 'p_${each.name}' }"),
        [
            "f.yaml:4:52: error: found 'p_${each.name}' in an entry with for_each: 'each.name' is not known here;"
            " did you mean 'each.nam'? (in index = 1)"
        ],
    ),
    (
        entry("{ for_each: [a], id: 'p_${each + 1}' }"),
        [
            "f.yaml:4:30: error: found 'p_${each + 1}' in an entry with for_each: expression 'each + 1':"
            " 1 is not a text (in each = a)"
        ],
    ),
    (
        entry("{ for_each: [{ a: 1 }], id: 'p_${each}' }"),
        [
            "f.yaml:4:37: error: found 'p_${each}' in an entry with for_each:"
            " {'a': 1} cannot be part of a text (in index = 0)"
        ],
    ),
    (
        entry("{ for_each: [1, 2], id: 'p_${each +}' }"),
        [
            "f.yaml:4:33: error: found 'p_${each +}' in an entry with for_each: expression 'each +', column 7:"
            " expected a value, found the end (in each = 1 and 1 more)"
        ],
    ),
    # A mistake that all entries have is told once, and says how many there are.
    (
        entry("{ for_each: { range: [1, 40] }, id: 'p_${each}', modell: blue }"),
        ["f.yaml:4:58: error: found the unknown key 'modell' (in p_1 and 39 more); did you mean 'model'?"],
    ),
    (
        entry("{ for_each: { range: [1, 3] }, id: 'p ${each}' }"),
        [
            f"f.yaml:4:44: error: found 'p {n}', expected an id of letters, digits, '_' and '-'"
            f" (dots join the parts of a path) (in p {n}); did you mean 'p_{n}'?"
            for n in (1, 2, 3)
        ],
    ),
    # The wrong value stands in the list, and that is where one is sent.
    (
        entry(
            "for_each:",
            "          - { n: a, low: 1 }\n          - { n: b, low: x }\n        id: 'p_${each.n}'\n"
            "        sensors: [{ id: s, low: '${each.low}' }]\n",
        ),
        ["f.yaml:6:26: error: found the text 'x', expected a number (in p_b)"],
    ),
    (
        entry("{ for_each: [1, 2], id: same }"),
        ["f.yaml:4:33: error: found the id 'l.same' twice; ids are unique (in same)"],
    ),
    (
        entry("{ for_each: [1, 2], id: 'p_${each}', sensors: [{ id: s, source: x }] }"),
        ["f.yaml:4:73: error: found the source 'x', whose readings l.p_1.s has already (in p_2)"],
    ),
    (
        entry(
            "{ for_each: [1, 2], id: 'p_${each}' }",
            "    relationships: [{ for_each: [1, 2], from: 'p_${each}', to: 'q_${each}', type: f }]",
        ),
        [
            f"f.yaml:5:64: error: found 'q_{n}', which no document defines (in p_{n} to q_{n}); did you mean 'p_{n}'?"
            for n in (1, 2)
        ],
    ),
    (
        entry("{ id: 'p_${index}' }"),
        ["f.yaml:4:15: warning: the variable index is not set"],
    ),
    (
        "anomaly_detection: { rules: [{ for_each: [1], name: r, type: threshold, sensor: s, conditions: [] }] }",
        None,
    ),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes_name_the_place_and_the_entry(text: str, expected: list[str] | None) -> None:
    found = mistakes(text)
    if expected is None:
        assert any("unknown key 'for_each'" in each for each in found)
    else:
        assert found == expected


def test_the_entry_is_told_to_programs_too() -> None:
    _, findings = load_texts({"f": entry("{ for_each: [1], id: 'p_${each}', colour: x }")}, {})
    assert findings[0].to_json()["instance"] == "p_1"
    assert findings[0].path == "digital_twins[0].components[0].colour"
    assert "instance" not in Finding("f", 1, 1, "error", "", "m").to_json()


def test_nobody_makes_more_than_the_house_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.twin.for_each.MAX_ENTRIES", 1000)
    inner = "components: [{ for_each: { range: [1, 100000000] }, id: 'c_${each}' }]"
    found = mistakes(f"digital_twins: [{{ for_each: {{ range: [1, 100000000] }}, name: 'l_${{each}}', {inner} }}]")
    assert any("found more than 1000 entries" in each for each in found)


def test_what_is_the_same_in_all_copies_is_kept_once() -> None:
    text = entry("{ for_each: { range: [1, 3] }, id: 'p_${each}', properties: { big: { a: [1, 2, 3] } } }")
    assert [each.properties for each in components(text)] == [{"big": {"a": [1, 2, 3]}}] * 3


def test_the_schema_knows_for_each() -> None:
    validator = jsonschema.Draft7Validator(json_schema())
    for text in (FORTY, entry("{ for_each: [a, { b: 1 }], id: 'p_${each}' }"), entry("{ for_each: '${X}', id: a }")):
        validator.validate(Tree(text, "f").documents[0])
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(Tree(entry("{ for_each: 5, id: a }"), "f").documents[0])


values = st.one_of(st.integers(-5, 5), st.sampled_from(["a", "b_1", "1.5"]), st.floats(0, 1), st.booleans())


@given(st.lists(st.fixed_dictionaries({"id": st.from_regex(r"[a-z]{1,6}", fullmatch=True), "value": values})))
def test_each_value_arrives_as_it_is(entries: list[dict[str, Any]]) -> None:
    names = [entry["id"] for entry in entries]
    listed = "\n".join(f"          - {{ id: {n['id']!r}, value: {_yaml(n['value'])} }}" for n in entries)
    text = entry(
        "for_each:" if entries else "for_each: []",
        f"{listed}\n        id: 'c_${{each.id}}_${{index}}'\n        parameters: {{ v: '${{each.value}}' }}\n",
    )
    found = components(text)
    assert [each.id for each in found] == [f"c_{name}_{n}" for n, name in enumerate(names)]
    assert [each.parameters["v"] for each in found] == [each["value"] for each in entries]


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
