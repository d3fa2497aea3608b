"""Vibration bursts of 10,000 samples in protobuf: each a message, each sample a durable reading of its own."""

import asyncio
import random
import tempfile
from pathlib import Path

import numpy as np
from figure import Clock, Figure, clock

from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.message import Message
from iotsense.ingest.pipeline import Pipeline
from iotsense.twin.define_project import Project
from iotsense.twin.protobuf_schema import load_message_type
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

SAMPLES = 10_000
BURSTS = 300
ONE_BY_ONE = 10
PROTO = """
syntax = "proto3";
message Burst { string device = 1; int64 start_ns = 2; double rate = 3; repeated float samples = 4; }
"""
SCHEMA = {
    "device_id": "$.device",
    "name": "acceleration",
    "timestamp": "$.start_ns",
    "waveform": {"samples": "$.samples", "sample_rate": "$.rate"},
}
SINGLE = {"device_id": "$.device", "name": "acceleration", "value": "$.rate", "timestamp": "$.start_ns"}


def run() -> list[Figure]:
    """From the payloads to the acknowledgement of the last; the control sends each sample in a message of its own."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        proto = Path(place) / "burst.proto"
        proto.write_text(PROTO)
        bursts = _payloads(proto, BURSTS, SAMPLES)
        stored, used = asyncio.run(_through(Path(place) / "bursts", proto, SCHEMA, bursts))
        singles = _payloads(proto, ONE_BY_ONE * 1000, 0)
        _, other = asyncio.run(_through(Path(place) / "singles", proto, SINGLE, singles))
    if stored != BURSTS * SAMPLES:
        raise SystemExit(f"{stored} samples are stored instead of {BURSTS * SAMPLES}")
    return [
        Figure("samples of waveforms, protobuf, durable", stored / used.wall, "samples/s", used.cpu,
               at_least=1_000_000, control=len(singles) / other.wall, control_name="a message for each sample"),
    ]  # fmt: skip


def _payloads(proto: Path, count: int, samples: int) -> list[bytes]:
    message, start, rng = load_message_type(proto), now_ns(), np.random.default_rng()
    payloads = []
    for number in range(count):
        made = message.parse(b"")
        made.device, made.rate = f"pump_{random.randrange(8)}", 25_600.0
        made.start_ns = start + number * 10**9 - 3600 * 10**9
        made.samples.extend(rng.normal(size=samples).astype(np.float32).tolist())
        payloads.append(made.SerializeToString())
    return payloads


async def _through(directory: Path, proto: Path, schema: dict[str, object], payloads: list[bytes]) -> tuple[int, Clock]:
    """How many readings it came to, and how long that took."""
    topic = {"pattern": "b", "parser": "protobuf", "schema_file": str(proto), "schema": schema}
    source = {"name": "mqtt", "broker": "mqtt://127.0.0.1:1", "topics": [topic]}
    config = IngestConfig.of(Project.model_validate({"sensor_ingestion": {"protocols": [source]}}))
    with Twin.open(directory) as twin:
        async with Pipeline(twin, config) as pipeline:
            done = asyncio.get_running_loop().create_future()
            messages = [Message("mqtt", payload, "b") for payload in payloads]
            messages[-1].ack = lambda: done.set_result(None)
            with clock() as used:
                for begin in range(0, len(messages), 16):
                    await pipeline.deliver(messages[begin : begin + 16])
                await done
        return twin.counts_of("mqtt").stored, used
