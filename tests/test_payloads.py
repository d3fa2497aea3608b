"""Payloads of every parser: what their configuration says, what is read, and what is said of wrong ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from ingest_fixtures import T_NS, T, mqtt, publish, reasons, running, twin_of, value

from iotsense.ingest.content_types import parser_of
from iotsense.ingest.parsers import Failures
from iotsense.ingest.payload_parser import payload_parser
from iotsense.ingest.sample import Sample
from iotsense.ingest.stamps import clock
from iotsense.twin.define_payload import Payload
from iotsense.twin.define_project import Project
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.finding import Finding
from iotsense.twin.project import load_project
from iotsense.twin.protobuf_schema import load_message_type

ROOT = Path(__file__).parents[1]
VIBRATION = Path(__file__).with_name("vibration.proto")
NAMES = {"topic": "machines/pump_7/vibration", "env": {}}


def parse(payload: bytes, **fields: Any) -> list[Sample]:
    """Of an address with these settings; failures are raised."""
    samples, failures = read(payload, **fields)
    assert not failures, failures
    return samples


def read(payload: bytes, **fields: Any) -> tuple[list[Sample], Failures]:
    definition = Payload.model_validate(fields)
    failures: Failures = []
    parser = payload_parser(definition, definition.usual_parser, clock(), NAMES)
    assert parser is not None
    return parser(payload, failures), failures


def vibration(**fields: Any) -> bytes:
    """A message of tests/vibration.proto, encoded by Google's library."""
    stamp = fields.pop("seconds", None)
    message = load_message_type(VIBRATION, "Vibration").parse(b"")
    for name, content in fields.items():
        if isinstance(content, list):
            getattr(message, name).extend(content)
        elif isinstance(content, dict):
            for key, each in content.items():
                getattr(message, name)[key] = each
        else:
            setattr(message, name, content)
    if stamp is not None:
        message.timestamp.seconds, message.timestamp.nanos = stamp, 5
    return bytes(message.SerializeToString())


# Content types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "parser"),
    [
        ("application/json; charset=utf-8", "json"),
        ("application/CBOR", "cbor"),
        ("application/senml+cbor", "cbor"),
        ("application/x-msgpack", "msgpack"),
        ("application/x-protobuf; messageType=a.B", "protobuf"),
        ("text/csv", "csv"),
        ("application/octet-stream", None),
        ("nonsense", None),
        (None, None),
    ],
)
def test_content_types(content_type: str | None, parser: str | None) -> None:
    assert parser_of(content_type) == parser


async def test_the_content_type_picks_the_parser_where_the_topic_does_not(tmp_path: Path) -> None:
    schema = {"device_id": "$.d", "name": "$.n", "value": "$.v"}
    topics = [{"pattern": "free/+", "schema": schema}, {"pattern": "fixed/+", "parser": "json", "schema": schema}]
    body = {"d": "conveyor_1", "n": "speed", "v": 1.5}
    async with running(tmp_path, sensor_ingestion=mqtt(*topics)) as pipeline:
        for number, (kind, encode) in enumerate([("cbor", cbor2.dumps), ("msgpack", msgspec.msgpack.encode)]):
            payload = encode(body | {"v": number + 1.0})
            receipt = await publish(pipeline, "free/a", payload, content_type=f"application/{kind}")
            assert receipt.accepted == 1
            assert value(pipeline, "conv1_speed") == number + 1.0
        receipt = await publish(pipeline, "fixed/a", cbor2.dumps(body), content_type="application/cbor")
        assert receipt.reasons[0].startswith("the payload is not JSON")
        receipt = await publish(pipeline, "fixed/a", json.dumps(body).encode(), content_type="application/cbor")
        assert receipt.accepted == 1
        receipt = await publish(pipeline, "free/a", body, content_type="application/octet-stream")
        assert receipt.accepted == 1  # says nothing: the topic's own


@pytest.mark.parametrize(("kind", "encode"), [("cbor", cbor2.dumps), ("msgpack", msgspec.msgpack.encode)])
async def test_telemetry_in_other_encodings(tmp_path: Path, kind: str, encode: Any) -> None:
    document = {"device_id": "conveyor_1", "timestamp": T, "measurements": [{"name": "speed", "value": 2.5}]}
    async with running(tmp_path, sensor_ingestion=mqtt({"pattern": "raw/#", "parser": kind})) as pipeline:
        assert (await publish(pipeline, "raw/x", encode([document, document]))).accepted == 2
        reading = twin_of(pipeline).state.read(twin_of(pipeline).graph.find_signal("conv1_speed").index)
        assert reading is not None
        assert (reading.value, reading.time) == (2.5, T_NS)
        receipt = await publish(pipeline, "raw/x", encode({"device_id": 3}))
        assert "device_id: expected str" in receipt.reasons[0]
        receipt = await publish(pipeline, "raw/x", b"\xff\xff{")
        assert reasons(pipeline)[-1][0] == "parse"


