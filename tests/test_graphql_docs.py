"""Every example of docs/graphql.md, executed on the specification's line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facade_fixtures import Context, S, Server, serving, subscribed

from iotsense.analytics.health import add_health_signals
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level
from iotsense.twin.times import parse_time
from iotsense.twin.twin import Twin

PAGE = Path(__file__).parents[1] / "docs" / "graphql.md"
EXAMPLES = re.findall(r"```graphql\n(.*?)```\n```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
NOW = parse_time("2024-01-15T10:30:00.123456789Z")


def build(edit: GraphEdit) -> None:
    line = edit.add_node(id="production_line_1", level=Level.LINE, type="assembly_line").key
    conveyor = edit.add_node(id="production_line_1.conveyor_1", level=Level.COMPONENT, type="conveyor", parent=line)
    robot = edit.add_node(
        id="production_line_1.robot_arm_1",
        level=Level.COMPONENT,
        type="robot_arm",
        parent=line,
        properties={"model": "fanuc_m20", "parameters": {"reach": 1.8, "payload": 20}},
    )
    for name, unit in (("conv1_speed", "m/s"), ("conv1_motor_temp", "celsius")):
        sensor = edit.add_node(id=f"{conveyor.id}.{name}", level=Level.SENSOR, parent=conveyor.key)
        edit.add_signal(sensor.key, unit=unit)
    edit.add_signal(conveyor.key, "status", data_type=DataType.TEXT, labels=("stopped", "running"))
    arm = edit.add_node(id=f"{robot.id}.arm1_joint_positions", level=Level.SENSOR, parent=robot.key)
    for joint in range(6):
        edit.add_signal(arm.key, f"value[{joint}]")
    edit.relate(conveyor.key, "feeds_into", robot.key, transfer_time=2.5)
    add_health_signals(edit)


def say(twin: Twin, id: str, value: float, time: int = NOW) -> None:
    twin.apply(ReadingBatch.of(twin.graph.find_signal(id).index, time, value))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Twin.open(tmp_path_factory.mktemp("docs")) as twin:
        twin.change(build, "test")
        for ago, speed in ((2, 1.6), (1, 1.7), (0, 1.8)):
            say(twin, "conv1_speed", speed, NOW - ago * S)
        say(twin, "conv1_motor_temp", 84.0)
        say(twin, "conveyor_1.status", 1)
        first = twin.graph.find_signal("arm1_joint_positions").index
        twin.apply(ReadingBatch.of(np.arange(first, first + 6), NOW, [0, 45, -30, 0, 90, 0]))
        for id, score in (("production_line_1.conveyor_1", 75), ("production_line_1", 75), ("robot_arm_1", 100)):
            say(twin, f"{id}.health", score)
        signal = twin.graph.find_signal("conv1_motor_temp")
        data = {
            "rule": "temperature_spike", "signal": signal.index, "signal_id": twin.graph.signal_id(signal),
            "severity": "warning", "metric": "value", "operator": ">", "threshold": 80.0, "value": 84.0,
            "unit": "celsius",
        }  # fmt: skip
        conveyor = twin.graph.find("conveyor_1").key
        twin.record([EventDraft(NOW, "anomaly", conveyor, data=data, identity="temperature_spike")])
        with serving(Context(twin)) as server:
            yield server


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize(("query", "answer"), EXAMPLES)
async def test_the_example_answers_as_written(server: Server, query: str, answer: str) -> None:
    expected: Any = json.loads(answer)
    if query.startswith("subscription"):
        async with subscribed(server, query) as following:
            assert (await following())["data"] == expected
    else:
        whole = server.ask_whole(query)
        assert expected == ({"errors": whole["errors"]} if "errors" in expected else whole.get("data"))
