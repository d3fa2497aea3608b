"""Payloads to samples: schemas of JSONPaths with and without wildcards, and what becomes of wrong payloads."""

import json
from typing import Any

import pytest

from iotsense.ingest.parsers import Failures, compile_schema, parse_telemetry
from iotsense.ingest.sample import Sample
from iotsense.ingest.stamps import clock
from iotsense.twin.define_payload import PayloadSchema
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.times import parse_time

TOPIC = {"topic": "sensors/line_3/temperature", "env": {"PLANT_ID": "factory_1"}}


def parse(schema: dict[str, Any], document: Any) -> tuple[list[Sample], Failures]:
    failures: Failures = []
    compiled = compile_schema(PayloadSchema.model_validate(schema), clock(), TOPIC)
    return compiled(json.dumps(document).encode(), failures), failures


def test_the_specifications_schema() -> None:
    schema = {"device_id": "$.deviceId", "value": "$.temp", "unit": "$.unit", "timestamp": "$.ts"}
    document = {"deviceId": 17, "temp": 71.5, "unit": "fahrenheit", "ts": "2024-01-15T10:30:00.123Z"}
    samples, failures = parse(schema, document)
    stamp = parse_time("2024-01-15T10:30:00.123Z")
    assert samples == [Sample("", 71.5, stamp, 192, "fahrenheit", "17")]
    assert not failures


def test_constants_templates_quality_and_metadata() -> None:
    schema = {
        "device_id": "${topic.split('/')[1]}",
        "name": "temperature",
        "value": "$.v",
        "quality": "$.q",
        "metadata": {"plant": "${env.PLANT_ID}", "shift": "$.shift"},
    }
    samples, _ = parse(schema, {"v": 1, "q": "bad", "shift": "night"})
    assert samples == [Sample("temperature", 1, None, 0, None, "line_3", {"plant": "factory_1", "shift": "night"})]


def test_a_wildcard_gives_a_sample_for_each_element() -> None:
    schema = {"device_id": "$.gw", "name": "$.items[*].n", "value": "$.items[*].v", "timestamp": "$.ts"}
    samples, failures = parse(
        schema, {"gw": "g", "ts": 5, "items": [{"n": "a", "v": 1}, {"n": "b"}, {"n": "c", "v": 3}]}
    )
    assert [(s.device, s.address, s.value, s.time) for s in samples] == [
        ("g", "a", 1, 5 * 10**9),
        ("g", "c", 3, 5 * 10**9),
    ]
    assert [f.reason for f in failures] == ["$.items[*].v finds nothing in the payload"]


def test_wildcards_within_wildcards_and_names_of_members() -> None:
    schema = {"device_id": "$.lines[*].id", "name": "$.lines[*].tags.*~", "value": "$.lines[*].tags.*"}
    samples, _ = parse(schema, {"lines": [{"id": "l1", "tags": {"a": 1, "b": 2}}, {"id": "l2", "tags": {"c": 3}}]})
    assert [(s.device, s.address, s.value) for s in samples] == [("l1", "a", 1), ("l1", "b", 2), ("l2", "c", 3)]


def test_parallel_lists_belong_together() -> None:
    schema = {"name": "$.names[*]", "value": "$.values[*]", "unit": "$.unit"}
    samples, _ = parse(schema, {"names": ["a", "b"], "values": [1, 2], "unit": "m"})
    assert [(s.address, s.value, s.unit) for s in samples] == [("a", 1, "m"), ("b", 2, "m")]
    with pytest.raises(InvalidValueError, match=r"names\[\*\] finds 2 elements where"):
        parse(
            {"name": "$.names[*]", "value": "$.values[*]", "unit": "$.units[*]"},
            {"names": ["a", "b"], "values": [1, 2, 3]},
        )


def test_paths_of_the_library() -> None:
    samples, _ = parse({"value": "$..v", "unit": "$.unit"}, {"a": {"v": 1}, "b": [{"v": 2}], "unit": "m"})
    assert [(s.value, s.unit) for s in samples] == [(1, "m"), (2, "m")]


def test_what_fails_says_why() -> None:
    schema = {"value": "$.temp", "timestamp": "$.ts", "quality": "$.q"}
    for document, words in [
        ({}, "$.temp finds nothing"),
        ({"temp": None}, "$.temp finds nothing"),
        ({"temp": 1, "ts": "soon"}, "'soon' is not a time"),
        ({"temp": 1, "q": "odd"}, "'odd' is not a quality"),
    ]:
        samples, failures = parse(schema, document)
        assert not samples
        assert words in failures[0].reason
    with pytest.raises(InvalidValueError, match="not JSON"):
        compile_schema(PayloadSchema(value="$.v"), clock(), TOPIC)(b"\x00\x01", [])
    with pytest.raises(InvalidValueError, match=r"\$.items\[\*\].v finds nothing"):
        parse({"value": "$.items[*].v"}, {"items": []})


@pytest.mark.parametrize(
    "schema", [{"value": "temp"}, {"value": "$.a", "unit": "$["}, {"value": "$.a", "name": "${topic.b"}]
)
def test_a_schema_that_cannot_work_is_refused_by_field(schema: dict[str, str]) -> None:
    with pytest.raises(InvalidValueError, match=r"schema\.(value|unit|name)"):
        compile_schema(PayloadSchema.model_validate(schema), clock(), TOPIC)


def test_of_an_array_of_documents_the_right_ones_are_kept() -> None:
    good = {"device_id": "a", "measurements": [{"name": "x", "value": 1}]}
    failures: Failures = []
    payload = json.dumps([good, {"device_id": 3, "measurements": []}, good]).encode()
    assert len(parse_telemetry(payload, failures)) == 2
    assert [(f.stage, json.loads(f.payload or b"")) for f in failures] == [
        ("parse", {"device_id": 3, "measurements": []})
    ]
    with pytest.raises(InvalidValueError, match="device_id"):
        parse_telemetry(json.dumps([{"device_id": 3}]).encode(), failures)
