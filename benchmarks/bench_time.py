"""Any instant again: the state of 10,000 signals at random (as_of, known_at), and 500 buckets of one signal's past.

The readings of 35 days are drawn at run time: 1 % late, 0.1 % corrected, ten signals silent for the last 30 days.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from figure import Figure, clock
from numpy.typing import NDArray

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import Entry, EntryKind
from iotsense.twin.history import history_of
from iotsense.twin.history_store import HistoryStore

SIGNALS = 10_000
READINGS = 100_000_000
LONG_ROWS = 10_000_000
DAYS = 35
SILENT = 10
ASKED = 300
BATCH = 10_000
MS = 1_000_000
DAY = 86_400_000 * MS
START = 19_900 * DAY

Values = Callable[[np.random.Generator, int], NDArray[np.float64]]


def two_decimals(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Values such as a plant has: 20.00 to 80.00 or so."""
    return generator.normal(50, 10, count).round(2)


def full_entropy(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Values of which every bit counts."""
    return generator.normal(50, 10, count)


def entries(readings: int, signals: int, values: Values) -> Iterator[Entry]:
    """Journal entries of BATCH readings each; times in whole milliseconds."""
    generator = np.random.default_rng()
    count = readings // BATCH
    step = DAYS * DAY // count
    silent_from = START + max(DAYS - 30, 0) * DAY
    recent: list[ReadingBatch] = []
    for number in range(count):
        now = START + number * step
        signal = generator.integers(0, signals, BATCH).astype(np.int32)
        moment = (now - generator.integers(0, step, BATCH)) // MS * MS
        late = generator.random(BATCH) < 0.01
        moment[late] -= (generator.pareto(1.0, late.sum()) * 60_000).clip(0, 5 * 86_400_000).astype(np.int64) * MS
        if signals > SILENT:
            moment[(signal < SILENT) & (moment >= silent_from)] -= 30 * DAY
        if recent:
            old = recent[int(generator.integers(len(recent)))]
            again = generator.integers(0, BATCH, BATCH // 1000)
            signal[: len(again)], moment[: len(again)] = old.signal[again], old.time[again]
        batch = ReadingBatch.of(signal, moment, values(generator, BATCH))
        recent = [*recent[-50:], batch]
        yield Entry(number + 1, now + int(generator.integers(0, 2_000_000_000)), EntryKind.READINGS, batch)


def filled(directory: Path, readings: int, signals: int, values: Values) -> HistoryStore:
    """A store that holds that many readings, merged as it is after a quiet while."""
    store = HistoryStore(directory, quiet_s=0.0)
    store.start()
    chunk: list[Entry] = []
    for entry in entries(readings, signals, values):
        chunk.append(entry)
        if len(chunk) == 10:
            store.apply(chunk)
            chunk = []
    store.apply(chunk)
    store.flush()
    while store.upkeep.step():
        pass
    return store


def states(store: HistoryStore, asked: int) -> NDArray[np.float64]:
    """How long each question for the whole state took [ms]."""
    generator = np.random.default_rng()
    every = np.arange(SIGNALS, dtype=np.int32)
    took = []
    for _ in range(asked):
        as_of, known_at = (START + generator.integers(DAY, DAYS * DAY, 2)).tolist()
        began = time.perf_counter()
        columns = store.latest(as_of, known_at, every)
        took.append((time.perf_counter() - began) * 1e3)
        if (columns.time[SILENT:] < START - DAY).sum() > SIGNALS // 100:
            raise SystemExit("a state has no readings")
    return np.array(took)


def whole_state(directory: Path) -> tuple[Figure, float]:
    """The figure, and the bytes a reading takes."""
    store = filled(directory, READINGS, SIGNALS, two_decimals)
    with clock() as used:
        took = states(store, ASKED)
    control = _by_rows(store)
    size = sum(file.stat().st_size for file in directory.iterdir()) / store.count()
    store.close()
    return (
        Figure(
            f"state of {SIGNALS:,} signals at a random (as_of, known_at), {READINGS:,} readings, p99",
            float(np.percentile(took, 99)),
            "ms",
            used.cpu,
            at_most=100.0,
            control=control,
            control_name="one signal after another",
            note=f"median {np.median(took):.0f} ms, longest {took.max():.0f} ms",
        ),
        size,
    )


def _by_rows(store: HistoryStore) -> float:
    """The control: the rows of each signal are read and the newest is taken, as without an index by time [ms]."""
    as_of = START + DAYS // 2 * DAY
    some = 100
    began = time.perf_counter()
    for signal in range(SILENT, SILENT + some):
        store.rows(signal, START, as_of)
    return (time.perf_counter() - began) * 1e3 * SIGNALS / some


def long_history(directory: Path) -> Figure:
    """500 buckets of the 10 million rows of one signal."""
    store = filled(directory, LONG_ROWS, 1, two_decimals)
    end = START + DAYS * DAY
    with clock() as used:
        took = []
        for _ in range(30):
            start = START + int(np.random.default_rng().integers(0, DAY))
            began = time.perf_counter()
            found = store.history(0, start, end, 500)
            took.append((time.perf_counter() - began) * 1e3)
    began = time.perf_counter()
    wanted = history_of(store.rows(0, start, end), start, end, 500)
    control = (time.perf_counter() - began) * 1e3
    if not (np.array_equal(found.low, wanted.low) and np.array_equal(found.count, wanted.count)):
        raise SystemExit("the buckets are not those of the rows")
    store.close()
    return Figure(
        f"500 buckets of one signal's {LONG_ROWS:,} rows, p99",
        float(np.percentile(took, 99)),
        "ms",
        used.cpu,
        at_most=50.0,
        control=control,
        control_name="from its rows",
        note=f"first time {took[0]:.0f} ms, median {np.median(took):.0f} ms",
    )


def run() -> list[Figure]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        state, size = whole_state(Path(directory) / "history")
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        long = long_history(Path(directory) / "history")
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory, clock() as used:
        path = Path(directory) / "history"
        store = filled(path, READINGS // 5, SIGNALS // 5, full_entropy)
        entropy = sum(file.stat().st_size for file in path.iterdir()) / store.count()
        store.close()
    raw = 8 + 8 + 4 + 1 + 8
    return [
        state,
        long,
        Figure(
            "stored, values of two decimals",
            size,
            "bytes/reading",
            0.0,
            at_most=11.0,
            control=raw,
            control_name="as columns",
        ),
        Figure(
            "stored, full-entropy values",
            entropy,
            "bytes/reading",
            used.cpu,
            at_most=15.0,
            control=raw,
            control_name="as columns",
        ),
    ]
