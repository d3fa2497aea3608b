"""The planner: many registers, few requests."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..twin.define_modbus import BITS, ModbusDevice, Table

Place = tuple[int, Table]
"""A unit and one of its tables."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one point needs: `count` registers or bits from `first`, counted from 0. row: the point's number."""

    row: int
    unit: int
    table: Table
    first: int
    count: int

    @property
    def last(self) -> int:
        """Its last address."""
        return self.first + self.count - 1

    @property
    def place(self) -> Place:
        """Where it is."""
        return (self.unit, self.table)

    def __str__(self) -> str:
        span = str(self.first) if self.count == 1 else f"{self.first} to {self.last}"
        return f"unit {self.unit}, {self.table} {span}"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One request: `count` registers or bits from `first`, and the items in it, by address. Each is only like itself:
    comparing the items of a hundred would cost more than reading them.
    """

    unit: int
    table: Table
    first: int
    count: int
    items: tuple[Item, ...]

    @classmethod
    def of(cls, items: Sequence[Item]) -> "Block":
        """The block of items that are sorted by address and lie in one table."""
        first, last = items[0].first, max(item.last for item in items)
        return cls(items[0].unit, items[0].table, first, last - first + 1, tuple(items))

    def halves(self) -> tuple["Block", "Block"] | None:
        """Two smaller ones with the same items; None if all of them lie at the same address."""
        starts = sorted({item.first for item in self.items})
        if len(starts) == 1:
            return None
        middle = starts[len(starts) // 2]
        lower = [item for item in self.items if item.first < middle]
        return Block.of(lower), Block.of(self.items[len(lower) :])


@dataclass(slots=True)
class Limits:
    """What a device allows in one request, and what it has taught us.

    gap: addresses that nobody asked for which may be read along. holes: ranges (first, last) that must not be.
    walls: addresses such that a request begins there or stays below.
    """

    gap: int
    registers: int
    bits: int
    holes: defaultdict[Place, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    walls: defaultdict[Place, set[int]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, device: ModbusDevice) -> "Limits":
        """Those of a definition."""
        limits = cls(device.max_gap, device.max_registers, device.max_coils)
        units = {device.unit_id, *(device.unit_of(register) for register in device.registers)}
        for span in device.forbidden:
            for unit in units if span.unit_id is None else (span.unit_id,):
                limits.holes[unit, span.table].add((span.first, span.last))
        return limits

    def most(self, table: Table) -> int:
        """Registers or bits in one request."""
        return self.bits if table in BITS else self.registers

    def joins(self, place: Place, first: int, last: int, item: Item) -> bool:
        """Whether a request for `first` to `last` may go on to an item behind."""
        if max(last, item.last) - first + 1 > self.most(place[1]):
            return False
        if any(first < wall <= item.first for wall in self.walls.get(place, ())):
            return False
        begin, end = last + 1, item.first - 1
        if begin > end:
            return True
        # Unwanted bits cost an eighth of a byte each: a gap is meant in registers, which are two bytes.
        unwanted = (end - begin + 1) / (16 if place[1] in BITS else 1)
        return unwanted <= self.gap and not any(low <= end and begin <= high for low, high in self.holes.get(place, ()))


def plan(items: Iterable[Item], limits: Limits) -> list[Block]:
    """The requests that read all items, each as large as the limits allow, by unit, table and address."""
    blocks: list[Block] = []
    open: list[Item] = []
    last = -1
    for item in sorted(items, key=lambda item: (item.unit, item.table, item.first, item.last)):
        if open and (item.place != open[0].place or not limits.joins(item.place, open[0].first, last, item)):
            blocks.append(Block.of(open))
            open = []
        last = max(last, item.last) if open else item.last
        open.append(item)
    if open:
        blocks.append(Block.of(open))
    return blocks