# CBOR and MessagePack -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parser", "encode"), [("cbor", cbor2.dumps), ("msgpack", msgspec.msgpack.encode)])
def test_keys_that_are_no_texts_and_times_with_a_type(parser: str, encode: Any) -> None:
    import datetime

    moment = datetime.datetime(2024, 1, 15, 10, 30, 0, 123000, datetime.UTC)
    schema = {"device_id": "$['1']", "value": "$['2'].v", "timestamp": "$.at"}
    (sample,) = parse(encode({1: "d", 2: {"v": 7}, "at": moment}), parser=parser, schema=schema)
    assert (sample.device, sample.value, sample.time) == ("d", 7, T_NS)


@pytest.mark.parametrize(
    ("parser", "payload", "path", "expected"),
    [  # RFC 8949, appendix A; the example of msgpack.org and of its specification's timestamps
        ("cbor", "a26161016162820203", "$.b[1]", 3),
        ("cbor", "bf61610161629f0203ffff", "$.b[0]", 2),
        ("cbor", "a201020304", "$['3']", 4),
        ("cbor", "826161bf61626163ff", "$[1].b", "c"),
        ("cbor", "fb3ff199999999999a", "$", 1.1),
        ("cbor", "f93c00", "$", 1.0),
        ("cbor", "f5", "$", True),
        ("msgpack", "82a7636f6d70616374c3a6736368656d6100", "$.compact", True),
        ("msgpack", "82a7636f6d70616374c3a6736368656d6100", "$.schema", 0),
        ("msgpack", "93cb3ff199999999999acd0100d0ff", "$[1]", 256),
    ],
)
def test_what_the_specifications_encode(parser: str, payload: str, path: str, expected: Any) -> None:
    (sample,) = parse(bytes.fromhex(payload), parser=parser, schema={"value": path})
    assert sample.value == expected
    assert type(sample.value) is type(expected)


def test_stamps_of_the_specifications() -> None:
    """RFC 8949, appendix A: 0("2013-03-21T20:04:00Z") and 1(1363896240); msgpack: the 32-bit timestamp of that time."""
    stamps = [
        ("cbor", "a26176016174c074323031332d30332d32315432303a30343a30305a"),
        ("cbor", "a26176016174c11a514b67b0"),
        ("msgpack", "82a17601a174d6ff514b67b0"),
    ]
    for parser, payload in stamps:
        (sample,) = parse(bytes.fromhex(payload), parser=parser, schema={"value": "$.v", "timestamp": "$.t"})
        assert sample.time == 1363896240 * 10**9


@pytest.mark.parametrize(("parser", "words"), [("cbor", "not CBOR"), ("msgpack", "not MessagePack")])
def test_what_is_no_cbor_or_messagepack(parser: str, words: str) -> None:
    for payload in (b"", b"\xc1", b"\x9f" * 2000, b"\x91" * 2000, cbor2.dumps({"a": 1})[:-1]):
        with pytest.raises(InvalidValueError, match=words):
            parse(payload, parser=parser, schema={"value": "$.v"})


# CSV ------------------------------------------------------------------------------------------------------------------


def test_csv_by_names_numbers_and_header() -> None:
    line = b'2024-01-15T10:30:00.123Z; "pump; 7" ;12,5;kPa\r\n'
    form = {"delimiter": ";", "decimal": ",", "columns": ["ts", "pump", "p", "unit"]}
    schema = {"device_id": "$.pump", "name": "pressure", "value": "$.p", "unit": "$.unit", "timestamp": "$.ts"}
    (sample,) = parse(line, parser="csv", csv=form, schema=schema)
    assert sample == Sample("pressure", 12.5, T_NS, 192, "kPa", "pump; 7", None)
    (sample,) = parse(b"a,-3e2,x", parser="csv", schema={"value": "$[1]", "device_id": "$[0]"})
    assert (sample.device, sample.value) == ("a", -300.0)
    text = b"\xef\xbb\xbfn,v\na,1\n\nb,2.5\n"
    schema = {"name": "$.n", "value": "$.v"}
    samples = parse(text, parser="csv", csv={"header": True}, schema=schema)
    assert [(s.address, s.value) for s in samples] == [("a", 1), ("b", 2.5)]


def test_each_csv_line_fails_by_itself() -> None:
    schema = {"name": "$[0]", "value": "$[1]", "timestamp": "$[2]"}
    samples, failures = read(b"a,1,0\nb\nc,3,soon\n", parser="csv", schema=schema)
    assert [s.address for s in samples] == ["a"]
    assert [f.payload for f in failures] == [b"b", b"c,3,soon"]
    assert "'soon' is not a time" in failures[1].reason
    with pytest.raises(InvalidValueError, match="no line"):
        read(b"\n", parser="csv", schema=schema)
    with pytest.raises(InvalidValueError, match="UTF-8"):
        read(b"\xff", parser="csv", schema=schema)


