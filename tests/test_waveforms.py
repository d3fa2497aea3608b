"""A waveform: one message, ten thousand readings; every shape that samples come in, and wrong ones."""

import base64
import json
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from ingest_fixtures import T_NS, T, mqtt, publish, reasons, running, twin_of, value
from pydantic import ValidationError
from test_payloads import VIBRATION, parse, read, vibration

from iotsense.ingest.burst import MAX_SAMPLES, Burst
from iotsense.twin.define_payload import PayloadSchema

SPEED: dict[str, Any] = {"device_id": "conveyor_1", "name": "speed", "unit": "m/s"}
WAVE = {"samples": "$.s", "sample_rate": 10_000}


def burst(payload: bytes, waveform: dict[str, Any], **fields: Any) -> Burst:
    (sample,) = parse(payload, schema={**SPEED, "waveform": waveform}, **fields)
    assert isinstance(sample.value, Burst)
    return sample.value


def test_every_shape_of_samples() -> None:
    expected = [1.0, 2.5, -3.0]
    listed = burst(b'{"s": [1, 2.5, -3]}', WAVE)
    little, big = np.array(expected, "<f4").tobytes(), np.array(expected, ">f4").tobytes()
    packed = {**WAVE, "type": "float32"}
    shapes = [
        listed,
        burst(json.dumps({"s": base64.b64encode(little).decode()}).encode(), packed),
        burst(cbor2.dumps({"s": big}), {**packed, "byte_order": "big"}, parser="cbor"),
        burst(cbor2.dumps({"s": expected}), WAVE, parser="cbor"),
        burst(vibration(samples=expected), {**WAVE, "samples": "$.samples"}, schema_file=str(VIBRATION),
              message_type="Vibration"),
        burst(vibration(packed=little), {**packed, "samples": "$.packed"}, schema_file=str(VIBRATION),
              message_type="Vibration"),
        burst(big, {"sample_rate": 10_000}, parser="raw", raw={"type": "float32", "count": 3}),
        burst(b"1;2.5;-3", {"samples": "$", "sample_rate": 10_000}, parser="csv", csv={"delimiter": ";"}),
    ]  # fmt: skip
    for found in shapes:
        assert found.values.tolist() == expected
        assert found.steps.tolist() == [0, 100_000, 200_000]


def test_a_raw_payload_of_any_length_is_the_waveform() -> None:
    found = burst(np.arange(5, dtype=">i2").tobytes(), {"sample_rate": 1, "type": "int16", "byte_order": "big"},
                  parser="raw", raw={"type": "bytes"})  # fmt: skip
    assert found.values.tolist() == [0, 1, 2, 3, 4]


def test_rate_interval_start_scale_and_offset() -> None:
    found = burst(b'{"s": [0, 10], "hz": 4}', {**WAVE, "sample_rate": "$.hz", "scale": 0.5, "offset": 1})
    assert (found.values.tolist(), found.steps.tolist()) == ([1.0, 6.0], [0, 250_000_000])
    assert burst(b'{"s": [0, 1]}', {"samples": "$.s", "sample_interval": "1ms"}).length == 1_000_000
    assert burst(b'{"s": [0, 1], "dt": 0.5}', {"samples": "$.s", "sample_interval": "$.dt"}).length == 500_000_000
    payload = json.dumps({"s": [0, 1], "t0": T, "ts": 5}).encode()
    schema = {**SPEED, "timestamp": "$.ts", "waveform": {**WAVE, "start": "$.t0"}}
    (sample,) = parse(payload, schema=schema)
    assert sample.time == T_NS
    del schema["waveform"]["start"]
    assert parse(payload, schema=schema)[0].time == 5 * 10**9


def test_several_waveforms_in_one_message() -> None:
    schema = {
        "device_id": "$.id",
        "name": "$.axes[*].axis",
        "waveform": {"samples": "$.axes[*].s", "sample_rate": "$.hz"},
    }
    document = {"id": "p", "hz": 2, "axes": [{"axis": "x", "s": [1, 2]}, {"axis": "y", "s": [3]}]}
    samples = parse(json.dumps(document).encode(), schema=schema)
    assert [(s.device, s.address, s.value.values.tolist()) for s in samples] == [("p", "x", [1, 2]), ("p", "y", [3])]


@pytest.mark.parametrize(
    ("body", "waveform", "words"),
    [
        ({}, {}, "$.s finds nothing"),
        ({"s": []}, {}, "1 to 1000000 samples, not 0"),
        ({"s": [1, "x"]}, {}, "not all numbers"),
        ({"s": [1, True]}, {}, "not all numbers"),
        ({"s": [[1], [2]]}, {}, "not all numbers"),
        ({"s": 5}, {}, "neither a list of numbers nor packed numbers"),
        ({"s": "AAAA"}, {}, "say with `type` what they are"),
        ({"s": "????"}, {"type": "int16"}, "not base64"),
        ({"s": "AAAA"}, {"type": "int16"}, "3 bytes are no whole number of int16 samples"),
        ({"s": [1, 2]}, {"sample_rate": "$.hz"}, "does not hold the waveform's sample_rate"),
        ({"s": [1, 2], "hz": -1}, {"sample_rate": "$.hz"}, "sample_rate is -1, not a number above 0"),
    ],
)
def test_wrong_waveforms_say_why(body: dict[str, Any], waveform: dict[str, Any], words: str) -> None:
    samples, failures = read(json.dumps(body).encode(), schema={**SPEED, "waveform": {**WAVE, **waveform}})
    assert not samples
    assert words in failures[0].reason


