"""Data changes of OPC UA as columns.

asyncua makes three objects of a value (6 µs); here values that are laid out alike are read as one numpy table, others
by one `struct` call, and what is neither a number nor a text is left to asyncua.
"""

import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..twin.times import datetime_to_ns
from .opcua_status import overflowed, qualities_of

# Between 1601 and 1970, in the ticks of 100 ns that OPC UA counts.
_EPOCH_TICKS = 116_444_736_000_000_000
_EXACT = 1 << 53
_VALUE = 1
# What follows a value, in this order: bit of the encoding mask, name, numpy type, struct letter.
_TAIL = (
    (2, "status", "<u4", "I"),
    (4, "source", "<i8", "q"),
    (16, "source_pico", "<u2", "H"),
    (8, "server", "<i8", "q"),
    (32, "server_pico", "<u2", "H"),
)
_STRING = 12
# Variant types that are one number.
_NUMBERS = {
    1: "u1", 2: "i1", 3: "u1", 4: "<i2", 5: "<u2", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8", 10: "<f4", 11: "<f8",
}  # fmt: skip


class Other(NamedTuple):
    """A value that is no number: text, list, or an integer that a float could not hold. time [ns], 0 for none."""

    handle: int
    value: Any
    time: int
    status: int


class Changes:
    """Values by monitored item, in the order of the server.

    handle: uint32 `(n,)`. value: float64 `(n,)`, NaN for none. time: int64 `(n,)` [ns since the epoch], 0 for none.
    status: uint32 `(n,)`. others: what is no number.
    """

    __slots__ = ("handle", "others", "status", "time", "value")

    def __init__(self) -> None:
        self.handle: NDArray[np.uint32] = np.empty(0, np.uint32)
        self.value: NDArray[np.float64] = np.empty(0)
        self.time: NDArray[np.int64] = np.empty(0, np.int64)
        self.status: NDArray[np.uint32] = np.empty(0, np.uint32)
        self.others: list[Other] = []

    def __len__(self) -> int:
        return len(self.handle) + len(self.others)

    def keep_until(self, time: int) -> None:
        """Drops what is newer than `time` [ns]."""
        old = self.time <= time
        self.handle, self.value = self.handle[old], self.value[old]
        self.time, self.status = self.time[old], self.status[old]
        self.others = [other for other in self.others if other.time <= time]

    def newest(self) -> int:
        """The newest time of a value [ns], 0 for none."""
        times = [other.time for other in self.others]
        return max(int(self.time.max(initial=0)), max(times, default=0))

    def quality(self) -> NDArray[np.uint8]:
        """OPC quality bytes `(n,)`."""
        return qualities_of(self.status)

    def overflows(self) -> list[int]:
        """Handles of items of which the server has lost values."""
        found: list[int] = self.handle[overflowed(self.status)].tolist()
        others = np.array([other.status for other in self.others], np.uint32)
        return found + [other.handle for other, lost in zip(self.others, overflowed(others), strict=True) if lost]


class _Part:
    """Columns that are filled in any order; rows that turn out to be no numbers stay unfilled."""

    __slots__ = ("filled", "handle", "status", "time", "value")

    def __init__(self, rows: int) -> None:
        self.handle = np.zeros(rows, np.uint32)
        self.value = np.zeros(rows)
        self.time = np.zeros(rows, np.int64)
        self.status = np.zeros(rows, np.uint32)
        self.filled = np.zeros(rows, np.bool_)

    def columns(self) -> tuple[NDArray[Any], ...]:
        columns = (self.handle, self.value, self.time, self.status)
        return columns if self.filled.all() else tuple(column[self.filled] for column in columns)