def test_csv_without_a_schema_is_read_by_its_columns() -> None:
    form = {"columns": ["machine_id", "ts", "temperature", "state"]}
    samples = parse(b"m1,2024-01-15T10:30:00.123Z,71.5,running", parser="csv", csv=form)
    assert [(s.device, s.address, s.value, s.time) for s in samples] == [
        ("m1", "temperature", 71.5, T_NS),
        ("m1", "state", "running", T_NS),
    ]


# Raw numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "payload", "expected"),
    [
        ({}, b" 72.5\n", 72.5),
        ({}, b"-12", -12),
        ({"type": "text"}, b"ON\0", "ON"),
        ({"type": "float32"}, bytes.fromhex("42910000"), 72.5),
        ({"type": "float32", "byte_order": "little"}, bytes.fromhex("00009142"), 72.5),
        ({"type": "uint16", "offset": 1}, b"\xff\x01\x02\xff", 258),
        ({"type": "int8", "count": 2, "stride": 2, "offset": 1}, b"\0\x01\0\xff", [1, -1]),
    ],
)
def test_raw_numbers(raw: dict[str, Any], payload: bytes, expected: Any) -> None:
    (sample,) = parse(payload, parser="raw", raw=raw)
    assert sample.value == expected
    assert type(sample.value) is type(expected)


def test_wrong_raw_payloads() -> None:
    with pytest.raises(InvalidValueError, match="'abc' is no number"):
        parse(b"abc", parser="raw")
    with pytest.raises(InvalidValueError, match="has 3 bytes where 4 are needed"):
        parse(b"abc", parser="raw", raw={"type": "float32"})


# Protobuf -------------------------------------------------------------------------------------------------------------


def test_protobuf_by_paths() -> None:
    schema = {
        "device_id": "$.device_id",
        "name": "$.axes[*].axis",
        "value": "$.axes[*].rms",
        "timestamp": "$.timestamp",
        "unit": "$.unit",
        "metadata": {"state": "$.state", "spare": "$.spare", "limit": "$.limits.high"},
    }
    message = load_message_type(VIBRATION, "Vibration").parse(vibration(device_id="p", unit="mm/s", state=1, seconds=7))
    for axis, rms in (("x", 1.5), ("y", 2.5)):
        message.axes.add(axis=axis, rms=rms)
    message.limits["high"] = 9.0
    samples = parse(
        message.SerializeToString(), parser="protobuf", schema_file=str(VIBRATION), message_type="Vibration",
        schema=schema,
    )  # fmt: skip
    assert [(s.device, s.address, s.value, s.unit, s.time) for s in samples] == [
        ("p", "x", 1.5, "mm/s", 7 * 10**9 + 5),
        ("p", "y", 2.5, "mm/s", 7 * 10**9 + 5),
    ]
    assert samples[0].metadata == {"state": "RUNNING", "spare": None, "limit": 9.0}


def test_protobuf_by_the_names_of_its_fields() -> None:
    payload = vibration(device_id="pump_7", unit="mm/s", rms=1.5, state=1, seconds=7, samples=[1.0, 2.0], sample_rate=4)
    samples = {s.address: s for s in parse(payload, schema_file=str(VIBRATION), message_type="plant.Vibration")}
    assert {s.device for s in samples.values()} == {"pump_7"}
    assert samples["rms"].value == 1.5
    assert samples["state"].value == "RUNNING"
    assert samples["samples"].value.values.tolist() == [1.0, 2.0]
    assert samples["samples"].value.steps.tolist() == [0, 250_000_000]


def test_fields_that_were_not_sent_say_nothing() -> None:
    """An int64 of proto3 is 0 then: no stamp of 1970, no rate of 0."""
    (sample,) = parse(b"7,0,0", parser="csv", csv={"columns": ["level", "ts", "sample_rate"]})
    assert (sample.address, sample.value, sample.time) == ("level", 7, None)
    payload = vibration(device_id="p", samples=[1.0, 2.0])
    (sample,) = parse(payload, schema_file=str(VIBRATION), message_type="Vibration")
    assert (sample.address, sample.value) == ("samples", [1.0, 2.0])


def test_a_descriptor_set_does_as_well(tmp_path: Path) -> None:
    from grpc_tools import protoc

    out = tmp_path / "vibration.desc"
    arguments = ["", f"-I{VIBRATION.parent}", "--include_imports", f"--descriptor_set_out={out}", VIBRATION.name]
    well_known = Path(protoc.__file__).parent / "_proto"
    assert protoc.main([*arguments, f"-I{well_known}"]) == 0
    samples = parse(vibration(device_id="p", rms=2.5), schema_file=str(out), message_type="Vibration")
    assert ("p", "rms", 2.5) in [(s.device, s.address, s.value) for s in samples]
    (tmp_path / "x.desc").write_bytes(b"nonsense")
    with pytest.raises(InvalidValueError, match=r"x\.desc is neither a \.proto file nor a descriptor set"):
        parse(b"", schema_file=str(tmp_path / "x.desc"))


