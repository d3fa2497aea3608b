"""The monitor at a backlog: 10,000 signals, each with limits, a tenth of them with a rate of change, 0 and 1 % late."""

import tempfile
from pathlib import Path

import numpy as np
from figure import Figure, clock
from plant import plant

from iotsense.analytics.monitor import Monitor
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.times import NS, now_ns
from iotsense.twin.twin import Twin

SIGNALS = 10_000
SECONDS = 100
LATEST_S = 60
LIMITS = {0.0: 100_000.0, 0.01: 40_000.0}


def rules() -> dict[str, object]:
    """A limit on every sensor, and one on the rate of change of every tenth."""
    limit = {"metric": "value", "operator": ">", "threshold": 85, "hysteresis": 5, "severity": "warning"}
    rise = {"metric": "rate_of_change", "operator": ">", "threshold": 60, "window": "10s", "severity": "critical"}
    levels = [{"name": f"limit_{i}", "type": "threshold", "sensor": f"s{i}", "conditions": [limit]} for i in range(10)]
    rates = [{"name": "rise", "type": "threshold", "sensor": "s0", "conditions": [rise]}]
    return {"anomaly_detection": {"rules": levels + rates}}


def drawn(late: float) -> list[ReadingBatch]:
    """A reading of each signal a second; a part of them comes up to a minute late."""
    generator = np.random.default_rng()
    second = np.repeat(np.arange(SECONDS), SIGNALS)
    arrival = second + np.where(generator.random(len(second)) < late, generator.integers(1, LATEST_S, len(second)), 0)
    signal = np.tile(np.arange(SIGNALS), SECONDS)
    value = generator.normal(50, 10, len(second)).round(2)
    start = now_ns() - (SECONDS + LATEST_S) * NS
    order = np.argsort(arrival, kind="stable")
    return [
        ReadingBatch.of(signal[rows], start + second[rows] * NS, value[rows])
        for rows in np.split(order, np.flatnonzero(np.diff(arrival[order])) + 1)
    ]


def rate(late: float) -> tuple[float, float, int]:
    """Readings/s that the monitor takes in, CPU seconds, events told."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory, Twin.open(Path(directory) / "d") as twin:
        twin.change(plant(SIGNALS), "benchmark")
        twin.change(lambda edit: edit.set_definition(rules()), "benchmark")
        monitor = Monitor(twin)
        while monitor.step():
            pass
        batches = drawn(late)
        for batch in batches:
            twin.apply(batch)
        twin.catch_up()
        with clock() as used:
            while monitor.step():
                pass
        return sum(map(len, batches)) / used.wall, used.cpu, twin.last_event_seq


def run() -> list[Figure]:
    """Both figures; the control is what comes in any order at all."""
    control, _, _ = rate(1.0)
    figures = []
    for late, limit in LIMITS.items():
        speed, cpu, events = rate(late)
        figures.append(
            Figure(
                f"monitor, 11,000 limits on {SIGNALS:,} signals, {late:.0%} late",
                speed,
                "readings/s",
                cpu,
                at_least=limit,
                control=control,
                control_name="all of them late",
                note=f"{events:,} events",
            )
        )
    return figures
