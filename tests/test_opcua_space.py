"""The address space follows the graph: whatever the way to a revision, it is as if it had been made of it."""

import random
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

from iotsense.opcua_nodes import Items, engineering_unit
from iotsense.opcua_space import Space
from iotsense.opcua_values import datetime_of, latest, ns_of, status_of
from iotsense.twin.errors import IoTSenseError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level, Signal
from iotsense.twin.state import Reading
from iotsense.twin.twin import Twin

STANDARD = {
    ua.NodeClass.Object: [ua.ObjectIds.ObjectsFolder],
    ua.NodeClass.ObjectType: [ua.ObjectIds.FolderType, ua.ObjectIds.BaseObjectType],
    ua.NodeClass.VariableType: [ua.ObjectIds.PropertyType, ua.ObjectIds.AnalogItemType, 15318, 63, 2373],
    ua.NodeClass.ReferenceType: [ua.ObjectIds.NonHierarchicalReferences],
}


def bare() -> AddressSpace:
    """An address space that holds only what the twin's nodes refer to."""
    space = AddressSpace()
    for kind, ids in STANDARD.items():
        for id in ids:
            node = NodeData(ua.NodeId(id))
            given = {
                ua.AttributeIds.NodeClass: ua.Variant(kind.value, ua.VariantType.Int32),
                ua.AttributeIds.BrowseName: ua.Variant(ua.QualifiedName(str(id))),
                ua.AttributeIds.DisplayName: ua.Variant(ua.LocalizedText(str(id))),
            }
            node.attributes = {name: AttributeValue(ua.DataValue(value)) for name, value in given.items()}
            space[node.nodeid] = node
    return space


def space_of() -> tuple[AddressSpace, Space]:
    made = bare()
    return made, Space(made, Items(1, 100.0, lambda node, signal: False), lambda index: ua.DataValue(index))


def picture(space: AddressSpace) -> dict[str, Any]:
    """The twin's nodes with their attributes and references; types that once were in use stay."""
    ids = [id for id in space.keys() if id.NamespaceIndex == 1]  # noqa: SIM118 it is no mapping
    own = [id for id in ids if not str(id.Identifier).startswith(("type:", "relationship:"))]
    return {id.Identifier: (shown(space[id]), references(space[id])) for id in own}


def shown(node: NodeData) -> dict[str, str]:
    """Its attributes; for a variable the index of the signal that it asks for."""
    asked = {name: each.value_callback for name, each in node.attributes.items()}
    return {
        name.name: str(each.value if asked[name] is None else asked[name](node.nodeid, name))
        for name, each in node.attributes.items()
    }


def references(node: NodeData) -> list[tuple[str, bool, str, str]]:
    found = [(each.ReferenceTypeId, each.IsForward, each.NodeId, each.DisplayName.Text) for each in node.references]
    return sorted((str(type), bool(forward), str(to), name) for type, forward, to, name in found)


class Editor:
    """Random changes of a plant."""

    def __init__(self, seed: int, twin: Twin) -> None:
        self._random = random.Random(seed)
        self._number = 0
        self._twin = twin

    def change(self, edit: GraphEdit) -> None:
        self._number += 1
        nodes = list(self._twin.graph.nodes())
        if not nodes:
            edit.add_node(id="line", level=Level.LINE, name="line")
            return
        self._random.choice((self._add, self._add, self._add, self._rename, self._remove, self._signal, self._relate))(
            edit, self._random.choice(nodes)
        )

    def _add(self, edit: GraphEdit, node: Any) -> None:
        if node.level is Level.SENSOR:
            return
        level = self._random.choice((Level.COMPONENT, Level.SENSOR, Level.SENSOR))
        added = edit.add_node(
            id=f"{node.id}.n{self._number}",
            level=level,
            name=f"name {self._number}",
            parent=node.key,
            type=self._random.choice((None, "pump", "valve")),
            properties=self._random.choice(({}, {"parameters": {"rate": 5, "kind": "x"}}, {"description": "d"})),
        )
        if level is Level.SENSOR:
            for name in self._random.choice((["value"], ["value"], ["value[0]", "value[1]"], [])):
                edit.add_signal(added.key, name, unit="bar", low=0.0, high=self._random.choice((None, 9.0)))

    def _rename(self, edit: GraphEdit, node: Any) -> None:
        edit.update_node(node.key, name=f"other {self._number}")

    def _remove(self, edit: GraphEdit, node: Any) -> None:
        for below in [*self._twin.graph.descendants(node.key)][::-1]:
            edit.remove_node(below.key)
        edit.remove_node(node.key)

    def _signal(self, edit: GraphEdit, node: Any) -> None:
        signals = self._twin.graph.signals_of(node.key)
        if node.level is not Level.SENSOR and self._twin.graph.signal_of(node.key, "health") is None:
            edit.add_signal(node.key, "health", unit="percent", low=0.0, high=100.0)
        elif signals:
            edit.update_signal(self._random.choice(signals).index, unit=self._random.choice(("kPa", "mbar")))

    def _relate(self, edit: GraphEdit, node: Any) -> None:
        others = [other for other in self._twin.graph.nodes() if other.key != node.key]
        if others:
            other = self._random.choice(others)
            edit.relate(node.key, self._random.choice(("feeds", "cools")), other.key)


