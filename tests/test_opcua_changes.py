"""Data changes by hand against asyncua's own reading of the same bytes."""

import math
import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from asyncua.ua.uaerrors import UaStatusCodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsense.ingest.opcua_changes import ChangeReader, Changes, value_end
from iotsense.ingest.opcua_publication import (
    Publication,
    read_publish_response,
    read_republish_response,
    slow_item,
)
from iotsense.ingest.opcua_status import quality_of

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
NOW_NS = 1_767_323_045_678_901_000


def response(*items: ua.DataValue, events: Any = None, status: int | None = None) -> ua.PublishResponse:
    """What a server publishes; handles count from 0."""
    found = ua.PublishResponse()
    found.Parameters.SubscriptionId = 7
    found.Parameters.AvailableSequenceNumbers = [4, 5]
    found.Parameters.Results = [ua.StatusCode(0)]
    message = found.Parameters.NotificationMessage
    message.SequenceNumber = 5
    if items:
        change = ua.DataChangeNotification()
        change.MonitoredItems = [ua.MonitoredItemNotification(handle, item) for handle, item in enumerate(items)]
        message.NotificationData.append(change)
    if status is not None:
        message.NotificationData.append(ua.StatusChangeNotification(Status=ua.StatusCode(status)))
    return found


def value(given: Any, kind: ua.VariantType | None = None, **fields: Any) -> ua.DataValue:
    variant = None if given is None and kind is None else ua.Variant(given, kind)
    return ua.DataValue(variant, **{"SourceTimestamp": NOW, **fields})


def rows(changes: Changes) -> set[tuple[Any, ...]]:
    """All values, in no order, NaN as a word."""
    columns = zip(*(c.tolist() for c in (changes.handle, changes.value, changes.time, changes.status)), strict=True)
    found = [(h, "nan" if math.isnan(v) else v, t, s) for h, v, t, s in columns]
    return {*found, *((o.handle, str(o.value), o.time, o.status) for o in changes.others)}


def by_asyncua(data: bytes) -> Changes:
    reader = ChangeReader(slow_item)
    for notification in struct_from_binary(
        ua.PublishResponse, Buffer(data)
    ).Parameters.NotificationMessage.NotificationData:
        for item in notification.MonitoredItems:
            reader.add(item.ClientHandle, item.Value)
    return reader.finish()


NUMBERS = [
    ua.VariantType.SByte, ua.VariantType.Byte, ua.VariantType.Int16, ua.VariantType.UInt16, ua.VariantType.Int32,
    ua.VariantType.UInt32, ua.VariantType.Int64, ua.VariantType.UInt64,
]  # fmt: skip
INTEGERS = st.builds(lambda kind, n: value(n, kind), st.sampled_from(NUMBERS), st.integers(0, 100))
FLOATS = st.builds(value, st.floats(allow_nan=False), st.just(ua.VariantType.Double))
STAMPS = st.sampled_from([NOW, datetime(2001, 2, 3, tzinfo=UTC), None])
STAMPED = st.builds(
    lambda v, source, server, status: value(
        v, ua.VariantType.Double, SourceTimestamp=source, ServerTimestamp=server, StatusCode=ua.StatusCode(status)
    ),
    st.floats(allow_nan=False),
    STAMPS,
    STAMPS,
    st.sampled_from([0, 0x80310000, 0x408F0480]),
)
OTHERS = st.one_of(
    st.builds(value, st.text(max_size=20), st.just(ua.VariantType.String)),
    st.builds(value, st.lists(st.floats(allow_nan=False), min_size=1, max_size=3), st.just(ua.VariantType.Double)),
    st.builds(value, st.booleans()),
    st.builds(lambda text: value(ua.LocalizedText(text)), st.text(min_size=1, max_size=9)),
    st.builds(lambda n: value(n, ua.VariantType.Int64), st.sampled_from([2**53 + 1, -(2**60)])),
    st.just(value(None, StatusCode=ua.StatusCode(0x80320000))),
    st.just(value(NOW)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(INTEGERS, FLOATS, STAMPED, OTHERS), min_size=1, max_size=40))
