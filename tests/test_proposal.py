"""A twin definition made of what a look found: valid whatever was found, in stable order, with what is unclear told."""

import json
import math
import random
from typing import Any

import pytest
import yaml

from iotsense.ingest.found import Found, FoundNode, FoundPoint, Look
from iotsense.ingest.joined_items import JoinedItems
from iotsense.ingest.proposal import identifier, natural, propose, unclear, without_comments
from iotsense.ingest.proposal_yaml import proposal_yaml
from iotsense.twin.errors import NotFoundError
from iotsense.twin.project import Project, load_texts

SOURCE = {"name": "opcua", "endpoint": "opc.tcp://127.0.0.1:4840"}


def point(name: str, **fields: Any) -> FoundPoint:
    id = f"ns=2;s={name}"
    return FoundPoint(name, item={"nodes": [{"id": id}]}, source=id, **fields)


def accepted(text: str) -> Project:
    """The project that a definition is; fails with what is wrong."""
    project, findings = load_texts({"proposed.yaml": text}, {})
    assert project is not None, "\n".join(map(str, findings)) + "\n" + text
    assert findings == [], findings
    return project


LINE = Found(
    SOURCE,
    [
        FoundNode(
            "Füller 1",
            [
                point("Speed 10", unit="1/min", low=0.0, high=400.0, data_type="number", writable=True),
                point("Speed 2", unit="furlongs", low=5.0, high=1.0),
                point("State", labels=["Idle", "Idle", ""], data_type="number"),
                point("Running", data_type="boolean", description="on\n or off"),
            ],
            [FoundNode("Empty"), FoundNode("Drive", [point("Torque", elements=3)], model="X-9")],
            type="FillerType",
            parameters={"serial": "007", "rated": 5.0, "nan": float("nan")},
        )
    ],
    title="Plant server",
    notes=["3 methods are no points"],
)


def test_what_was_found_becomes_a_twin_with_its_source() -> None:
    text = proposal_yaml(propose(LINE, Look()), "Proposed")
    project = accepted(text)
    twin = project.digital_twins[0]
    assert (twin.name, twin.title) == ("Plant_server", "Plant server")
    filler = twin.components[0]
    assert (filler.id, filler.name, filler.type) == ("Fuller_1", "Füller 1", "FillerType")
    assert filler.parameters == {"serial": "007", "rated": 5.0}
    speed = {sensor.id: sensor for sensor in filler.sensors}
    assert (speed["Speed_10"].unit, speed["Speed_10"].low, speed["Speed_10"].high) == ("1/min", 0, 400)
    assert speed["Speed_10"].source == "ns=2;s=Speed 10"
    assert speed["State"].labels == ["Idle", "Idle (1)", "2"]
    assert (speed["Running"].data_type, speed["Running"].stepped) == ("boolean", True)
    assert [component.id for component in filler.components] == ["Drive"]
    assert filler.components[0].sensors[0].joints == 3
    source: Any = project.sensor_ingestion.protocols[0]
    assert [node.id for node in source.nodes] == [
        "ns=2;s=Running", "ns=2;s=Speed 2", "ns=2;s=Speed 10", "ns=2;s=State", "ns=2;s=Torque",
    ]  # fmt: skip


def test_what_is_unclear_stands_as_a_comment_and_what_was_left_out_at_the_top() -> None:
    proposal = propose(LINE, Look(exclude=["*/Torque"]))
    text = proposal_yaml(proposal, "Proposed by a test")
    assert text.startswith("# Proposed by a test: 1 component, 4 sensors.\n")
    assert "# - 3 methods are no points\n# - 1 point that nobody asked for\n" in text
    assert "# unit: 'furlongs' is not a unit that is known here" in text
    assert "# range: the device says 5 to 1" in text
    told = {each["node"]: each["comments"] for each in unclear(proposal.document)}
    assert told["Plant_server.Fuller_1.Speed_10"] == ["the device lets it be written"]
    assert "unit" not in without_comments(proposal.document)["digital_twins"][0]["components"][0]["sensors"][1]


def test_two_looks_at_one_device_compare_line_by_line() -> None:
    points = [point(f"tag {number}", unit="bar") for number in range(30)]
    nodes = [FoundNode(f"pump {number}", points) for number in range(12)]
    expected = proposal_yaml(propose(Found(SOURCE, nodes), Look()), "Proposed")
    for _ in range(5):
        shuffled = [FoundNode(node.name, random.sample(points, 30)) for node in random.sample(nodes, 12)]
        # A source that several sensors name is bound by the first of them.
        assert proposal_yaml(propose(Found(SOURCE, shuffled), Look()), "Proposed") == expected
    assert expected.index("pump_2") < expected.index("pump_10")


def test_a_folder_around_everything_is_the_line_itself() -> None:
    folder = FoundNode("Hall 3", nodes=[FoundNode("Line 7", nodes=[FoundNode("Pump", [point("flow")])])])
    proposal = propose(Found(SOURCE, [folder]), Look(include=["Hall 3/Line 7/*"]))
    (twin,) = accepted(proposal_yaml(proposal, "Proposed")).digital_twins
    # A pump with a sensor is no folder; the innermost that is one gives the line its name.
    assert (twin.name, twin.title, [component.id for component in twin.components]) == ("Line_7", "Line 7", ["Pump"])


