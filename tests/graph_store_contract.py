"""What every home of the plant's graph shows. Derive a class from it that says how its store is brought up."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from facade_fixtures import S, breach, put

from iotsense.twin.entry import EventDraft
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.store_graph import Picture, PicturedNode
from iotsense.twin.twin import Twin

NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * S


class Home:
    """A store under test: `twin` is what it shows. `restart` is a new process over the same data."""

    twin: Twin

    async def picture(self) -> Picture:
        """What the store shows, once it has all that the twin has."""
        raise NotImplementedError

    async def restart(self, meanwhile: Callable[[Twin], object] = lambda twin: None) -> None:
        """Stops following, lets something happen to the twin, and follows again with nothing remembered in memory."""
        raise NotImplementedError

    async def node(self, id: str) -> PicturedNode:
        """One node of it."""
        return (await self.picture()).nodes[id]

    def edit(self, change: Callable[[GraphEdit], Any]) -> Any:
        """One revision of the structure."""
        return self.twin.change(change, "test")

    def key(self, id: str) -> int:
        """The key of a node."""
        return self.twin.graph.find(id).key


class GraphStoreContract:
    """The fixture `home` gives a Home with the plant of `facade_fixtures.build`."""

    # Structure

    async def test_nodes_bear_labels_of_level_and_type_and_what_was_said_of_them(self, home: Home) -> None:
        conveyor = await home.node("line_1.conveyor")
        assert conveyor.labels == {"Component", "Conveyor"}
        said = {"id": "line_1.conveyor", "name": "Infeed conveyor", "type": "conveyor", "origin": "defined"}
        assert said.items() <= conveyor.properties.items()
        assert conveyor.properties["key"] == home.key("line_1.conveyor")
        assert conveyor.properties["length"] == 50 and conveyor.properties["openAnomalies"] == 0
        speed = await home.node("line_1.conveyor.speed")
        assert speed.labels == {"Sensor", "Speed"}
        assert {"unit": "m/s", "low": 0.0, "high": 3.0}.items() <= speed.properties.items()
        assert (await home.node("line_1")).labels == {"Line", "AssemblyLine"}
        assert (await home.node("plant")).labels == {"Site"}

    async def test_relationships_bear_types_and_properties(self, home: Home) -> None:
        arrows = (await home.picture()).relationships
        assert arrows["hall", "CONTAINS", "line_1"] == {}
        assert arrows["line_1.conveyor", "HAS_SENSOR", "line_1.conveyor.speed"] == {}
        assert arrows["line_1.conveyor", "FEEDS_INTO", "line_1.robot"] == {"transferTime": 2.5}
        assert arrows["line_1.packer", "POWERED_BY", "line_1.conveyor"] == {}
        assert len(arrows) == 17

    async def test_properties_are_flat_and_none_is_lost(self, home: Home) -> None:
        properties = {
            "parameters": {"design_speed": 300, "id": "A-7"},
            "design_speed": 280,
            "geo": {"latitude": 52.5, "longitude": 13.4},
            "tags": ["wet", "hot"],
            "mixed": [1, "two", {"three": 3}],
            "documents": [],
            "serial": 2**63,
            "approved": True,
            "Zustand des Lagers": "gut",
        }
        home.edit(lambda edit: edit.update_node(home.key("line_1.packer"), properties=properties))
        shown = (await home.node("line_1.packer")).properties
        expected = {
            "designSpeed": 300,
            "propertiesDesignSpeed": 280,
            "propertiesParametersId": "A-7",
            "geoLatitude": 52.5,
            "tags": ["wet", "hot"],
            "mixed": '[1, "two", {"three": 3}]',
            "documents": [],
            "serial": str(2**63),
            "approved": True,
            "zustandDesLagers": "gut",
            "id": "line_1.packer",
        }
        assert {name: shown.get(name) for name in expected} == expected

    async def test_a_revision_is_shown_whole(self, home: Home) -> None:
        def change(edit: GraphEdit) -> None:
            line = edit.graph.find("line_2").key
            wrapper = edit.add_node(id="line_2.wrapper", level=Level.COMPONENT, type="stretch-wrapper", parent=line)
            edit.add_signal(edit.add_node(id="line_2.wrapper.film", level=Level.SENSOR, parent=wrapper.key).key)
            edit.relate(edit.graph.find("line_2.conveyor").key, "feeds_into", wrapper.key, transfer_time=9)
            edit.relate(wrapper.key, "Watched by", edit.graph.find("line_1.robot").key, since="May")
            edit.update_node(edit.graph.find("line_1.robot").key, properties={"payload": 20}, type="delta_robot")
            edit.unrelate(edit.graph.find("line_1.packer").key, "powered_by", edit.graph.find("line_1.conveyor").key)
            edit.relate(
                edit.graph.find("line_1.conveyor").key, "feeds_into", edit.graph.find("line_1.robot").key, gap=1
            )

        await home.picture()
        home.edit(change)
        picture = await home.picture()
        assert picture.nodes["line_2.wrapper"].labels == {"Component", "StretchWrapper"}
        assert ("line_2.wrapper", "HAS_SENSOR", "line_2.wrapper.film") in picture.relationships
        assert picture.relationships["line_2.conveyor", "FEEDS_INTO", "line_2.wrapper"] == {"transferTime": 9}
        watched = picture.relationships["line_2.wrapper", "WATCHED_BY", "line_1.robot"]
        assert watched == {"since": "May", "type": "Watched by"}
        robot = picture.nodes["line_1.robot"]
        assert robot.labels == {"Component", "DeltaRobot"} and robot.properties["payload"] == 20
        assert "model" not in robot.properties
        assert ("line_1.packer", "POWERED_BY", "line_1.conveyor") not in picture.relationships
        assert picture.relationships["line_1.conveyor", "FEEDS_INTO", "line_1.robot"] == {"gap": 1}

    async def test_renamed_and_moved_nodes_keep_their_keys(self, home: Home) -> None:
        before = await home.picture()

        def swap(edit: GraphEdit) -> None:
            robot, packer = edit.graph.find("line_1.robot"), edit.graph.find("line_1.packer")
            edit.update_node(robot.key, id="line_1.between")
            edit.update_node(packer.key, id="line_1.robot")
            edit.update_node(robot.key, id="line_1.packer", parent=edit.graph.find("line_2").key)

        home.edit(swap)
        after = await home.picture()
        assert len(after.nodes) == len(before.nodes)
        assert after.nodes["line_1.packer"].labels == {"Component", "RobotArm"}
        key = before.nodes["line_1.robot"].properties["key"]
        assert after.nodes["line_1.packer"].properties["key"] == key
        assert ("line_2", "CONTAINS", "line_1.packer") in after.relationships
        assert ("line_1", "CONTAINS", "line_1.packer") not in after.relationships
        assert after.relationships["line_1.conveyor", "FEEDS_INTO", "line_1.packer"] == {"transferTime": 2.5}

    async def test_what_is_removed_goes_with_its_relationships(self, home: Home) -> None:
        await home.picture()

        def remove(edit: GraphEdit) -> None:
            for id in ("line_1.robot.joints", "line_1.robot"):
                edit.remove_node(edit.graph.find(id).key)

        home.edit(remove)
        picture = await home.picture()
        assert not {"line_1.robot", "line_1.robot.joints"} & picture.nodes.keys()
        assert not [arrow for arrow in picture.relationships if "line_1.robot" in arrow]

    # State

    async def test_the_latest_values_with_quality_and_time(self, home: Home) -> None:
        put(home.twin, "line_1.conveyor.speed", 1.25, 1.5, time=NOON + 123_456_789)
        put(home.twin, "line_1.conveyor.status", 1, time=NOON, quality=64)
        put(home.twin, "line_1.conveyor.jam", 1, time=NOON)
        for joint in range(3):
            put(home.twin, f"line_1.robot.joints.value[{joint}]", joint + 0.5, time=NOON + joint * S)
        picture = await home.picture()
        speed = picture.nodes["line_1.conveyor.speed"].properties
        assert (speed["value"], speed["unit"], speed["quality"]) == (1.5, "m/s", "good")
        assert speed["time"] == datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
        status = picture.nodes["line_1.conveyor.status"].properties
        assert (status["value"], status["quality"]) == ("running", "uncertain")
        assert picture.nodes["line_1.conveyor.jam"].properties["value"] is True
        joints = picture.nodes["line_1.robot.joints"].properties
        assert joints["value"] == [0.5, 1.5, 2.5] and joints["time"] == datetime(2026, 3, 1, 12, 0, 2, tzinfo=UTC)
        assert "value" not in picture.nodes["line_1.packer.speed"].properties

    async def test_a_late_reading_does_not_replace_a_newer_one(self, home: Home) -> None:
        put(home.twin, "line_1.conveyor.speed", 2.0, time=NOON)
        assert (await home.node("line_1.conveyor.speed")).properties["value"] == 2.0
        put(home.twin, "line_1.conveyor.speed", 1.0, time=NOON - S)
        put(home.twin, "line_1.packer.speed", 30, time=NOON)
        picture = await home.picture()
        assert picture.nodes["line_1.conveyor.speed"].properties["value"] == 2.0
        assert picture.nodes["line_1.packer.speed"].properties["value"] == 30
        put(home.twin, "line_1.conveyor.speed", 3.0, time=NOON)  # a correction: the same time, recorded later
        assert (await home.node("line_1.conveyor.speed")).properties["value"] == 3.0

    async def test_a_bad_reading_without_a_number_takes_the_value_away(self, home: Home) -> None:
        put(home.twin, "line_1.conveyor.speed", 2.0, time=NOON)
        await home.picture()
        put(home.twin, "line_1.conveyor.speed", float("nan"), time=NOON + S, quality=0)
        shown = (await home.node("line_1.conveyor.speed")).properties
        assert "value" not in shown and shown["quality"] == "bad"

    async def test_health_is_a_score_and_a_label(self, home: Home) -> None:
        for score, label in ((100.0, "Healthy"), (75.0, "Warning"), (40.0, "Critical"), (80.0, "Healthy")):
            put(home.twin, "line_1.conveyor.health", score)
            conveyor = await home.node("line_1.conveyor")
            assert conveyor.properties["health"] == score
            assert conveyor.labels == {"Component", "Conveyor", label}
        assert (await home.node("line_1.robot")).labels == {"Component", "RobotArm"}

    async def test_open_anomalies_are_counted_on_the_sensor_and_on_all_that_contains_it(self, home: Home) -> None:
        since = NOON
        first = breach(home.twin, "line_1.conveyor.motor_temp", time=since)
        breach(home.twin, "line_1.conveyor.speed", time=since)
        breach(home.twin, "line_2.conveyor.speed", time=since)

        async def counts() -> list[int]:
            ids = ("plant", "line_1", "line_1.conveyor", "line_1.conveyor.motor_temp", "line_1.robot", "line_2")
            nodes = (await home.picture()).nodes
            return [nodes[id].properties["openAnomalies"] for id in ids]

        assert await counts() == [3, 2, 2, 1, 0, 1]
        conveyor, signal = home.key("line_1.conveyor"), home.twin.graph.find_signal("line_1.conveyor.motor_temp").index
        data = {"signal": signal, "severity": "warning"}
        home.twin.record([EventDraft(since, "anomaly", conveyor, until=since + S, data=data, identity=first)])
        assert await counts() == [2, 1, 1, 0, 0, 1]

    # Restart

    async def test_a_restart_shows_what_happened_meanwhile(self, home: Home) -> None:
        put(home.twin, "line_1.conveyor.speed", 1.0, time=NOON)
        put(home.twin, "line_1.conveyor.health", 40.0)
        identity = breach(home.twin, "line_1.conveyor.speed", time=NOON)
        await home.picture()

        def meanwhile(twin: Twin) -> None:
            put(twin, "line_1.conveyor.speed", 2.0, time=NOON + S)
            put(twin, "line_1.conveyor.health", 100.0)
            node = twin.graph.find("line_1.conveyor").key
            twin.record([EventDraft(NOON, "anomaly", node, until=NOON + S, identity=identity)])
            twin.change(lambda edit: edit.update_node(edit.graph.find("line_2").key, name="Second line"), "test")
            twin.change(lambda edit: edit.remove_node(edit.graph.find("line_1.robot.joints").key), "test")

        await home.restart(meanwhile)
        picture = await home.picture()
        assert picture.nodes["line_1.conveyor.speed"].properties["value"] == 2.0
        conveyor = picture.nodes["line_1.conveyor"]
        assert conveyor.labels == {"Component", "Conveyor", "Healthy"} and conveyor.properties["openAnomalies"] == 0
        assert picture.nodes["line_2"].properties["name"] == "Second line"
        assert "line_1.robot.joints" not in picture.nodes

    async def test_a_restart_without_any_change_shows_the_same(self, home: Home) -> None:
        put(home.twin, "line_1.conveyor.speed", 1.0, time=NOON)
        before = await home.picture()
        await home.restart()
        assert await home.picture() == before
