"""Where a signal is set: the point of a source whose readings are its own, found the other way round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..twin.define_writing import Writing
from ..twin.errors import ConflictError, InvalidValueError, SourceError
from ..twin.graph import Graph
from ..twin.model import DataType, Signal
from ..twin.twin import Twin
from ..twin.units import Affine, conversion
from .adapter import Adapter, WritingAdapter
from .pipeline import Pipeline
from .points import Point
from .sample import Sample
from .source_state import SourceState
from .targets import LabelTarget, NumberTarget

Adapters = Callable[[], Mapping[str, Adapter]]


@dataclass(frozen=True, slots=True)
class Route:
    """A point of a source, and how what it holds becomes the signal's value: `conversion`, or the signal's `labels`."""

    adapter: WritingAdapter
    point: Point
    signal: Signal
    labels: tuple[str, ...]
    conversion: Affine

    @property
    def address(self) -> str:
        """For people: the device and the address at it."""
        return ".".join(part for part in (self.point.device, self.point.tag or self.point.address) if part)

    @property
    def connected(self) -> bool:
        """Whether the source can be asked anything now."""
        return self.adapter.status.state is SourceState.RUNNING

    @property
    def trouble(self) -> str:
        """Why it cannot."""
        status = self.adapter.status
        return f"{status.name} is not connected ({status.state})" + (f": {status.error}" if status.error else "")

    async def write(self, value: float | bool | str) -> None:
        """Sets a value of the signal; raises SourceError, InvalidValueError as `WritingAdapter.write` does."""
        await self.adapter.write(self.point, await self._outward(value))

    async def read(self) -> Any:
        """What the device holds as a value of the signal; None if it holds none that can be used. SourceError."""
        return self._inward(await self.adapter.read(self.point))

    async def _outward(self, value: float | bool | str) -> float | bool | str:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            shown = await self._shown()
            is_number = isinstance(shown, int | float) and not isinstance(shown, bool)
            return float(self.labels.index(value)) if is_number else value
        return (value - self.conversion.offset) / self.conversion.scale

    async def _shown(self) -> Any:
        """A machine may know the number of a state instead of its name; what it shows tells which."""
        try:
            return (await self.adapter.read(self.point)).value
        except SourceError:
            return None  # nothing yet: it gets the name

    def _inward(self, sample: Sample) -> Any:
        value = sample.value
        if self.signal.data_type is DataType.BOOLEAN and not self.signal.labels:
            return None if value is None else bool(value)
        if self.labels:
            return _text(value, self.labels)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return None
        return None if value is None else self.conversion(float(value))


class Routes:
    """The points that may be written, by the signals whose they are; looked up anew when graph or sources change."""

    def __init__(self, twin: Twin, pipeline: Pipeline, adapters: Adapters) -> None:
        self._twin = twin
        self._pipeline = pipeline
        self._adapters = adapters
        self._known: tuple[Graph, tuple[Any, ...]] | None = None
        self._by_signal: dict[int, tuple[WritingAdapter, Point]] = {}
        self._by_address: dict[str, tuple[WritingAdapter, Point]] = {}

    def of(self, signal: Signal, writing: Writing, value: float | bool | str) -> Route:
        """The way to a signal. Raises ConflictError that says what would have to be set to have one."""
        self._follow()
        found = self._by_signal.get(signal.index) if writing.source is None else self._by_address.get(writing.source)
        if found is None:
            raise ConflictError(self._missing(signal, writing))
        adapter, point = found
        labels = self._twin.labels(signal.index) or signal.labels
        return Route(adapter, point, signal, labels, self._conversion(signal, writing, adapter, point, value))

    def _follow(self) -> None:
        writers = [adapter for adapter in self._adapters().values() if isinstance(adapter, WritingAdapter)]
        points = [(adapter, adapter.writable()) for adapter in writers]
        known = (self._twin.graph, tuple((id(adapter), tuple(of_it)) for adapter, of_it in points))
        if self._known is not None and self._known[0] is known[0] and self._known[1] == known[1]:
            return
        self._by_signal, self._by_address = {}, {}
        for adapter, of_it in points:
            self._enter(adapter, of_it)
        self._known = known

    def _enter(self, adapter: WritingAdapter, points: Sequence[Point]) -> None:
        for point in points:
            for address in (point.address, point.tag, f"{point.device}.{point.address}"):
                if address:
                    self._by_address.setdefault(address, (adapter, point))
            signal = self._pipeline.signal_at(adapter.name, point)
            if signal is not None:
                self._by_signal.setdefault(signal.index, (adapter, point))

    def _conversion(
        self, signal: Signal, writing: Writing, adapter: WritingAdapter, point: Point, value: float | bool | str
    ) -> Affine:
        if isinstance(value, bool | str):
            return Affine(1.0)
        try:
            if writing.source is not None:
                return Affine(1.0) if None in (point.unit, signal.unit) else conversion(point.unit, signal.unit)  # type: ignore[arg-type]
            target = self._pipeline.target_at(adapter.name, point, value)
        except InvalidValueError as error:
            raise ConflictError(
                f"{self._twin.graph.signal_id(signal)} cannot be set at {adapter.name}: {error}"
            ) from None
        if isinstance(target, NumberTarget):
            return Affine(*target.plain[1:])
        kind = "texts" if isinstance(target, LabelTarget) else "something else"
        raise InvalidValueError(f"{adapter.name} has {kind} for {self._twin.graph.signal_id(signal)}", "value")

    def _missing(self, signal: Signal, writing: Writing) -> str:
        name, adapters = self._twin.graph.signal_id(signal), self._adapters()
        writers = [each.name for each in adapters.values() if isinstance(each, WritingAdapter) and each.writable()]
        others = [each for each in adapters if each not in writers]
        at = writing.source or "its readings"
        words = [f"no source writes {name}"]
        if writers:
            words.append(f"{', '.join(writers)} may be written, but has no point for {at}")
        if others:
            words.append(f"{', '.join(others)} is read-only: set `writable: true` there if {name} is its")
        if not adapters:
            words.append("no source is configured")
        return "; ".join(words)


def _text(value: Any, labels: tuple[str, ...]) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return labels[int(value)] if value == int(value) and 0 <= value < len(labels) else None
    return value