def test_a_device_cannot_fetch_variables() -> None:
    named = FoundNode("${HOME}", [point("a", description="it is ${HOME}", labels=["${HOME}", "b"]), point("${HOME}")])
    proposal = propose(Found(SOURCE, [named], title="${HOME}"), Look())
    text = proposal_yaml(proposal, "Proposed")
    assert "- 1 point whose address holds `${`" in text
    project, findings = load_texts({"proposed.yaml": text}, {"HOME": "/root"})
    assert (project is not None, findings) == (True, [])
    assert "/root" not in str(project)


def test_names_that_differ_stay_apart() -> None:
    nodes = [FoundNode("a b", [point("x/y"), point("x y"), point("x_y")]), FoundNode("a/b", [point("z")])]
    components = accepted(proposal_yaml(propose(Found(SOURCE, nodes), Look()), "Proposed")).digital_twins[0].components
    assert [component.id for component in components] == ["a_b", "a_b_2"]
    assert len({sensor.id for sensor in components[0].sensors}) == 3
    assert len({sensor.name or sensor.id for sensor in components[0].sensors}) == 3


def test_nothing_that_is_wanted_is_told() -> None:
    with pytest.raises(NotFoundError, match="nobody asked for 5 points"):
        propose(LINE, Look(include=["Other/*"]))
    with pytest.raises(NotFoundError, match="nothing was found"):
        propose(Found(SOURCE, []), Look())


def test_pieces_of_a_connection_are_joined() -> None:
    items = JoinedItems()
    for device, number in ((5, 1), (5, 2), (6, 1), (5, 1)):
        items.add({"devices": [{"device_id": device, "objects": [{"object": f"analog-input,{number}"}]}]})
    items.add({"topics": [{"pattern": "a/+", "schema": {"value": "$.v"}}]})
    items.add({"topics": [{"pattern": "a/+", "schema": {"value": "$.v"}}]})
    assert items.joined() == {
        "devices": [
            {"device_id": 5, "objects": [{"object": "analog-input,1"}, {"object": "analog-input,2"}]},
            {"device_id": 6, "objects": [{"object": "analog-input,1"}]},
        ],
        "topics": [{"pattern": "a/+", "schema": {"value": "$.v"}}],
    }


@pytest.mark.parametrize(
    ("name", "id"),
    [("Größe 1", "Grosse_1"), ("  Kühl-Wasser °C ", "Kuhl-Wasser_C"), ("温度", "_"), ("ns=2;s=A.B", "ns_2_s_A_B")],
)
def test_ids_are_readable(name: str, id: str) -> None:
    assert identifier(name) == id


def test_numbers_in_names_count() -> None:
    assert sorted(["b", "a10", "a2", "A3", "10", "9"], key=natural) == ["9", "10", "a2", "A3", "a10", "b"]


ALPHABET = "aZ09_-. /:#'\"\\{}[]&*!|>%@`~\n\t\x07\x85\ufeff\u2028éß温😀$,=<"


class Chance:
    """Things as strange as devices are."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def some(self, *of: Any) -> Any:
        return self._random.choice(of)

    def text(self) -> str:
        own = "".join(self._random.choice(ALPHABET) for _ in range(self._random.randrange(10)))
        return str(self.some(own, own, "on", "1_000", "12:30:00", "2026-11-26", "~", "null", "0x1f", "1e3", "speed"))

    def number(self) -> float | None:
        found: float | None = self.some(None, 0.0, 1.5, -3.0, 1e300, math.nan, math.inf, self._random.gauss(0, 100))
        return found

    def point(self) -> FoundPoint:
        return FoundPoint(
            self.text(),
            item=self.some({}, {"nodes": [{"id": f"i={self._random.randrange(9)}"}]}),
            source=self.some(None, f"x{self.text()}"),
            data_type=self.some(None, "number", "boolean", "text"),
            unit=self.some(None, "bar", "°C", "CEL", self.text()),
            low=self.number(),
            high=self.number(),
            labels=self.some((), ["a", "b"], [self.text() for _ in range(3)], ["x"] * 300),
            elements=self.some(None, None, 0, 6, 100),
            stepped=self.some(True, False),
            writable=self.some(True, False),
            interval=self.number(),
            type=self.some(None, self.text()),
            description=self.some(None, self.text()),
            note=self.some(None, self.text()),
        )

    def node(self, depth: int = 0) -> FoundNode:
        return FoundNode(
            self.text(),
            [self.point() for _ in range(self._random.randrange(4))],
            [self.node(depth + 1) for _ in range(self._random.randrange(max(1, 4 - depth)))],
            type=self.some(None, self.text()),
            model=self.some(None, self.text()),
            parameters={self.text(): self.some(self.text(), self.number() or 0.0, 7, True) for _ in range(2)},
            note=self.some(None, self.text()),
        )


def test_whatever_was_found_gives_a_definition_that_validates() -> None:
    seed = random.randrange(2**32)
    proposed = 0
    for number in range(60):
        chance = Chance(seed + number)
        source = SOURCE | {"nodes": [{"id": "i=1"}]}
        found = Found(source, [chance.node() for _ in range(2)], chance.text(), [chance.text()])
        try:
            proposal = propose(found, Look())
        except NotFoundError:
            continue
        text = proposal_yaml(proposal, f"Proposed with seed {seed + number}")
        accepted(text)
        # Other readers of YAML see the same.
        assert yaml.safe_load(text) == json.loads(json.dumps(without_comments(proposal.document)))
        proposed += 1
    assert proposed > 20
