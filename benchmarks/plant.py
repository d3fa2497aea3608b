"""A plant drawn at run time, so that the code under test cannot know its input."""

from collections.abc import Callable

import numpy as np

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.times import now_ns


def plant(signals: int, per_component: int = 10) -> Callable[[GraphEdit], None]:
    """Builds one line of components with so many sensors each."""

    def build(edit: GraphEdit) -> None:
        line = edit.add_node(id="line", level=Level.LINE)
        previous = None
        for c in range(-(-signals // per_component)):
            component = edit.add_node(id=f"line.c{c}", level=Level.COMPONENT, parent=line.key, type="machine")
            for s in range(min(per_component, signals - c * per_component)):
                sensor = edit.add_node(id=f"line.c{c}.s{s}", level=Level.SENSOR, parent=component.key)
                edit.add_signal(sensor.key, unit="celsius")
            if previous is not None:
                edit.relate(previous.key, "feeds_into", component.key, transfer_time=2.5)
            previous = component

    return build


def batches(count: int, rows: int, signals: int) -> list[ReadingBatch]:
    """Batches of random readings of random signals; times rise."""
    generator = np.random.default_rng()
    start = now_ns()
    return [
        ReadingBatch.of(
            generator.integers(0, signals, rows),
            start + (i * rows + np.arange(rows)) * 1_000,
            generator.normal(50, 10, rows).round(2),
        )
        for i in range(count)
    ]
