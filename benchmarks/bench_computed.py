"""Computed signals at a backlog: 1,000 pumps with a power each, and their sum; each reading at its own instant."""

import tempfile
from pathlib import Path

import numpy as np
from figure import Figure, clock

from iotsense.analytics.computation import Computation
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.times import NS, now_ns
from iotsense.twin.twin import Twin

PUMPS = 1_000
SECONDS = 30
LIMITS = {0.0: 10_000.0, 0.01: 5_000.0}
DEFINITION = f"""
component_types:
  - name: pump
    sensors: [{{ id: torque, unit: newton_meter }}, {{ id: speed, unit: rpm }}]
    computed: [{{ name: power, expression: torque * speed, unit: kW }}]
digital_twins:
  - name: line
    computed: [{{ name: power, expression: sum(children.power), unit: kW }}]
    components: [{{ id: "p${{each}}", type: pump, for_each: {{ range: [1, {PUMPS}] }} }}]
"""


def drawn(signals: list[int], late: float) -> list[ReadingBatch]:
    """A reading of each signal a second, at a moment of its own; a part of them comes up to ten seconds late."""
    generator = np.random.default_rng()
    second = np.repeat(np.arange(SECONDS), len(signals))
    arrival = second + np.where(generator.random(len(second)) < late, generator.integers(1, 10, len(second)), 0)
    time = now_ns() - 60 * NS + second * NS + generator.integers(0, NS, len(second))
    signal, value = np.tile(signals, SECONDS), generator.normal(50, 10, len(second)).round(2)
    order = np.lexsort((time, arrival))
    parts = np.split(order, np.flatnonzero(np.diff(arrival[order])) + 1)
    return [ReadingBatch.of(signal[rows], time[rows], value[rows]) for rows in parts]


def rate(late: float) -> tuple[float, float, int]:
    """Readings/s that are taken in, CPU seconds, readings that were computed."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory, Twin.open(Path(directory) / "d") as twin:
        project, findings = load_texts({"plant.yaml": DEFINITION}, {})
        if project is None:
            raise SystemExit("\n".join(map(str, findings)))
        apply_plan(plan(project, twin.graph, twin.state), twin)
        worker = Computation(twin)
        while worker.step():
            pass
        batches = drawn([signal.index for signal in twin.graph.signals() if signal.role == "measured"], late)
        for batch in batches:
            twin.apply(batch)
        given = sum(map(len, batches))
        with clock() as used:
            while worker.step():
                pass
        return given / used.wall, used.cpu, twin.reading_count() - given


def run() -> list[Figure]:
    """With none and with 1 % late."""
    figures = []
    for late, limit in LIMITS.items():
        speed, cpu, computed = rate(late)
        what = f"computed signals, {PUMPS:,} products and their sum, {late:.0%} late"
        figures.append(Figure(what, speed, "readings/s", cpu, at_least=limit, note=f"{computed:,} values computed"))
    return figures