def test_any_items_are_read_as_asyncua_reads_them(items: list[ua.DataValue]) -> None:
    data = struct_to_binary(response(*items))
    found = read_publish_response(data)
    assert rows(found.changes) == rows(by_asyncua(data))
    assert len(found.changes) == len(items)


def test_a_thousand_equal_items() -> None:
    data = struct_to_binary(response(*(value(float(n)) for n in range(1000)), value("end")))
    changes = read_publish_response(data).changes
    np.testing.assert_array_equal(changes.handle, np.arange(1000))
    np.testing.assert_array_equal(changes.value, np.arange(1000.0))
    assert set(changes.time.tolist()) == {NOW_NS} and changes.others[0].value == "end"


def test_a_message_tells_its_numbers() -> None:
    found = read_publish_response(struct_to_binary(response(value(1.0))))
    assert (found.subscription, found.sequence, found.empty) == (7, 5, False)
    assert tuple(found.available) == (4, 5) and tuple(found.acknowledgements) == (0,)
    assert read_publish_response(struct_to_binary(response())).empty
    assert read_publish_response(struct_to_binary(response(status=0x800A0000))).status == 0x800A0000


def test_a_refusal_is_an_error() -> None:
    refused = response()
    refused.ResponseHeader.ServiceResult = ua.StatusCode(0x80790000)
    with pytest.raises(UaStatusCodeError):
        read_publish_response(struct_to_binary(refused))


def test_an_unusual_header_is_left_to_asyncua() -> None:
    unusual = response(value(2.5), value("x"))
    unusual.ResponseHeader.StringTable = ["something"]
    found = read_publish_response(struct_to_binary(unusual))
    assert isinstance(found, Publication) and rows(found.changes) == {(0, 2.5, NOW_NS, 0), (1, "x", NOW_NS, 0)}


def test_a_message_once_more() -> None:
    again = ua.RepublishResponse()
    again.NotificationMessage = response(value(3.5)).Parameters.NotificationMessage
    found = read_republish_response(struct_to_binary(again), 9)
    assert (found.subscription, found.sequence) == (9, 5) and found.changes.value.tolist() == [3.5]


def test_bytes_that_are_cut_short_are_an_error() -> None:
    data = struct_to_binary(response(*(value(float(n)) for n in range(10))))
    for length in (10, 40, len(data) - 60):
        with pytest.raises((ua.UaError, struct.error, IndexError, ValueError)):
            read_publish_response(data[:length])


def test_where_a_value_of_history_ends() -> None:
    for item in (value(1.5), value("text"), value(7, ua.VariantType.Int16)):
        data = struct_to_binary(item)
        assert value_end(data + b"rest", 0) == len(data)
    for item in (value([1.0]), value(None)):
        assert value_end(struct_to_binary(item), 0) is None


def test_picoseconds_stand_behind_their_stamps() -> None:
    """OPC 10000-6, 5.2.2.17; asyncua puts them elsewhere, so these bytes are made by hand."""
    ticks = 134_118_020_456_789_012
    item = struct.pack("<IBBdqHqH", 3, 0x3D, 11, 2.5, ticks, 10, ticks + 5, 20)
    for count in (1, 3):
        reader = ChangeReader(slow_item)
        assert reader.read(item * count, 0, count) == len(item) * count
        changes = reader.finish()
        assert changes.value.tolist() == [2.5] * count and changes.handle.tolist() == [3] * count
        assert changes.time.tolist() == [(ticks - 116_444_736_000_000_000) * 100] * count


def test_overflow_and_quality() -> None:
    lost = ua.StatusCode(0x00000480)
    changes = read_publish_response(struct_to_binary(response(value(1.0, StatusCode=lost), value(2.0)))).changes
    assert changes.overflows() == [0] and changes.quality().tolist() == [192, 192]
    assert [quality_of(code) for code in (0x80310000, 0x80FF0000, 0x40900000, 0x40FF0000, 0x00960000, 0xC0000000)] == [
        24, 0, 68, 64, 216, 0,
    ]  # fmt: skip
