"""A small plant on a real twin, and a pipeline in front of it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.message import Message, Receipt
from iotsense.ingest.pipeline import Pipeline
from iotsense.twin.define_project import Project
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.plan import plan
from iotsense.twin.revision import revise
from iotsense.twin.times import parse_time
from iotsense.twin.twin import StoreOptions, Twin

OPTIONS = StoreOptions(projection_interval=0.05)
T = "2024-01-15T10:30:00.123Z"
T_NS = parse_time(T)

LINE: dict[str, Any] = {
    "name": "production_line_1",
    "components": [
        {
            "id": "conveyor_1",
            "sensors": [
                {"id": "conv1_speed", "type": "encoder", "unit": "m/s", "name": "speed"},
                {"id": "conv1_motor_temp", "type": "temperature", "unit": "celsius"},
                {"id": "conv1_status", "labels": ["stopped", "running"], "name": "status"},
                {"id": "conv1_power", "source": "ns=2;s=Line1.Motor1.Power", "unit": "kW"},
            ],
        },
        {
            "id": "robot_arm_1",
            "sensors": [
                {"id": "arm1_joint_positions", "type": "joint_encoder", "joints": 6},
                {"id": "gripper", "data_type": "boolean"},
                {"id": "program"},
            ],
        },
    ],
}


def project(**sections: Any) -> Project:
    """The plant's definition with further sections."""
    return Project.model_validate({"digital_twins": [LINE], **sections})


def mqtt(*topics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The section `sensor_ingestion` with one broker and these topics."""
    protocol = {"name": "mqtt", "broker": "mqtt://localhost:1883", "topics": list(topics), **fields.pop("broker", {})}
    return {"protocols": [protocol], **fields}


@asynccontextmanager
async def running(
    directory: Path, *, pipeline: dict[str, Any] | None = None, **sections: Any
) -> AsyncIterator[Pipeline]:
    """A pipeline on a twin with the plant applied; `pipeline.twin` is for the tests to look at."""
    wanted = project(**sections)
    with Twin.open(directory / "data", OPTIONS) as twin:
        if not len(twin.graph):
            desired = plan(wanted, twin.graph).desired

            def build(edit: GraphEdit) -> None:
                revise(edit, desired, lambda _: False)

            twin.change(build, "test")
        async with Pipeline(twin, IngestConfig.of(wanted), **(pipeline or {})) as taking:
            taking.twin = twin  # type: ignore[attr-defined]
            yield taking


def twin_of(pipeline: Pipeline) -> Twin:
    """The twin behind a pipeline of `running`."""
    return pipeline.twin  # type: ignore[attr-defined, no-any-return]


async def send(pipeline: Pipeline, *documents: dict[str, Any], **fields: Any) -> Receipt:
    """Telemetry over HTTP."""
    payload = json.dumps(list(documents)).encode()
    return await pipeline.submit(Message("http", telemetry=payload, **fields))


async def publish(pipeline: Pipeline, topic: str, payload: Any, **fields: Any) -> Receipt:
    """A message from the broker."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return await pipeline.submit(Message("mqtt", payload=body, topic=topic, **fields))


def measured(
    device: str | None, name: str | None, value: Any, unit: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A telemetry document with one measurement."""
    item = {"name": name, "value": value, "unit": unit, "quality": fields.pop("quality", None)}
    given = {"device_id": device, "timestamp": fields.pop("timestamp", T), **fields}
    return {**given, "measurements": [{key: value for key, value in item.items() if value is not None}]}


def value(pipeline: Pipeline, signal: str) -> float | str | None:
    """The latest value of a signal: the text of a text, the number of a number."""
    twin = twin_of(pipeline)
    found = twin.graph.find_signal(signal)
    reading = twin.state.read(found.index)
    if reading is None:
        return None
    return twin.label(found.index, reading.value) or reading.value


def reasons(pipeline: Pipeline) -> Sequence[tuple[str, str]]:
    """Stage and reason of the dead letters that wait."""
    return [(letter.stage, letter.reason) for letter in twin_of(pipeline).dead_letters()]
