"""Takes deliveries out of an AMQP connection's stream as they come; all other frames are aiormq's.

aiormq reads each frame with several tasks and queues in between: 40 µs for a message of three frames, most of its cost
here. What is read here: AMQP 0-9-1, 4.2.3 (frames), 4.2.6 (content), 1.8.3.13 (basic.deliver).
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from yarl import URL

_FRAME = struct.Struct(">BHI")
_HEAD, _TAIL = _FRAME.size, 1
_METHOD, _HEADER, _BODY = 1, 2, 3
_DELIVER = struct.pack(">HH", 60, 60)
_PROTOCOL = b"AMQP"
_LONG, _SIZE, _SHORT = struct.Struct(">Q"), struct.Struct(">I"), struct.Struct(">H")
_HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
# How often aiormq is told that the connection lives while it sees nothing of it [s].
_ALIVE_S = 1.0
# Flags of properties that are before those that are wanted, in their order on the wire.
_CONTENT_TYPE, _ENCODING, _HEADERS, _MODE, _PRIORITY = 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11
_CORRELATION, _REPLY, _EXPIRATION, _MESSAGE_ID, _TIMESTAMP = 1 << 10, 1 << 9, 1 << 8, 1 << 7, 1 << 6


class Delivery(msgspec.Struct):
    """A message as the broker delivers it. headers: a field table as it came. timestamp [s since the epoch]."""

    consumer: str
    tag: int
    routing_key: str
    body: bytes = b""
    content_type: str | None = None
    headers: bytes | None = None
    message_id: str | None = None
    timestamp: int | None = None


class DeliveryReader(asyncio.StreamReader):
    """The stream of a connection on which one channel consumes; `receive` gets all deliveries of a read at once."""

    def __init__(self, receive: Callable[[Sequence[Delivery]], None]) -> None:
        super().__init__()
        self._receive = receive
        self._rest = b""
        self._coming: Delivery | None = None
        self._missing = 0
        self._pieces: list[bytes] = []
        self._whole: list[Delivery] = []
        self._alive = 0.0

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        """What has come over the wire."""
        data = self._rest + data if self._rest else bytes(data)
        try:
            passed, at = self._split(data)
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            self.set_exception(ConnectionError(f"a frame cannot be understood: {error!r}"))
            return
        self._rest = data[at:]
        whole, self._whole = self._whole, []
        now = asyncio.get_running_loop().time()
        if whole and not passed and now - self._alive > _ALIVE_S:
            passed, self._alive = [_HEARTBEAT], now
        if passed:
            super().feed_data(b"".join(passed))
        if whole:
            self._receive(whole)

    def _split(self, data: bytes) -> tuple[list[bytes], int]:
        """The frames that are not ours, and how far the data were understood."""
        if data.startswith(_PROTOCOL):  # a broker of another version answers with its own header
            return [data], len(data)
        passed: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= _HEAD:
            kind, _, size = _FRAME.unpack_from(data, at)
            first, last = at + _HEAD, at + _HEAD + size
            if last + _TAIL > end:
                break
            if kind == _METHOD and data.startswith(_DELIVER, first):
                self._coming = _delivery(data, first + len(_DELIVER))
            elif self._coming is not None and kind == _HEADER:
                self._missing = _properties(self._coming, data, first)
                self._end_if_whole()
            elif self._coming is not None and kind == _BODY:
                self._pieces.append(data[first:last])
                self._missing -= size
                self._end_if_whole()
            else:
                passed.append(data[at : last + _TAIL])
            at = last + _TAIL
        return passed, at

    def _end_if_whole(self) -> None:
        if self._missing <= 0 and self._coming is not None:
            self._coming.body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._whole.append(self._coming)
            self._coming, self._pieces = None, []


def transport_factory(receive: Callable[[Sequence[Delivery]], None]) -> Any:
    """How aiormq opens the connection of which the deliveries are `receive`d."""
    from aiormq.connection import TransportFactory

    class DeliveryTransport(TransportFactory):
        async def create(self, url: "URL", **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            provider = kwargs.pop("ssl_context_provider")
            context = await provider.get_context() if url.scheme == "amqps" else None
            loop = asyncio.get_running_loop()
            reader = DeliveryReader(receive)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            transport, _ = await loop.create_connection(lambda: protocol, url.host or "", url.port or 0, ssl=context)
            return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    return DeliveryTransport()


def header_values(table: bytes) -> dict[str, Any]:
    """The entries of a field table."""
    from pamqp.decode import field_table

    return dict(field_table(table)[1])


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(), end


def _delivery(data: bytes, at: int) -> Delivery:
    consumer, at = _text(data, at)
    (tag,) = _LONG.unpack_from(data, at)
    _, at = _text(data, at + _LONG.size + 1)  # behind `redelivered`: the exchange
    return Delivery(consumer, tag, _text(data, at)[0])


def _properties(delivery: Delivery, data: bytes, at: int) -> int:
    """Reads the content header; the size of the body."""
    at += 4  # class and weight
    (size,) = _LONG.unpack_from(data, at)
    (flags,) = _SHORT.unpack_from(data, at + 8)
    at += 10
    if flags & _CONTENT_TYPE:
        delivery.content_type, at = _text(data, at)
    if flags & _ENCODING:
        at += 1 + data[at]
    if flags & _HEADERS:
        (length,) = _SIZE.unpack_from(data, at)
        delivery.headers = data[at : at + 4 + length]
        at += 4 + length
    at += bool(flags & _MODE) + bool(flags & _PRIORITY)
    for flag in (_CORRELATION, _REPLY, _EXPIRATION):
        if flags & flag:
            at += 1 + data[at]
    if flags & _MESSAGE_ID:
        delivery.message_id, at = _text(data, at)
    if flags & _TIMESTAMP:
        (delivery.timestamp,) = _LONG.unpack_from(data, at)
    return int(size)
