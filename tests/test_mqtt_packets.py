"""MQTT on the wire: packets however the bytes arrive, and bytes that are no MQTT."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from iotsense.ingest.mqtt_packets import PacketStream, Publish, decode_publish
from iotsense.twin.errors import SourceError

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)


def prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def varint(value: int) -> bytes:
    encoded = b""
    while True:
        value, digit = divmod(value, 128)
        encoded += bytes([digit | (128 if value else 0)])
        if not value:
            return encoded


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + varint(len(body)) + body


@given(st.lists(st.binary(max_size=400), max_size=20), st.randoms())
def test_packets_are_whole_however_the_bytes_arrive(bodies: list[bytes], random) -> None:
    data = b"".join(packet(0x30, body) for body in bodies)
    stream, found = PacketStream(), []
    while data:
        cut = random.randint(1, len(data))
        found += stream.feed(data[:cut])
        data = data[cut:]
    assert found == [(0x30, body) for body in bodies]


@given(TEXTS, st.binary(max_size=300), st.integers(0, 2), st.booleans(), st.booleans(), st.integers(1, 65535))
def test_a_publish(topic: str, payload: bytes, qos: int, retain: bool, duplicate: bool, mid: int) -> None:
    first = 0x30 | duplicate << 3 | qos << 1 | retain
    head = prefixed(topic.encode()) + (mid.to_bytes(2, "big") if qos else b"")
    expected = Publish(topic, payload, qos, retain, duplicate, mid if qos else 0)
    assert decode_publish(first, head + payload, version5=False) == expected
    assert decode_publish(first, head + b"\0" + payload, version5=True) == expected


@given(TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=8), st.integers(0, 2**32 - 1), st.binary(max_size=200))
def test_properties_as_another_library_writes_them(
    content_type: str, user: list[tuple[str, str]], expiry: int, data: bytes
) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = expiry
    properties.ContentType = content_type
    properties.CorrelationData = data
    properties.ResponseTopic = "answers"
    properties.SubscriptionIdentifier = 300
    if user:
        properties.UserProperty = user
    found = decode_publish(0x30, prefixed(b"t") + properties.pack() + b"payload", version5=True)
    assert (found.content_type, found.user, found.payload) == (content_type, dict(user) or None, b"payload")


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\0\5abc", b"\0\1t", b"\0\1t\0\1\x05\x01", b"\0\1t\0\1\x02\x7f\0", b"\0\1t\0\1\x03\x03\0\x09"]
)
def test_what_is_no_publish_is_refused(body: bytes) -> None:
    with pytest.raises(SourceError, match="malformed"):
        decode_publish(0x32, body, version5=True)


def test_a_quality_of_service_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SourceError, match="malformed"):
        decode_publish(0x36, prefixed(b"t") + b"\0\1x", version5=False)


def test_a_length_of_five_bytes_is_refused() -> None:
    with pytest.raises(SourceError, match="no MQTT"):
        PacketStream().feed(b"\x30\xff\xff\xff\xff\x01")


@given(st.integers(0, 255), st.binary(max_size=60), st.booleans())
def test_no_bytes_bring_it_down(first: int, body: bytes, version5: bool) -> None:
    with contextlib.suppress(SourceError):
        decode_publish(first, body, version5)
