"""What a server publishes, cut out of the bytes of its response; asyncua reads whatever is laid out unusually."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .opcua_changes import ChangeReader, Changes

# Numeric ids of the encodings that a notification may have.
_DATA_CHANGE, _STATUS_CHANGE, _EVENTS = 811, 820, 916


@dataclass(slots=True)
class Publication:
    """A notification message of one subscription.

    sequence: its number; of a keep-alive, which is `empty`, that of the next message. available: numbers of messages
    that the server still has. status: why the subscription ended, if it did. events: fields of events, by handle.
    """

    subscription: int
    sequence: int
    empty: bool = True
    available: Sequence[int] = ()
    changes: Changes = field(default_factory=Changes)
    events: list[tuple[int, list[Any]]] = field(default_factory=list)
    status: int | None = None
    acknowledgements: Sequence[int] = ()


class Unusual(Exception):
    """Laid out in a way that asyncua is left to read."""


class Bytes:
    """A place in bytes."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Fields of this layout; raises struct.error if there are no more bytes."""
        found = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return found

    def count(self) -> int:
        """The length of an array, null being none."""
        (length,) = self.take(_COUNT)
        return max(0, int(length))

    def bytes(self) -> bytes:
        """A byte string, null being empty."""
        length = self.count()
        self.at += length
        return self.data[self.at - length : self.at]

    def numbers(self) -> tuple[int, ...]:
        """An array of uint32."""
        length = self.count()
        found = struct.unpack_from(f"<{length}I", self.data, self.at)
        self.at += 4 * length
        return found

    def type_id(self) -> int:
        """A node id, which must be a number in namespace 0."""
        kind = self.data[self.at]
        if kind == 0:
            self.at += 2
            return self.data[self.at - 1]
        if kind == 1 and self.data[self.at + 1] == 0:
            self.at += 4
            return int.from_bytes(self.data[self.at - 2 : self.at], "little")
        raise Unusual


_COUNT = struct.Struct("<i")
_HEADER = struct.Struct("<qIIBi")  # time, request handle, result, mask of diagnostics, texts
_RESPONSE = struct.Struct("<I")
_MESSAGE = struct.Struct("<Iqi")  # sequence number, publish time, notifications
_BODY = struct.Struct("<Bi")  # encoding, length


def read_publish_response(data: bytes) -> Publication:
    """The body of a PublishResponse, its type id included; asyncua's UaError if it says that it failed."""
    try:
        place = Bytes(data)
        skip_header(place)
        (subscription,) = place.take(_RESPONSE)
        available = place.numbers()
        place.at += 1  # more notifications: we ask again in any case
        publication = _message(place, subscription)
        publication.available = available
        publication.acknowledgements = place.numbers()
        return publication
    except (Unusual, struct.error):
        return _by_asyncua(data)


def read_republish_response(data: bytes, subscription: int) -> Publication:
    """The body of a RepublishResponse."""
    try:
        place = Bytes(data)
        skip_header(place)
        return _message(place, subscription)
    except (Unusual, struct.error):
        from asyncua import ua

        response = _struct("RepublishResponse", data)
        response.ResponseHeader.ServiceResult.check()
        return _converted(ua.PublishResult(subscription, NotificationMessage=response.NotificationMessage))


def skip_header(place: Bytes) -> None:
    """The type id and header of a response that is good; Unusual for any other."""
    place.type_id()
    _, _, result, diagnostics, texts = place.take(_HEADER)
    if result or diagnostics or texts > 0 or place.type_id() or place.data[place.at]:
        raise Unusual
    place.at += 1


def _message(place: Bytes, subscription: int) -> Publication:
    sequence, _, notifications = place.take(_MESSAGE)
    publication = Publication(subscription, sequence, notifications <= 0)
    reader = ChangeReader(slow_item)
    for _ in range(notifications):
        kind = place.type_id()
        encoding, length = place.take(_BODY)
        if encoding != 1:
            raise Unusual
        end = place.at + length
        if kind == _DATA_CHANGE:
            count = place.count()
            place.at = reader.read(place.data, place.at, count)
        elif kind == _STATUS_CHANGE:
            (publication.status,) = place.take(_RESPONSE)
        elif kind == _EVENTS:
            events = _struct("EventNotificationList", place.data[place.at : end])
            publication.events += [(each.ClientHandle, each.EventFields) for each in events.Events]
        place.at = end
    publication.changes = reader.finish()
    return publication


def slow_item(data: bytes, position: int) -> tuple[int, Any, int]:
    """An item by asyncua: its handle, its DataValue, and where it ends."""
    from asyncua import ua
    from asyncua.common.utils import Buffer
    from asyncua.ua.ua_binary import struct_from_binary

    buffer = Buffer(data, position)
    item = struct_from_binary(ua.MonitoredItemNotification, buffer)
    return item.ClientHandle, item.Value, buffer.cur_pos


def _struct(name: str, data: bytes) -> Any:
    from asyncua import ua
    from asyncua.common.utils import Buffer
    from asyncua.ua.ua_binary import struct_from_binary

    return struct_from_binary(getattr(ua, name), Buffer(data))


def _by_asyncua(data: bytes) -> Publication:
    response = _struct("PublishResponse", data)
    response.ResponseHeader.ServiceResult.check()
    return _converted(response.Parameters)


def _converted(result: Any) -> Publication:
    """asyncua's PublishResult."""
    message = result.NotificationMessage
    publication = Publication(result.SubscriptionId, message.SequenceNumber, not message.NotificationData)
    publication.available = tuple(result.AvailableSequenceNumbers or ())
    publication.acknowledgements = tuple(code.value for code in result.Results or ())
    reader = ChangeReader(slow_item)
    for data in message.NotificationData or ():
        for item in getattr(data, "MonitoredItems", None) or ():
            reader.add(item.ClientHandle, item.Value)
        publication.events += [(each.ClientHandle, each.EventFields) for each in getattr(data, "Events", None) or ()]
        if hasattr(data, "Status"):
            publication.status = data.Status.value
    publication.changes = reader.finish()
    return publication
