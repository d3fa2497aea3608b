"""Health over time, of components and of what contains them: a function of their anomalies and first readings alone.

Health is a step function. What changes at some time is worked out again from there on, as far as it reaches, parts
before the whole; where it is another than was told, a point is told with the same time and the right value.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..twin.graph import Graph
from ..twin.state import NEVER
from .anomalies import Anomaly
from .anomaly_book import FOREVER, AnomalyBook
from .health import BEST, health_score
from .places import Places
from .steps import Points, Steps


class Point(NamedTuple):
    """The health of a node (key) from `time` [ns] on: percent, NaN for none."""

    node: int
    time: int
    score: float


class HealthBook:
    """The health of all nodes over time, and the points of it that have yet to be told."""

    def __init__(
        self,
        anomalies: AnomalyBook,
        places: Places,
        last_told: Callable[[int], tuple[int, float] | None],
        read_told: Callable[[int], Points],
        nothing_told: bool = False,
    ) -> None:
        """`last_told(node)` is the newest point that was told of a node, `read_told(node)` are all of them."""
        self._anomalies = anomalies
        self._places = places
        self._last_told = last_told
        self._read_told = read_told
        self._nothing_told = nothing_told
        self.speaking: set[int] = set()  # the nodes that have signals of their own, so that they can speak
        self._steps: dict[int, Steps] = {}
        self._spoke: dict[int, int] = {}
        self._changed: dict[int, tuple[int, int]] = {}
        self._points: dict[tuple[int, int], float] = {}

    # First readings

    def spoke_at_the_latest(self, node: int) -> int:
        """A time before which the node has spoken for the first time, or at it; FOREVER if it never spoke."""
        if node in self._spoke:
            return self._spoke[node]
        steps = self._of(node)
        return FOREVER if steps.last_time() == NEVER else steps.last_time()

    def spoke(self, node: int) -> int:
        """When the node spoke for the first time; FOREVER if it never did."""
        if node not in self.speaking:
            return FOREVER
        if node not in self._spoke:
            self._spoke[node] = self._of(node).first_time()
        return self._spoke[node]

    def speaks(self, node: int, time: int) -> None:
        """The first reading of the node is of this time; FOREVER if there is none any more."""
        before = self.spoke(node)
        if time != before:
            self._spoke[node] = time
            self.changed(node, min(time, before), max(time, before))

    # Changes

    def changed(self, node: int, start: int, end: int = FOREVER) -> None:
        """Something about the node is another from `start` to `end`."""
        low, high = self._changed.get(node, (start, end))
        self._changed[node] = (min(low, start), max(high, end))

    def update(self, graph: Graph) -> None:
        """Works out what follows from the changes, for the node and for what contains it."""
        depth: dict[int, int] = {}
        while self._changed:
            for node in self._changed:
                if node not in depth:
                    depth[node] = sum(1 for _ in graph.ancestors(node)) if node in graph.node_map else 0
            deepest = max(depth[node] for node in self._changed)
            for node in [n for n in self._changed if depth[n] == deepest]:
                self._work_out(node, *self._changed.pop(node))

    def points(self) -> list[Point]:
        """What has to be told, in the order of time."""
        points = [Point(node, time, score) for (node, time), score in self._points.items()]
        return sorted(points, key=lambda point: (point.time, point.node))

    def told(self) -> None:
        """What `points` gave is durable."""
        for node in {node for node, _ in self._points}:
            self._of(node).trim()
        self._points.clear()

    def _of(self, node: int) -> Steps:
        steps = self._steps.get(node)
        if steps is None:
            last = None if self._nothing_told else self._last_told(node)
            steps = self._steps[node] = Steps(lambda: self._read_told(node), last, nothing_more=self._nothing_told)
        return steps

    def _work_out(self, node: int, start: int, end: int) -> None:
        sweep = _Sweep(self._anomalies.between(node, start, end), self.spoke(node))
        for stay in self._places.parts(node, start, end):
            sweep.add_part(stay.child, max(start, stay.start), min(end, stay.end), self._of(stay.child), stay.end > end)
        steps = self._of(node)
        now = steps.before(start)
        times = sweep.times(start, end) | {time for time, _ in steps.between(start, end)}
        altered: list[int] = []
        for time in sorted(times):
            score = sweep.score(time)
            is_told, told = steps.told(time)
            if score != (told if is_told else now):
                self._points[node, time] = math.nan if score is None else score
                steps.put(time, self._points[node, time])
                altered.append(time)
            now = score
        if altered:
            for whole in self._places.wholes(node):
                self.changed(whole, altered[0], end)


class _Sweep:
    """The score of a node from instant to instant."""

    def __init__(self, anomalies: Iterable[Anomaly], spoke: int) -> None:
        self._anomalies = list(anomalies)
        self._spoke = spoke
        self._parts: dict[int, float | None] = {}
        self._news: list[tuple[int, int, float | None]] = []
        self._done = 0

    def add_part(self, part: int, start: int, end: int, steps: Steps, stays: bool) -> None:
        """A part of the node from `start` to `end`, and on from there if it `stays`."""
        self._news.append((start, part, steps.before(start)))
        self._news += [(time, part, score) for time, score in steps.between(start, end) if stays or time < end]
        if not stays:
            self._news.append((end, part, None))

    def times(self, start: int, end: int) -> set[int]:
        """The instants in [start, end] at which anything happens; those of the future are not among them."""
        self._news.sort(key=lambda news: news[0])
        moves = {time for a in self._anomalies for time in (a.onset, a.until) if time is not None}
        moves |= {time for time, _, _ in self._news} | {start, end, self._spoke}
        return {time for time in moves if start <= time <= end and time != FOREVER}

    def score(self, time: int) -> float | None:
        """The score from `time` on; times must rise."""
        while self._done < len(self._news) and self._news[self._done][0] <= time:
            _, part, score = self._news[self._done]
            self._parts[part] = score
            self._done += 1
        scores = [score for score in self._parts.values() if score is not None]
        open_now = [a for a in self._anomalies if a.onset <= time and (a.until is None or a.until > time)]
        if time >= self._spoke or open_now:
            scores.append(health_score(open_now) if open_now else BEST)
        return min(scores, default=None)
