"""Sparkplug payloads: every kind of metric as the encoder of Cirrus Link writes it, and bytes that are wrong."""

import base64
import gzip
import math
import zlib

import pytest

from iotsense.ingest.protobuf_wire import put_bytes, put_double, put_number
from iotsense.ingest.sparkplug_node import Device
from iotsense.ingest.sparkplug_payload import decode_payload, encode_command
from iotsense.ingest.sparkplug_topic import sparkplug_topic
from iotsense.ingest.sparkplug_values import CODES, STALE, encode_value, read_value
from iotsense.twin.errors import InvalidValueError

# Encoded by the npm package sparkplug-payload 1.0.3, which writes no arrays.
RECORDED = base64.b64decode(
    "COvzsOXQMRIMCgJpOCABUPv///8PEg0KA2kxNiACUNT9//8PEg8KA2kzMhAHIANQkN37/w8SEgoDaTY0IARYgJzor+3/////ARIJCgJ1OCAFUM"
    "gBEgsKA3UxNiAGUODUAxINCgN1MzIgB1iA0KzzDhINCgN1NjQgCFiA5JfQEhIKCgFmIAllAADAPxIOCgFkIAppAAAAAAAAAsASBwoBYiALcAES"
    "DQoBcyAMegZsw6R1ZnQSDQoCZHQgDVjr87Dl0DESCwoEdGV4dCAOegF4Eg8KBHV1aWQgD3oFYWEtYmISDgoFYnl0ZXMgEYIBAgECEgkKA251bC"
    "AKOAESGgoEaGlzdBjjzLDl0DEgCigBaQAAAAAAAAhAEkwKBXByb3BzIApKOAoHZW5nVW5pdAoHUXVhbGl0eQoGZW5nTG93EggIDEIEbW0vcxIF"
    "CAMY9AMSCwgKMQAAAAAAAPC/aQAAAAAAAAhAEkYKAmRzIBCKAT0IAxIBYRIBYhIBYxgDGAoYDCIUCgIIAQoJIQAAAAAAAARACgMyAXgiFAoCCA"
    "MKCSEAAAAAAAASQAoDMgF5EhcKA29uZSAQigENCAESAWEYCCIECgIQCRJMCgVtb3RvciATkgFACgExEgoKA3JwbSADUNwLEh0KBWlubmVyIBOS"
    "ARESCgoBdCAJZQAAAD8iAVgoABoHCgFwEAMYBSIFTW90b3IoABIhCg1fdHlwZXNfL01vdG9yIBOSAQ0SCQoDcnBtIANQACgBGAM="
)
MS = 1_000_000
STAMP = 1705314630123


def read(payload: bytes) -> dict:
    decoded, device = decode_payload(payload), Device("plant/edge")
    device.birth(decoded)
    return {s.address: s for metric in decoded.metrics for s in device.read(metric, decoded, 0)}


def test_every_kind_of_metric() -> None:
    samples = read(RECORDED)
    assert math.isnan(samples.pop("nul").value)
    assert {name: sample.value for name, sample in samples.items()} == {
        "i8": -5,
        "i16": -300,
        "i32": -70_000,
        "i64": -5_000_000_000,
        "u8": 200,
        "u16": 60_000,
        "u32": 4_000_000_000,
        "u64": 5_000_000_000,
        "f": 1.5,
        "d": -2.25,
        "b": True,
        "s": "läuft",
        "dt": STAMP,
        "text": "x",
        "uuid": "aa-bb",
        "hist": 3.0,
        "props": 3.0,
        "ds/a": [1, 3],
        "ds/b": [2.5, 4.5],
        "ds/c": ["x", "y"],
        "one/a": 9,
        "motor/rpm": 1500,
        "motor/inner/t": 0.5,
    }
    assert {sample.device for sample in samples.values()} == {"plant/edge"}
    assert {sample.time for name, sample in samples.items() if name != "hist"} == {STAMP * MS}
    assert samples["hist"].time == (STAMP - 5000) * MS
    assert (samples["props"].unit, samples["props"].quality) == ("mm/s", STALE)
    assert samples["i8"].quality == 192
    decoded = decode_payload(RECORDED)
    assert (decoded.timestamp, decoded.seq) == (STAMP * MS, 3)


def test_what_is_no_number_has_no_value() -> None:
    def metric(name: str, code: int, rest: bytes) -> bytes:
        return put_bytes(2, put_bytes(1, name.encode()) + put_number(4, code) + rest)

    null, infinity = put_number(7, 1), put_double(13, math.inf)
    samples = read(metric("a", 10, infinity) + metric("b", 3, null) + metric("c", 12, null) + metric("d", 10, null))
    assert {name: sample.quality for name, sample in samples.items()} == {"a": 0, "b": 0, "d": 0}
    assert all(math.isnan(sample.value) for sample in samples.values())


