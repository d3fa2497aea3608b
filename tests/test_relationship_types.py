"""Relationship types: what may connect to what, what is told about it, and how often."""

import jsonschema
import pytest
from type_fixtures import TYPES, applied, load, mistakes

from iotsense.twin.document import Tree
from iotsense.twin.export_definition import export
from iotsense.twin.graph import Graph
from iotsense.twin.plan import plan
from iotsense.twin.schema import json_schema

KINDS = """\
relationship_types:
  - name: feeds_into
    description: Material flows along it.
    from: component
    to: [machine, tank]
    properties:
      transfer_time: { unit: s, required: true, max: 60 }
      pipe: { type: text, default: steel }
      diameter: { unit: mm, min: 5 }
  - { name: drives, from: motor, to: pump, cardinality: one_to_one }
  - { name: supplies, from: [line, component], cardinality: one_to_many }
"""


def plant(relationships: str) -> str:
    return f"""\
digital_twins:
  - name: l
    components: [{{ id: p, type: pump }}, {{ id: m, type: motor }}, {{ id: n, type: motor }}, {{ id: t, type: tank }},
      {{ id: q, type: pump, sensors: [{{ id: s }}] }}]
    relationships:
      - {relationships}
"""


def test_what_the_types_allow_is_accepted_extensions_of_a_type_too() -> None:
    project = load(
        TYPES,
        KINDS,
        plant("{ from: m, to: p, type: drives }") + "      - { from: p, to: q, type: feeds_into, transfer_time: 2 }\n"
        "      - { from: q, to: t, type: feeds_into, transfer_time: 3s, properties: { diameter: 8 cm } }\n"
        "      - { from: l, to: p, type: supplies }\n      - { from: l, to: q, type: supplies }\n"
        "      - { from: t, to: m, type: whatever, properties: { a: 1 } }\n",
    )
    graph = applied(Graph(), project)
    found = {(one.type, graph.node(one.target).short_id): one.properties for one in graph.relationships()}
    assert found["feeds_into", "t"] == {"transfer_time": 3.0, "pipe": "steel", "diameter": 80.0}
    assert found["feeds_into", "q"] == {"transfer_time": 2.0, "pipe": "steel"}
    again = load(export(graph))
    assert plan(again, graph).empty
    assert again.sections()["relationship_types"] == project.sections()["relationship_types"]


MISTAKES = [
    (
        "{ from: m, to: n, type: drives }",
        ["2.yaml:6:24: error: found l.n, a component of type motor; drives ends at pump"],
    ),
    (
        "{ from: p, to: q, type: drives }",
        ["2.yaml:6:17: error: found l.p, a component of type pump; drives starts at motor"],
    ),
    (
        "{ from: l, to: p, type: feeds_into, transfer_time: 1 }",
        ["2.yaml:6:17: error: found l, a line; feeds_into starts at component"],
    ),
    (
        "{ from: p, to: q.s, type: feeds_into, transfer_time: 1 }",
        ["2.yaml:6:24: error: found l.q.s, a sensor; feeds_into ends at machine or tank"],
    ),
    (
        "{ from: p, to: t, type: feeds_into }",
        ["2.yaml:6:9: error: 'transfer_time' is missing here; feeds_into requires it"],
    ),
    (
        "{ from: p, to: t, type: feeds_into, transfer_time: 2m }",
        ["2.yaml:6:60: error: found the number 120.0, expected 60 s or less (transfer_time of feeds_into)"],
    ),
    (
        "{ from: p, to: t, type: feeds_into, transfer_time: 1, properties: { diametre: 3 } }",
        ["2.yaml:6:77: error: found the property 'diametre', which feeds_into does not have; did you mean 'diameter'?"],
    ),
    (
        "{ from: p, to: t, type: feeds_into, transfer_time: 1, properties: { colour: red } }",
        [
            "2.yaml:6:77: error: found the property 'colour', which feeds_into does not have, expected one of"
            " transfer_time, pipe, diameter"
        ],
    ),
    (
        "{ from: p, to: t, type: feeds_into, transfer_time: 1, properties: { diameter: 3, pipe: 5 } }",
        [
            "2.yaml:6:87: error: found the number 3, expected 5 mm or more (diameter of feeds_into)",
            "2.yaml:6:96: error: found the number 5, expected a text (pipe of feeds_into)",
        ],
    ),
    (
        "{ from: m, to: p, type: drives }\n      - { from: m, to: q, type: drives }",
        ["2.yaml:7:17: error: found a second drives of l.m, which is one_to_one: it leads to l.p already"],
    ),
    (
        "{ from: m, to: p, type: drives }\n      - { from: n, to: p, type: drives }",
        ["2.yaml:7:24: error: found a second drives of l.p, which is one_to_one: it comes from l.m already"],
    ),
    (
        "{ from: p, to: m, type: supplies }\n      - { from: q, to: m, type: supplies }",
        ["2.yaml:7:24: error: found a second supplies of l.m, which is one_to_many: it comes from l.p already"],
    ),
    (
        "{ for_each: [t, m], from: p, to: '${each}', type: drives }",
        [
            "2.yaml:6:22: error: found l.t, a component of type tank; drives ends at pump (in p to t)",
            "2.yaml:6:25: error: found l.m, a component of type motor; drives ends at pump (in p to m)",
            "2.yaml:6:35: error: found a second drives of l.p, which is one_to_one:"
            " it leads to l.t already (in p to m)",
            "2.yaml:6:35: error: found l.p, a component of type pump; drives starts at motor (in p to t and 1 more)",
        ],
    ),
]


@pytest.mark.parametrize(("relationships", "expected"), MISTAKES)
def test_a_relationship_that_its_type_does_not_allow_is_told_with_its_place(
    relationships: str, expected: list[str]
) -> None:
    assert mistakes(TYPES, KINDS, plant(relationships)) == expected


KIND_MISTAKES = [
    ("{ name: contains }", ["0.yaml:1:30: error: found contains, which follows from where nodes are written"]),
    ("{ name: a }, { name: a }", ["0.yaml:1:43: error: found the relationship type 'a' twice"]),
    (
        "{ name: a, from: sensr }",
        [
            "0.yaml:1:39: warning: no document defines 'sensr', expected a level or a type of components;"
            " did you mean 'sensor'?"
        ],
    ),
    (
        "{ name: a, to: [line, pump] }",
        ["0.yaml:1:44: warning: no document defines 'pump', expected a level or a type of components"],
    ),
    ("{ name: a, to: [] }", ["0.yaml:1:37: error: found a list, expected 1 or more items"]),
    (
        "{ name: a, cardinality: one_to_some }",
        [
            "0.yaml:1:46: error: found the text 'one_to_some', expected one of one_to_one, one_to_many, many_to_one,"
            " many_to_many; did you mean 'one_to_one'?"
        ],
    ),
    (
        "{ name: a, properties: { x: { min: 2, max: 1 } } }",
        ["0.yaml:1:50: error: found a lowest value of 2 above the highest, 1"],
    ),
]


@pytest.mark.parametrize(("kinds", "expected"), KIND_MISTAKES)
def test_a_mistake_in_a_relationship_type_is_told_with_its_place(kinds: str, expected: list[str]) -> None:
    assert mistakes(f"relationship_types: [{kinds}]") == expected


def test_the_schema_knows_relationship_types() -> None:
    validator = jsonschema.Draft7Validator(json_schema())
    validator.validate(Tree(KINDS, "f").documents[0])
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(Tree("relationship_types: [{ name: a, cardinality: some }]", "f").documents[0])