class _Layout:
    """Items of one encoding mask and one variant type: each takes the same bytes."""

    __slots__ = ("dtype", "has_value", "head", "integer", "names", "size")

    def __init__(self, mask: int, kind: int | None) -> None:
        fields = [("handle", "<u4"), ("mask", "u1")]
        if kind is not None:
            fields += [("kind", "u1"), ("value", _NUMBERS[kind])]
        fields += [(name, numpy) for bit, name, numpy, _ in _TAIL if mask & bit]
        self.has_value = kind is not None
        self.integer = kind in (8, 9)
        self.names = {name for name, _ in fields}
        self.dtype = np.dtype(fields)
        self.size = self.dtype.itemsize
        self.head = (mask, kind)

    def run(self, data: bytes, start: int, count: int) -> NDArray[Any]:
        """The items from `start` on that are laid out like this, `count` at most."""
        count = min(count, (len(data) - start) // self.size)
        rows = np.frombuffer(data, self.dtype, count, start)
        like = rows["mask"] == self.head[0]
        if self.has_value:
            like &= rows["kind"] == self.head[1]
        return rows if like.all() else rows[: int(like.argmin())]

    def rows(self, data: bytes, offsets: list[int]) -> NDArray[Any]:
        """The items at these offsets."""
        places = np.array(offsets)[:, None] + np.arange(self.size)
        return np.frombuffer(data, np.uint8)[places].view(self.dtype)[:, 0]

    def columns(self, rows: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Handle, value, time and status of items."""
        time = np.zeros(len(rows), np.int64)
        for name in ("server", "source"):
            if name in self.names:
                ticks = rows[name]
                time = np.where(ticks > _EPOCH_TICKS, (ticks - _EPOCH_TICKS) * 100, time)
        value = rows["value"].astype(np.float64) if self.has_value else np.full(len(rows), np.nan)
        status = rows["status"] if "status" in self.names else np.zeros(len(rows), np.uint32)
        return rows["handle"], value, time, status


def _layouts() -> dict[bytes, _Layout]:
    found: dict[bytes, _Layout] = {}
    for mask in range(64):
        if mask & _VALUE:
            found |= {bytes((mask, kind)): _Layout(mask, kind) for kind in _NUMBERS}
        else:
            found[bytes((mask,))] = _Layout(mask, None)
    return found


_LAYOUTS = _layouts()
Slow = Callable[[bytes, int], tuple[int, Any, int]]
"""Reads one item the slow way: (handle, its DataValue, where the next begins)."""


class ChangeReader:
    """Collects the items of data change notifications; `finish` makes columns of them."""

    def __init__(self, slow: Slow) -> None:
        self._slow = slow
        self._parts: list[_Part] = []
        self._changes = Changes()

    def read(self, data: bytes, position: int, count: int) -> int:
        """Reads `count` items; where they end. Raises struct.error if they are cut short."""
        layout = _LAYOUTS.get(data[position + 4 : position + 6]) if count else None
        if layout is not None:
            rows = layout.run(data, position, count)
            self._take(layout, rows)
            count -= len(rows)
            position += len(rows) * layout.size
        return self._read_mixed(data, position, count) if count else position

    def add(self, handle: int, data_value: Any) -> None:
        """Takes a value as asyncua has it."""
        part = _Part(1)
        self._put(part, 0, handle, *_taken_apart(data_value))
        self._parts.append(part)

    def finish(self) -> Changes:
        """All that was read."""
        changes = self._changes
        if self._parts:
            columns = zip(*(part.columns() for part in self._parts), strict=True)
            changes.handle, changes.value, changes.time, changes.status = (np.concatenate(each) for each in columns)
        return changes

    def _read_mixed(self, data: bytes, position: int, count: int) -> int:
        """Sorts the items by their layouts, and reads those of each layout at once."""
        part = _Part(count)
        places: dict[_Layout, tuple[list[int], list[int]]] = {}
        known = _LAYOUTS.get
        for number in range(count):
            layout = known(data[position + 4 : position + 6]) or known(data[position + 4 : position + 5])
            if layout is None:
                position = self._read_one(part, number, data, position)
                continue
            numbers, offsets = places.get(layout) or places.setdefault(layout, ([], []))
            numbers.append(number)
            offsets.append(position)
            position += layout.size
        if position > len(data):
            raise struct.error("the notification is cut short")
        for layout, (numbers, offsets) in places.items():
            self._fill(part, np.array(numbers), layout, layout.rows(data, offsets))
        self._parts.append(part)
        return position

    def _take(self, layout: _Layout, rows: NDArray[Any]) -> None:
        part = _Part(len(rows))
        self._fill(part, np.arange(len(rows)), layout, rows)
        self._parts.append(part)

    def _fill(self, part: _Part, numbers: NDArray[np.int64], layout: _Layout, rows: NDArray[Any]) -> None:
        columns = layout.columns(rows)
        if layout.integer:
            far = (rows["value"] > _EXACT) | (rows["value"] < -_EXACT)
            for row in np.flatnonzero(far).tolist():
                _, _, time, status = (column[row] for column in columns)
                self._put(part, numbers[row], int(rows["handle"][row]), int(rows["value"][row]), int(time), int(status))
            numbers, columns = numbers[~far], tuple(column[~far] for column in columns)
        part.handle[numbers], part.value[numbers], part.time[numbers], part.status[numbers] = columns
        part.filled[numbers] = True

    def _read_one(self, part: _Part, number: int, data: bytes, position: int) -> int:
        """A text, or what only asyncua can read."""
        if data[position + 4] & _VALUE and data[position + 5] == _STRING:
            handle, mask, _, length = _TEXT(data, position)
            start = position + _TEXT_HEAD
            end = start + max(length, 0)
            text = data[start:end].decode("utf-8", "replace") if length >= 0 else None
            tail = _TAILS[mask & 62]
            self._put(part, number, handle, text, *_stamped(mask, tail.unpack_from(data, end)))
            return int(end + tail.size)
        handle, data_value, end = self._slow(data, position)
        self._put(part, number, handle, *_taken_apart(data_value))
        return end

    def _put(self, part: _Part, number: int, handle: int, value: Any, time: int, status: int) -> None:
        small = isinstance(value, bool | float) or (isinstance(value, int) and -_EXACT <= value <= _EXACT)
        if value is not None and not small:
            self._changes.others.append(Other(handle, value, time, status))
            return
        part.handle[number], part.time[number], part.status[number] = handle, time, status
        part.value[number] = np.nan if value is None else float(value)
        part.filled[number] = True


_TEXT = struct.Struct("<IBBi").unpack_from
_TEXT_HEAD = 10
_HANDLE, _LENGTH = struct.Struct("<I"), struct.Struct("<i")
_TAILS = {
    mask: struct.Struct("<" + "".join(letter for bit, _, _, letter in _TAIL if mask & bit)) for mask in range(0, 64, 2)
}


def _stamped(mask: int, tail: tuple[Any, ...]) -> tuple[int, int]:
    """Time [ns], 0 for none, and status, from what follows a value."""
    fields = dict(zip((name for bit, name, _, _ in _TAIL if mask & bit), tail, strict=True))
    stamps = (ticks for name in ("source", "server") if (ticks := fields.get(name, 0)) > _EPOCH_TICKS)
    ticks = next(stamps, _EPOCH_TICKS)
    return (ticks - _EPOCH_TICKS) * 100, fields.get("status", 0)


def _taken_apart(data_value: Any) -> tuple[Any, int, int]:
    """Value, time [ns] and status of asyncua's DataValue."""
    value = data_value.Value.Value if data_value.Value is not None else None
    status = data_value.StatusCode.value if data_value.StatusCode is not None else 0
    stamp = data_value.SourceTimestamp or data_value.ServerTimestamp
    return plain(value), datetime_to_ns(stamp) if stamp is not None and stamp.year > 1970 else 0, status


def value_end(data: bytes, position: int) -> int | None:
    """Where a DataValue (an item without its handle) ends; None if only asyncua can tell."""
    layout = _LAYOUTS.get(data[position : position + 2]) or _LAYOUTS.get(data[position : position + 1])
    if layout is not None:
        return position + layout.size - _HANDLE.size
    if not data[position] & _VALUE or data[position + 1] != _STRING:
        return None
    (length,) = _LENGTH.unpack_from(data, position + 2)
    return position + 2 + _LENGTH.size + max(0, int(length)) + _TAILS[data[position] & 62].size


def plain(value: Any) -> Any:
    """What asyncua made of a value, as numbers, texts and lists of them."""
    if value is None or isinstance(value, bool | int | float | str):
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "Text"):  # LocalizedText
        return value.Text
    if hasattr(value, "NodeIdType"):
        return value.to_string()
    if isinstance(value, bytes):
        return value.hex()
    name = getattr(value, "Name", None)  # QualifiedName
    return name if isinstance(name, str) else str(value)