def test_a_birth_tells_aliases_and_ranges() -> None:
    device = Device("plant/edge")
    device.birth(decode_payload(RECORDED))
    assert device.aliases[7].name == "i32"
    assert device.metrics["props"].low == -1
    assert "_types_/Motor" not in device.metrics
    assert device.metrics["bytes"].read_only


@pytest.mark.parametrize(("word", "pack"), [("DEFLATE", zlib.compress), ("GZIP", gzip.compress), (None, zlib.compress)])
def test_compressed_payloads(word, pack) -> None:
    algorithm = put_bytes(1, b"algorithm") + put_number(4, 12) + put_bytes(15, (word or "").encode())
    envelope = put_bytes(4, b"SPBV1.0_COMPRESSED") + put_bytes(5, pack(RECORDED)) + put_number(3, 9)
    payload = decode_payload(envelope + (put_bytes(2, algorithm) if word else b""))
    assert payload.seq == 9
    assert payload.metric("i8").raw & 0xFF == 251


def test_what_cannot_be_read_is_said() -> None:
    bomb = put_bytes(4, b"SPBV1.0_COMPRESSED") + put_bytes(5, zlib.compress(bytes(20 << 20)))
    nested = b""
    for _ in range(40):
        nested = put_bytes(18, put_bytes(2, nested))
    for payload, words in (
        (b"{}", "no protobuf message"),
        (b"\xff", "ends in the middle of a number"),
        (b"\xff" * 12, "more than ten bytes"),
        (RECORDED[:-3], "ends in the middle of a field"),
        (put_bytes(2, put_number(1, 5)), "a number where a text is expected"),
        (put_bytes(2, put_bytes(1, b"\xff\xfe")), "no UTF-8"),
        (put_bytes(4, b"SPBV1.0_COMPRESSED") + put_bytes(5, b"nonsense"), "cannot be decompressed"),
        (bomb, "more than 16 MiB"),
        (put_bytes(2, nested), "nested deeper"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            decode_payload(payload)
    assert decode_payload(b"").metrics == []


def test_arrays() -> None:
    for name, raw, values in (
        ("Int8Array", b"\xff\x01", [-1, 1]),
        ("UInt16Array", b"\x01\x00\xff\xff", [1, 65535]),
        ("DoubleArray", b"\0\0\0\0\0\0\xf8\x3f", [1.5]),
        ("BooleanArray", b"\x0a\0\0\0\x80\x40", [True] + [False] * 8 + [True]),
        ("StringArray", b"ABC\0\xc3\xa4\0", ["ABC", "ä"]),
        ("DateTimeArray", b"\x01\0\0\0\0\0\0\0", [1]),
    ):
        assert read_value(CODES[name], raw) == values
    for name, raw in (("Int32Array", b"\0\0\0"), ("BooleanArray", b"\xff\0\0\0\0"), ("Int8", "x"), ("String", 5)):
        with pytest.raises(InvalidValueError):
            read_value(CODES[name], raw)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Int8", -5), ("Int32", -1), ("Int64", -(2**40)), ("UInt32", 4_000_000_000), ("Double", 1.25), ("Float", 0.5),
     ("Boolean", True), ("Boolean", False), ("String", "ä"), ("DateTime", STAMP)],
)  # fmt: skip
def test_commands_come_back_as_they_were(name: str, value: object) -> None:
    code = CODES[name]
    payload = encode_command("x", code, encode_value("x", code, value), STAMP * MS, alias=4)
    (metric,) = decode_payload(payload).metrics
    assert (metric.name, metric.alias, metric.timestamp) == ("x", 4, STAMP * MS)
    assert read_value(code, metric.raw) == value


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("Int8", 200, "from -128 to 127"), ("UInt8", -1, "from 0 to 255"), ("Int32", 1.5, "an Int32, which cannot be"),
     ("Boolean", 2, "a Boolean"), ("String", 1.0, "a String"), ("Double", "x", "a Double"), ("Float", 1e300, "a Float"),
     ("DataSet", 1, "a DataSet")],
)  # fmt: skip
def test_a_value_that_a_metric_cannot_hold_is_refused(name: str, value: object, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        encode_value("speed", CODES[name], value)


def test_topics() -> None:
    told = sparkplug_topic("spBv1.0/plant/DDATA/edge/motor")
    assert told is not None
    assert (told.address, told.kind, told.command()) == ("plant/edge/motor", "DDATA", "spBv1.0/plant/DCMD/edge/motor")
    assert sparkplug_topic("spBv1.0/plant/NBIRTH/edge").command() == "spBv1.0/plant/NCMD/edge"
    for topic in (
        "spBv1.0/STATE/host",
        "spBv1.0/plant/DDATA/edge",
        "spBv1.0/plant/NDATA/edge/x",
        "spBv1.0//NDATA/edge",
    ):
        assert sparkplug_topic(topic) is None
