"""What an OPC UA server kept while we were away."""

import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..twin.times import NS
from .opcua_changes import ChangeReader, Changes, value_end
from .opcua_errors import explain, translated
from .opcua_publication import Bytes, Unusual, skip_header, slow_item
from .opcua_session import OpcUaSession

# Nodes asked for at once, and values of each; together what is held in memory.
_NODES, _VALUES = 100, 500
_NO_DATA = {"GoodNoData", "BadNoData", "BadNoDataAvailable"}
_HISTORY_DATA = 658
_RESULT = struct.Struct("<I")
_BODY = struct.Struct("<Bi")  # encoding, length


class _Part(NamedTuple):
    """What came of one node: its status, where to go on (empty: that was all), and its values in bytes."""

    status: int
    following: bytes
    values: bytes


async def read_history(
    session: OpcUaSession, nodes: Mapping[int, Any], since: int, until: int
) -> AsyncIterator[tuple[Changes, dict[int, str]]]:
    """Values from `since` to `until` [ns] of nodes by handle, in parts, and why there are none of which nodes.

    Values of one node come in their order, with the times under which they were published. Raises SourceError.
    """
    handles = list(nodes)
    at_once = min(session.limit("history") or _NODES, _NODES)
    for start in range(0, len(handles), at_once):
        waiting = [(handle, b"") for handle in handles[start : start + at_once]]
        while waiting:
            reader = ChangeReader(slow_item)
            refused: dict[int, str] = {}
            parts = await _ask(session, [(nodes[handle], point) for handle, point in waiting], since, until)
            following = []
            for (handle, _), part in zip(waiting, parts, strict=True):
                if part.status >> 31 and (name := explain(part.status)) not in _NO_DATA:
                    refused[handle] = name
                if part.values:
                    _read(reader, handle, part.values)
                if part.following:
                    following.append((handle, part.following))
            waiting = following
            yield reader.finish(), refused


async def _ask(session: OpcUaSession, nodes: Sequence[tuple[Any, bytes]], since: int, until: int) -> list[_Part]:
    from asyncua import ua

    request = ua.HistoryReadRequest()
    request.Parameters = ua.HistoryReadParameters(
        HistoryReadDetails=ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=_moment(since),
            EndTime=_moment(until),
            NumValuesPerNode=_VALUES,
            ReturnBounds=False,
        ),
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        ReleaseContinuationPoints=False,
        NodesToRead=[ua.HistoryReadValueId(NodeId=node, ContinuationPoint=point or None) for node, point in nodes],
    )
    with translated("reading history"):
        return _parts(await session.ask(request))


def _parts(data: bytes) -> list[_Part]:
    """The results of a HistoryReadResponse. By hand, for asyncua's times are coarser than those of values."""
    place = Bytes(data)
    try:
        skip_header(place)
        found = []
        for _ in range(place.count()):
            (status,) = place.take(_RESULT)
            following = place.bytes()
            kind = place.type_id()
            values = b""
            if kind == _HISTORY_DATA:
                _, length = place.take(_BODY)
                values = data[place.at : place.at + length]
                place.at += length
            else:
                place.at += 1  # no body
            found.append(_Part(status, following, values))
        return found
    except Unusual:
        raise ValueError("the server's answer is laid out in a way that is not understood here") from None


def _read(reader: ChangeReader, handle: int, data: bytes) -> None:
    """Values as they are in history, made items by their handle."""
    place = Bytes(data)
    count = place.count()
    head = handle.to_bytes(4, "little")
    items = []
    for _ in range(count):
        end = value_end(data, place.at)
        end = _slow_end(data, place.at) if end is None else end
        items.append(head + data[place.at : end])
        place.at = end
    reader.read(b"".join(items), 0, count)


def _slow_end(data: bytes, position: int) -> int:
    from asyncua import ua
    from asyncua.common.utils import Buffer
    from asyncua.ua.ua_binary import struct_from_binary

    buffer = Buffer(data, position)
    struct_from_binary(ua.DataValue, buffer)
    return int(buffer.cur_pos)


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS, UTC).replace(microsecond=ns % NS // 1000)
