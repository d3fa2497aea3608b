"""A scenario as it is read: the plant as of an instant, with what is different on top."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .as_of import AsOf
from .history import History, Rows, history_of
from .model import Event, Quality
from .scenario import Scenario, Setting
from .state import Reading, StateColumns


class Held(NamedTuple):
    """What a signal is held at, as columns in the order of time."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]


class InScenario(AsOf):
    """A scenario as of a world time within it: the plant as it was, and the scenario's differences on top."""

    def __init__(self, base: AsOf, scenario: Scenario, time: int) -> None:
        self._base = base
        self.scenario = scenario
        self.time = time
        self.known_at = scenario.known_at
        self.graph = scenario.forked(base.graph)
        settings = [setting for setting in scenario.settings if setting.time <= time]
        self._held = {index: _held(settings, index) for index in {setting.signal for setting in settings}}

    def prepared(self) -> Self:
        """Itself, with the plant's part looked up."""
        self._base.prepared()
        return self

    @property
    def now(self) -> int:
        """The instant that it shows [ns]."""
        assert self.time is not None
        return self.time

    def snapshot(self, signals: NDArray[np.int32] | None = None) -> StateColumns:
        """The columns with held signals at their values."""
        columns = self._base.snapshot(signals)
        if signals is None:
            columns = columns.take(slice(None))
        rows = np.arange(len(columns.value)) if signals is None else signals
        for index, held in self._held.items():
            row = np.flatnonzero(rows == index)
            columns.value[row], columns.time[row] = held.value[-1], held.time[-1]
            columns.quality[row] = Quality.GOOD
        return columns

    def read(self, signal: int) -> Reading | None:
        """The reading, or what the signal is held at."""
        held = self._held.get(signal)
        if held is None:
            return self._base.read(signal)
        return Reading(float(held.value[-1]), int(held.time[-1]), int(Quality.GOOD), 0)

    def labels(self, signal: int) -> tuple[str, ...]:
        """The plant's."""
        return self._base.labels(signal)

    def history(self, signal: int, start: int, end: int, points: int | None = None) -> History:
        """The plant's history up to where the signal is held, and what it is held at from there."""
        held = self._held.get(signal)
        if held is None or end <= held.time[0]:
            return self._base.history(signal, start, end, points)
        within = (held.time >= start) & (held.time < end)
        rows = [_rows(held.time[within], held.value[within])]
        if start < held.time[0]:
            before = self._base.history(signal, start, int(held.time[0]))
            rows.insert(0, Rows(before.time, before.value, before.quality, np.zeros(len(before), dtype=np.int64)))
        return history_of(Rows.concat(rows), start, end, points)

    def histories(self, signals: Sequence[int], start: int, end: int, points: int | None = None) -> list[History]:
        """Those that nothing is different about at once."""
        same = [signal for signal in signals if signal not in self._held]
        found = dict(zip(same, self._base.histories(same, start, end, points) if same else (), strict=True))
        return [found[s] if s in found else self.history(s, start, end, points) for s in signals]

    def events(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        node: int | None = None,
        kind: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """The plant's."""
        return self._base.events(after, limit, node=node, kind=kind, newest_first=newest_first)

    def events_of(self, nodes: Sequence[int], limit: int, kind: str | None = None) -> dict[int, list[Event]]:
        """The plant's."""
        return self._base.events_of(nodes, limit, kind)

    def told_of(self, identities: Sequence[str]) -> dict[str, list[Event]]:
        """The plant's."""
        return self._base.told_of(identities)

    @property
    def last_event_seq(self) -> int:
        """The plant's."""
        return self._base.last_event_seq

    def _open(self) -> Iterable[Event]:
        return self._base._open()

    def is_stale(self, signal: int) -> bool:
        """A held signal is never silent."""
        return signal not in self._held and self._base.is_stale(signal)


def named_parameters(plant: AsOf, scenario: Scenario) -> dict[str, Any]:
    """What it sets of nodes that are there, by `node.parameter`."""
    nodes = plant.graph.node_map
    return {
        f"{nodes[key].id}.{name}": value
        for key, values in scenario.parameters.items()
        if key in nodes
        for name, value in values.items()
    }


def named_settings(plant: AsOf, scenario: Scenario) -> list[tuple[str, int, float | str]]:
    """The signals that it holds, those that are there: id, from when on [ns], and the value or text."""
    found: list[tuple[str, int, float | str]] = []
    for setting in scenario.settings:
        signal = plant.graph.signal_map.get(setting.signal)
        if signal is not None:
            text = plant.label(signal.index, setting.value)
            found.append((plant.graph.signal_id(signal), setting.time, setting.value if text is None else text))
    return found


def _held(settings: Iterable[Setting], index: int) -> Held:
    mine = sorted((setting for setting in settings if setting.signal == index), key=lambda setting: setting.time)
    times = np.array([setting.time for setting in mine], dtype=np.int64)
    return Held(times, np.array([setting.value for setting in mine], dtype=np.float64))


def _rows(time: NDArray[np.int64], value: NDArray[np.float64]) -> Rows:
    quality = np.full(len(time), Quality.GOOD, dtype=np.uint8)
    return Rows(time, value, quality, np.zeros(len(time), dtype=np.int64))
