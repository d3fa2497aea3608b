"""MQTT on the wire: packets out of a stream of bytes, and what a PUBLISH holds.

MQTT 3.1.1 sections 2.2 and 3.3, MQTT 5.0 sections 2.1 and 3.3. Many packets arrive in one read; they are cut here in
one loop, which costs a tenth of handing them to a general client one by one.
"""

from dataclasses import dataclass

from ..twin.errors import SourceError

PUBLISH = 3
PUBREL = 6
PUBACK_HEADER = b"\x40\x02"
PUBREC_HEADER = b"\x50\x02"
PUBCOMP_HEADER = b"\x70\x02"


@dataclass(slots=True)
class Publish:
    """A PUBLISH packet. `mid` is 0 at QoS 0. MQTT 5 has the rest: expiry [s] from its arrival, alias 0 for none."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    mid: int
    content_type: str | None = None
    user: dict[str, str] | None = None
    expiry: int | None = None
    alias: int = 0


class PacketStream:
    """Bytes in, whole packets out: (first byte, body)."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """The packets that are complete now. Raises SourceError if the bytes cannot be MQTT."""
        data = self._rest
        data += chunk
        packets: list[tuple[int, bytes]] = []
        start, end = 0, len(data)
        while start + 1 < end:
            length, body = _length(data, start + 1, end)
            if body < 0 or body + length > end:
                break
            packets.append((data[start], bytes(data[body : body + length])))
            start = body + length
        del data[:start]
        return packets


def _length(data: bytes | bytearray, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; -1 if it is not complete."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 21:
            raise SourceError("the broker sent bytes that are no MQTT: a length of more than four bytes")
    return 0, -1


def decode_publish(first: int, body: bytes, version5: bool) -> Publish:
    """What a PUBLISH packet holds. Raises SourceError if it is malformed."""
    qos = first >> 1 & 3
    at = 2 + (body[0] << 8 | body[1]) if len(body) >= 2 else 2
    end = len(body)
    if qos == 3 or at + (2 if qos else 0) > end:
        raise SourceError("the broker sent a malformed PUBLISH")
    topic = body[2:at].decode("utf-8", "replace")
    mid = 0
    if qos:
        mid = body[at] << 8 | body[at + 1]
        at += 2
    length = 0
    if version5:
        length, at = _length(body, at, end)
        if at < 0 or at + length > end:
            raise SourceError("the broker sent a malformed PUBLISH")
    packet = Publish(topic, body[at + length :], qos, bool(first & 1), bool(first & 8), mid)
    if length:
        _read_properties(body[at : at + length], packet)
    return packet


# Properties of a PUBLISH in MQTT 5 (section 3.3.2.3) that are no text: how many bytes they take.
_FIXED = {0x01: 1, 0x02: 4, 0x23: 2}
_EXPIRY = 0x02
_ALIAS = 0x23
_CONTENT_TYPE = 0x03
_RESPONSE_TOPIC = 0x08
_CORRELATION_DATA = 0x09
_SUBSCRIPTION = 0x0B
_USER_PROPERTY = 0x26


def _read_properties(data: bytes, packet: Publish) -> None:
    """Takes over what the properties of a PUBLISH say. Raises SourceError if they are malformed."""
    user = dict[str, str]()
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        at += 1
        if kind in _FIXED:
            value_at, at = at, at + _FIXED[kind]
            if kind == _EXPIRY:
                packet.expiry = int.from_bytes(data[value_at:at], "big")
            elif kind == _ALIAS:
                packet.alias = int.from_bytes(data[value_at:at], "big")
        elif kind == _SUBSCRIPTION:
            _, at = _length(data, at, end)
        elif kind in (_CONTENT_TYPE, _RESPONSE_TOPIC, _CORRELATION_DATA, _USER_PROPERTY):
            text, at = _text(data, at)
            if kind == _CONTENT_TYPE:
                packet.content_type = text.decode("utf-8", "replace")
            elif kind == _USER_PROPERTY:
                value, at = _text(data, at)
                user[text.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        else:
            at = -1
        if at < 0 or at > end:
            raise SourceError("the broker sent a PUBLISH with malformed properties")
    packet.user = user or None


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    if at + 2 > len(data):
        return b"", len(data) + 1
    end = at + 2 + (data[at] << 8 | data[at + 1])
    return data[at + 2 : end], end


def answer(header: bytes, mid: int) -> bytes:
    """A PUBACK, PUBREC or PUBCOMP that says that all is well; the same bytes in both versions."""
    return header + mid.to_bytes(2, "big")