async def test_following_leads_where_making_anew_does(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    for walk in range(3):
        followed, space = space_of()
        with Twin.open(tmp_path / str(walk)) as twin:
            editor = Editor(seed + walk, twin)
            for step in range(60):
                try:
                    twin.change(editor.change, "test")
                except IoTSenseError:
                    continue  # what a random plant cannot be
                if step % 3 == 0:
                    await space.follow(twin.graph)
                    anew, other = space_of()
                    await other.follow(twin.graph)
                    assert picture(followed) == picture(anew), f"seed {seed + walk}, step {step}"
                    for signal in twin.graph.signals():
                        assert space.signal_at(space.variable(signal.index)) == signal


async def test_two_of_one_id_do_not_stop_the_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def build(edit: GraphEdit) -> None:
        line = edit.add_node(id="line", level=Level.LINE, name="line")
        edit.add_signal(line.key, "health", unit="percent")
        sensor = edit.add_node(id="line.health", level=Level.SENSOR, name="health of people", parent=line.key)
        edit.add_signal(sensor.key, "value", low=0.0, high=9.0)

    made, space = space_of()
    with Twin.open(tmp_path) as twin:
        twin.change(build, "test")
        await space.follow(twin.graph)
        assert "line.health is left out" in caplog.text
        assert ua.NodeId("line.health", 1) in made
        twin.change(lambda edit: [edit.remove_node(key) for key in (2, 1)], "test")
        await space.follow(twin.graph)
        assert set(picture(made)) == {"plant:"}


@pytest.mark.parametrize(
    ("quality", "name"),
    [(192, "Good"), (216, "GoodLocalOverride"), (64, "Uncertain"), (68, "UncertainLastUsableValue"),
     (0, "Bad"), (8, "BadNotConnected"), (24, "BadNoCommunication"), (255, "Good")],
)  # fmt: skip
def test_qualities_are_status_codes(quality: int, name: str) -> None:
    assert status_of(quality).name == name


@pytest.mark.parametrize(
    ("unit", "number", "symbol"),
    [("celsius", 0x43454C, "°C"), ("m/s", 0x4D5453, "m/s"), ("percent", 0x5031, "%"), ("fl.oz/week", -1, "fl.oz/week")],
)
def test_units_by_their_unece_code(unit: str, number: int, symbol: str) -> None:
    told = engineering_unit(unit)
    assert (told.UnitId, told.DisplayName.Text) == (number, symbol)


def test_times_to_the_microsecond_and_within_what_can_be_said() -> None:
    for time in (0, 1_700_000_000_123_456_000, -5_000_000_000_000_000):
        assert ns_of(datetime_of(time)) == time
    assert datetime_of(-(2**63)).year == 1677
    assert datetime_of(2**63 - 1).year == 2262


def test_a_value_that_is_none() -> None:
    number = Signal(0, 1, "value")
    assert latest(number, None, lambda *_: None).StatusCode.name == "BadWaitingForInitialData"
    bad = latest(number, Reading(5.0, 0, 0, 1), lambda *_: None)
    assert (bad.Value, bad.StatusCode.name) == (None, "Bad")
    text = Signal(0, 1, "value", data_type=DataType.TEXT)
    assert latest(text, Reading(1.0, 0, 192, 1), lambda index, code: f"{code}").Value.Value == "1.0"