def test_what_is_no_message_of_the_schema() -> None:
    for payload in (b'{"rms": 1}', b"\xa8\x86\x01\x01", b"\xff"):
        with pytest.raises(InvalidValueError, match=r"the payload is no plant\.Vibration"):
            parse(payload, schema_file=str(VIBRATION), message_type="Vibration")


def test_an_import_and_its_change_are_followed(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    part = tmp_path / "common" / "part.proto"
    part.write_text('syntax = "proto3"; message Part { double a = 1; }')
    whole = tmp_path / "whole.proto"
    whole.write_text('syntax = "proto3"; import "common/part.proto"; message Whole { Part part = 1; }')
    assert load_message_type(whole).descriptor.fields_by_name["part"].message_type.fields_by_name.keys() == ["a"]
    part.write_text('syntax = "proto3"; message Part { double abc = 1; }')
    assert load_message_type(whole).descriptor.fields_by_name["part"].message_type.fields_by_name.keys() == ["abc"]


def findings(folder: Path, schema_file: str, **topic: Any) -> list[Finding]:
    import yaml

    sections = {"sensor_ingestion": mqtt({"pattern": "m/#", "schema_file": schema_file, **topic})}
    (folder / "plant.yaml").write_text(yaml.safe_dump(sections))
    return load_project(folder, strict=True)[1]


@pytest.mark.parametrize(
    ("content", "topic", "words", "path"),
    [
        ('syntax = "proto3";\nmessage A {\n  strin a = 1;\n}', {}, 'v.proto:3:3: "strin" is not', "schema_file"),
        ('import "nowhere.proto";', {}, "nowhere.proto", "schema_file"),
        ('syntax = "proto3";', {}, "v.proto defines no message", "schema_file"),
        ('syntax = "proto3"; message A {} message B {}', {}, "say with `message_type` which one is sent: A, B",
         "message_type"),
        ('syntax = "proto3"; message A {}', {"message_type": "C"}, "has no one message C; it has A", "message_type"),
        ('syntax = "proto3"; message A { double temperature = 1; }', {"schema": {"value": "$.temperatur"}},
         "A has no field temperatur; did you mean 'temperature'", "schema.value"),
    ],
)  # fmt: skip
def test_validate_tells_what_is_wrong_with_a_schema_file(
    tmp_path: Path, content: str, topic: dict[str, Any], words: str, path: str
) -> None:
    (tmp_path / "v.proto").write_text(content)
    (found,) = findings(tmp_path, "v.proto", **topic)
    assert words in found.message
    assert found.path == f"sensor_ingestion.protocols[0].topics[0].{path}" or "message_type" in path
    assert found.line > 1


def test_the_specifications_vibration_topic(tmp_path: Path) -> None:
    """`schema_file` beside the definition, no schema: it loads, and burst and RMS become readings."""
    shutil.copy(VIBRATION, tmp_path / "vibration.proto")
    (tmp_path / "plant.yaml").write_text(
        """
sensor_ingestion:
  protocols:
    - name: "mqtt"
      broker: "mqtt://broker.factory.local:1883"
      topics:
        - pattern: "machines/+/vibration"
          parser: "protobuf"
          schema_file: "vibration.proto"
          message_type: Vibration
"""
    )
    project, found = load_project(tmp_path, strict=True)
    assert project is not None, found
    (topic,) = Project.from_sections(project.sections()).sensor_ingestion.protocols[0].topics
    assert Path(topic.schema_file or "").is_absolute()


async def test_a_protobuf_burst_goes_all_the_way(tmp_path: Path) -> None:
    topic = {
        "pattern": "machines/+/vibration",
        "parser": "protobuf",
        "schema_file": str(VIBRATION),
        "message_type": "Vibration",
    }
    async with running(tmp_path, sensor_ingestion=mqtt(topic)) as pipeline:
        samples = [float(i) for i in range(10_000)]
        payload = vibration(device_id="pump_7", samples=samples, sample_rate=10_000.0, seconds=7, rms=0.5)
        receipt = await publish(pipeline, "machines/pump_7/vibration", payload)
        assert (receipt.accepted, receipt.dead_lettered) == (10_001, 0)
        twin = twin_of(pipeline)
        signal = twin.graph.find_signal("pump_7.samples")
        found = twin.history(signal.index, 7 * 10**9, 9 * 10**9)
        assert len(found.time) == 10_000
        assert value(pipeline, "pump_7.rms") == 0.5
