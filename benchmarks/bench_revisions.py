"""The graph as of random revisions, and forks of the plant: how long they take, how much memory they hold."""

import os
import tempfile
import time

import numpy as np
from figure import Figure, clock, resident_mb
from plant import batches, plant

from iotsense.twin.checkpoint import StructureImage
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.twin import Twin

SENSORS = 9_000
PER_COMPONENT = 9
REVISIONS = 1_000
LOOKS = 200
FORKS = 1_000


def fill(directory: str) -> None:
    """10,000 nodes, and a thousand revisions that each change some of them at random."""
    generator = np.random.default_rng()
    with Twin.open(directory) as twin:
        twin.change(plant(SENSORS, PER_COMPONENT), "benchmark")
        keys = np.array(sorted(twin.graph.node_map))
        for number in range(REVISIONS):
            chosen = generator.choice(keys[1:], 5, replace=False).tolist()
            twin.change(lambda edit, n=number, c=chosen: _alter(edit, n, c), "benchmark")
        for batch in batches(10, 10_000, SENSORS):
            twin.apply(batch)


def _alter(edit: GraphEdit, number: int, keys: list[int]) -> None:
    for key in keys:
        edit.update_node(key, name=f"name {number}", properties={"parameters": {"number": number}})


def run() -> list[Figure]:
    """Revisions in random order after a restart, then forks of the live plant with one override each."""
    generator = np.random.default_rng()
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        fill(directory)
        with Twin.open(directory) as twin, clock() as spent:
            looks = []
            for revision in generator.integers(1, REVISIONS + 1, LOOKS).tolist():
                began = time.perf_counter()
                graph = twin.revisions.graph(revision)
                looks.append(time.perf_counter() - began)
                if graph.revision != revision or len(graph) < 10_000:
                    raise SystemExit(f"revision {revision} is not what it should be")
            image = StructureImage.of(twin.graph)
            began = time.perf_counter()
            image.graph()
            anew = time.perf_counter() - began
            before, forks = resident_mb(os.getpid()), []
            for number in range(FORKS):
                began = time.perf_counter()
                twin.scenarios.fork(overrides={f"line.c{number % 900}.s1": float(number)})
                forks.append(time.perf_counter() - began)
            views = [twin.as_of(scenario=f"scenario_{number + 1}") for number in range(FORKS)]
            held = resident_mb(os.getpid()) - before
            if len({id(view.graph) for view in views}) != FORKS:
                raise SystemExit("the forks are not a thousand graphs")
            value = twin.as_of(scenario=f"scenario_{FORKS}").read(twin.graph.find_signal(f"line.c{99}.s1").index)
            if value is None or value.value != FORKS - 1:
                raise SystemExit("a fork does not show what was set")
    return [
        Figure(
            "graph as of a revision, p99",
            float(np.quantile(looks, 0.99)) * 1000,
            "ms",
            spent.cpu,
            at_most=100,
            control=anew * 1000,
            control_name="built anew from an image",
            note=f"median {np.median(looks) * 1000:.2f}, first after the start {looks[0] * 1000:.1f}",
        ),
        Figure("fork of a plant of 10,000 nodes, median", float(np.median(forks)) * 1000, "ms", spent.cpu, at_most=5),
        Figure("memory of 1,000 forks and their graphs", held, "MB", spent.cpu, at_most=200),
    ]
