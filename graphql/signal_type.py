"""Signals: what they show now and what they did."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
import strawberry
from numpy.typing import NDArray

from ..twin import model
from ..twin.errors import InvalidValueError
from ..twin.history import History as Rows
from ..twin.model import DataType, Role
from ..twin.state import NEVER, Reading
from ..twin.times import NS
from .field import field
from .loading import Span
from .scalars import Instants, NumberColumn, Time, TimeColumn, Value, ValueColumn, numbers
from .timed import timed
from .view import View
from .words import QualityWord

if TYPE_CHECKING:
    from .command_type import Command
    from .node_type import Node

MOST_POINTS = 10_000
HOUR_NS = 3_600 * NS


@strawberry.type(description="Columns of equal length. With `bucket` set, a row stands for all readings of a bucket.")
@timed
class History:
    time: TimeColumn = strawberry.field(description="When it was so, or when the bucket begins.")
    value: ValueColumn = strawberry.field(
        description="The values; of a bucket the mean, or the text if it had only one (bad readings do not count)."
    )
    low: NumberColumn = strawberry.field(description="The lowest reading of each bucket.")
    high: NumberColumn = strawberry.field(description="The highest reading of each bucket.")
    quality: NumberColumn = strawberry.field(description="OPC quality bytes; of a bucket the worst.")
    count: NumberColumn = strawberry.field(description="How many readings each row stands for.")
    bucket: float | None = strawberry.field(description="Width of a bucket [s]; null where the rows are readings.")
    tier: str = strawberry.field(description="What it was made from, the coarsest of it: raw, thinned, 1m, 1h, ...")
    precision: float | None = strawberry.field(description="How exact times are [s]; null with every reading.")
    first: NumberColumn | None = strawberry.field(description="Of a tier: the first value of each bucket; else null.")
    last: NumberColumn | None = strawberry.field(description="Of a tier: the last value of each bucket; else null.")
    mean_over_time: NumberColumn | None = strawberry.field(
        description="Of a tier: the mean of each bucket, each value weighted with how long it was so; else null."
    )
    good_percent: NumberColumn | None = strawberry.field(
        description="Of a tier: how many percent of all readings of each bucket are good; else null."
    )
    start: Time
    end: Time


@strawberry.type(description="A named time series on a node.")
@timed
class Signal:
    view: strawberry.Private[View]
    signal: strawberry.Private[model.Signal]
    index: int = strawberry.field(description="Its number, stable for ever.")
    name: str
    role: Role
    unit: str | None
    low: float | None
    high: float | None
    stepped: bool = strawberry.field(description="Holds its value between readings.")
    expected_interval: float | None = strawberry.field(description="The longest normal silence [s].")

    @classmethod
    def of(cls, view: View, signal: model.Signal) -> "Signal":
        """What GraphQL shows of a signal."""
        return cls(
            view=view,
            signal=signal,
            index=signal.index,
            name=signal.name,
            role=signal.role,
            unit=signal.unit,
            low=signal.low,
            high=signal.high,
            stepped=signal.stepped,
            expected_interval=signal.expected_interval,
        )

    @field
    def id(self) -> strawberry.ID:
        """Its dotted id."""
        return strawberry.ID(self.view.graph.signal_id(self.signal))

    @field
    def node(self) -> Annotated["Node", strawberry.lazy(".node_type")]:
        from .node_type import Node

        return Node.of(self.view, self.view.graph.node(self.signal.node))

    @field
    def data_type(self) -> DataType | None:
        """Number, text or boolean; null before the first reading decides it."""
        return self.signal.data_type

    @field
    def labels(self) -> list[str]:
        """The texts that it may show."""
        return list(self.view.plant.labels(self.signal.index))

    @field
    def value(self) -> Value | None:
        """The latest value; null without a reading."""
        reading = self._reading()
        return Value(self.view.shown(self.signal, reading.value)) if reading else None

    @field
    def time(self) -> Time | None:
        """When the latest value was so; null without a reading."""
        reading = self._reading()
        return Time(reading.time) if reading else None

    @field
    def quality(self) -> QualityWord | None:
        reading = self._reading()
        return QualityWord.of(reading.quality) if reading else None

    @field
    def quality_code(self) -> int | None:
        """The OPC quality byte."""
        reading = self._reading()
        return reading.quality if reading else None

    @field
    def stale(self) -> bool:
        """Whether it has been silent for longer than its expected interval."""
        return self.view.plant.is_stale(self.signal.index)

    @field
    def desired(self) -> Annotated["Signal", strawberry.lazy(".signal_type")] | None:
        """What it shall be; null where nobody may set it."""
        beside = self.view.graph.desired_of(self.signal)
        return None if beside is None or beside.index == self.signal.index else Signal.of(self.view, beside)

    @field
    async def command(self) -> Annotated["Command", strawberry.lazy(".command_type")] | None:
        """The latest command to it that was not refused."""
        from .command_type import Command

        last = await self.view.loaders.command.load(self.signal.index)
        return None if last is None else Command.of(self.view, last)

    @field
    async def history(
        self,
        from_: Annotated[Time | None, strawberry.argument(name="from")] = None,
        to: Time | None = None,
        points: int = 500,
    ) -> History:
        """Its readings in [from, to); the last hour unless told. At most `points` rows."""
        if not 1 <= points <= MOST_POINTS:
            raise InvalidValueError(f"points must be between 1 and {MOST_POINTS}, not {points}", "points")
        end = self.view.now if to is None else int(to)
        start = end - HOUR_NS if from_ is None else int(from_)
        if start >= end:
            raise InvalidValueError("from must be earlier than to", "from")
        self.view.budget.take_points(points)
        rows = await self.view.loaders.history.load(Span(self.signal.index, start, end, points))
        return self.shown_history(rows, start, end)

    def _reading(self) -> Reading | None:
        return self.view.reading(self.signal)

    def shown_history(self, rows: Rows, start: int, end: int) -> History:
        """What GraphQL shows of a history of it over [start, end) [ns]."""
        figures = rows.figures
        return History(
            time=TimeColumn(Instants(rows.time)),
            value=ValueColumn(self._values(rows)),
            low=NumberColumn(numbers(rows.low)),
            high=NumberColumn(numbers(rows.high)),
            quality=NumberColumn(numbers(rows.quality)),
            count=NumberColumn(numbers(rows.count)),
            bucket=None if rows.bucket is None else rows.bucket / NS,
            tier=rows.tier,
            precision=rows.precision,
            first=_optional(figures.first if figures else None),
            last=_optional(figures.last if figures else None),
            mean_over_time=_optional(figures.weighted if figures else None),
            good_percent=_optional(figures.good if figures else None),
            start=Time(start),
            end=Time(end),
        )

    def _values(self, rows: Rows) -> list[float | int | str | bool | None]:
        if not self.view.plant.labels(self.signal.index):
            return list(numbers(rows.value))
        # The mean of codes means nothing: a bucket has a text only where it had no other.
        codes = zip(rows.low.tolist(), rows.high.tolist(), strict=True)
        return [self.view.shown(self.signal, low) if low == high else None for low, high in codes]


def _optional(values: NDArray[np.float64] | None) -> NumberColumn | None:
    return None if values is None else NumberColumn(numbers(values))


@strawberry.type(description="What a node shows under a name: one value, or a list such as the joints of a robot.")
@timed
class StateEntry:
    view: strawberry.Private[View]
    members: strawberry.Private[list[model.Signal]]
    name: str
    unit: str | None

    @field
    def signals(self) -> list[Signal]:
        """The signals behind it; more than one make a list."""
        return [Signal.of(self.view, signal) for signal in self.members]

    @field
    def value(self) -> Value | None:
        """The latest value, or the list of them; null without a reading."""
        state = self.view.plant.snapshot(_indexes(self.members))
        if (state.time == NEVER).all():
            return None
        values = [self.view.shown(s, v) for s, v in zip(self.members, state.value.tolist(), strict=True)]
        return Value(values if len(values) > 1 else values[0])

    @field
    def time(self) -> Time | None:
        """When the latest value was so; of a list the latest time."""
        time = int(self.view.plant.snapshot(_indexes(self.members)).time.max())
        return None if time == NEVER else Time(time)

    @field
    def quality(self) -> QualityWord | None:
        """Of a list the worst."""
        state = self.view.plant.snapshot(_indexes(self.members))
        known = state.quality[state.time != NEVER]
        return QualityWord.of(int(known.min())) if len(known) else None

    @field
    def stale(self) -> bool:
        """Whether any of it has been silent for longer than expected."""
        return any(self.view.plant.is_stale(signal.index) for signal in self.members)


def _indexes(signals: list[model.Signal]) -> NDArray[np.int32]:
    return np.array([signal.index for signal in signals], dtype=np.int32)