def test_a_waveform_is_bounded() -> None:
    payload = bytes(MAX_SAMPLES + 1)
    schema = {**SPEED, "waveform": {"type": "int8", "sample_rate": 1}}
    _, failures = read(payload, parser="raw", raw={"type": "bytes"}, schema=schema)
    assert "not 1000001" in failures[0].reason


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"waveform": {"samples": "$.s"}}, "either a `sample_rate` or a `sample_interval`"),
        ({"waveform": {"samples": "s", "sample_rate": 1}}, "expected a path into the payload"),
        ({"waveform": {"samples": "$.s", "sample_rate": 0}}, "sample_rate"),
        ({"value": "$.v", "waveform": WAVE}, "either a `value` or a `waveform`"),
    ],
)
def test_wrong_definitions_say_why(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PayloadSchema.model_validate(schema)


async def test_the_readings_of_a_waveform(tmp_path: Path) -> None:
    topic = {"pattern": "w/#", "schema": {**SPEED, "unit": "km/h", "timestamp": "$.ts", "waveform": WAVE}}
    async with running(tmp_path, sensor_ingestion=mqtt(topic)) as pipeline:
        receipt = await publish(pipeline, "w/1", {"ts": T, "s": [3.6, 7.2, None, 36]})
        assert receipt.accepted == 4
        twin = twin_of(pipeline)
        signal = twin.graph.find_signal("conv1_speed")
        found = twin.history(signal.index, 0, 2**62)
        assert found.time.tolist() == [T_NS, T_NS + 100_000, T_NS + 200_000, T_NS + 300_000]
        assert np.allclose(found.value, [1, 2, np.nan, 10], equal_nan=True)
        assert found.quality.tolist() == [192, 192, 0, 192]
        assert value(pipeline, "conv1_speed") == 10


async def test_without_a_stamp_the_last_sample_is_from_now(tmp_path: Path) -> None:
    topic = {"pattern": "w/#", "schema": {**SPEED, "waveform": {"samples": "$.s", "sample_interval": "1s"}}}
    async with running(tmp_path, sensor_ingestion=mqtt(topic)) as pipeline:
        await publish(pipeline, "w/1", {"s": [1, 2, 3]}, received=T_NS)
        twin = twin_of(pipeline)
        found = twin.history(twin.graph.find_signal("conv1_speed").index, 0, 2**62)
        assert found.time.tolist() == [T_NS - 2 * 10**9, T_NS - 10**9, T_NS]


async def test_a_waveform_from_the_future_ends_on_arrival(tmp_path: Path) -> None:
    topic = {"pattern": "w/#", "schema": {**SPEED, "timestamp": "$.ts", "waveform": WAVE}}
    async with running(tmp_path, sensor_ingestion=mqtt(topic)) as pipeline:
        await publish(pipeline, "w/1", {"ts": "2024-01-16T00:00:00Z", "s": [1, 2]}, received=T_NS)
        twin = twin_of(pipeline)
        found = twin.history(twin.graph.find_signal("conv1_speed").index, 0, 2**62)
        assert (found.time.tolist(), found.quality.tolist()) == ([T_NS - 100_000, T_NS], [64, 64])
        assert pipeline.counters["mqtt"].ahead == 2


async def test_a_waveform_for_joints_or_states_is_refused(tmp_path: Path) -> None:
    schema = {"device_id": "$.d", "name": "$.n", "waveform": WAVE}
    async with running(tmp_path, sensor_ingestion=mqtt({"pattern": "w/#", "schema": schema})) as pipeline:
        for device, name in (("robot_arm_1", "arm1_joint_positions"), ("conveyor_1", "status")):
            assert (await publish(pipeline, "w/1", {"d": device, "n": name, "s": [1, 2]})).dead_lettered == 1
        assert [words.partition("; ")[0] for _, words in reasons(pipeline)] == [
            "production_line_1.robot_arm_1.arm1_joint_positions takes a list of 6 values, not a waveform of 2 samples",
            "production_line_1.conveyor_1.conv1_status is a text",
        ]


def test_bursts_are_not_evened_out() -> None:
    """Steps are rounded one by one, so that no error adds up: 25.6 kHz is no whole number of nanoseconds."""
    found = Burst(np.zeros(25_600 * 3 + 1), 1 / 25_600)
    assert found.length == 3 * 10**9
