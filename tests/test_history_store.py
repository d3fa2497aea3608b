"""Where readings are kept, against a model that looks at every row."""

from pathlib import Path

import numpy as np
import pytest
from history_fixtures import DAY, S, all_rows, bits, entry, expected_latest, opened, stream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotsense.twin import history_question
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import Entry
from iotsense.twin.errors import DamagedFileError
from iotsense.twin.history import History, history_of
from iotsense.twin.history_compaction import to_merge
from iotsense.twin.history_raw_writer import PartInfo
from iotsense.twin.history_rows import SignalRows
from iotsense.twin.history_store import HistoryStore
from iotsense.twin.history_tail import rows_of_entries
from iotsense.twin.state import StateColumns

SIGNALS = np.arange(5, dtype=np.int32)


def told(columns: StateColumns) -> list[tuple[int, str, int]]:
    values = [repr(value) for value in columns.value.tolist()]
    return list(zip(columns.time.tolist(), values, columns.quality.tolist(), strict=True))


def check_rows(store: HistoryStore, rows: SignalRows, start: int, end: int, known_at: int | None) -> None:
    for signal in SIGNALS.tolist():
        found = store.rows(signal, start, end, known_at)
        chosen = (rows.signal == signal) & (rows.time >= start) & (rows.time < end)
        if known_at is not None:
            chosen &= rows.recorded <= known_at
        want = rows.take(chosen)
        columns = (want.time.tolist(), bits(want.value), want.quality.tolist(), want.recorded.tolist())
        got = (found.time.tolist(), bits(found.value), found.quality.tolist(), found.recorded.tolist())
        assert sorted(zip(*got, strict=True)) == sorted(zip(*columns, strict=True))


values = st.one_of(
    st.floats(allow_nan=False, width=64),
    st.integers(-(2**53), 2**53).map(float),
    st.integers(-100_000, 100_000).map(lambda n: n / 100),
    st.floats(width=32),
    st.sampled_from([float("nan"), -0.0, 0.0, float("inf"), 5e-324, 0.1 + 0.2, -float("nan")]),
)
times = st.one_of(
    st.integers(0, 3 * DAY // S).map(lambda s: 19_000 * DAY + s * S),
    st.integers(19_000 * DAY, 19_003 * DAY),
    st.sampled_from([0, -1, -(2**62), 2**62, 19_001 * DAY, 19_001 * DAY - 1]),
)
batches = st.lists(
    st.tuples(st.integers(0, 4), times, values, st.sampled_from([0, 64, 192, 193])), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given=st.lists(st.tuples(batches, st.integers(1, DAY), st.booleans()), min_size=1, max_size=8),
    questions=st.lists(st.tuples(times, st.one_of(st.none(), times)), min_size=1, max_size=8),
)
def test_any_readings_are_found_as_of_any_instant(
    tmp_path_factory: pytest.TempPathFactory,
    given: list[tuple[list[tuple[int, int, float, int]], int, bool]],
    questions: list[tuple[int, int | None]],
) -> None:
    directory = tmp_path_factory.mktemp("store") / "history"
    store = opened(directory)
    entries: list[Entry] = []
    recorded = 19_000 * DAY
    for number, (batch, pause, flush) in enumerate(given):
        recorded += pause
        entries.append(entry(number + 1, recorded, ReadingBatch.of(*zip(*batch, strict=True))))
        store.apply(entries[-1:])
        if flush:
            store.flush()
    rows = all_rows(entries)
    for again in (False, True):
        if again:
            store.close()
            store = opened(directory)
        assert store.count() == len(rows)
        for time, known_at in questions:
            assert told(store.latest(time, known_at, SIGNALS)) == expected_latest(rows, time, known_at, SIGNALS)
            check_rows(store, rows, time, time + DAY, known_at)
        check_rows(store, rows, -(2**63), 2**63 - 1, None)
    store.close()


@pytest.mark.parametrize("late", [0.0, 0.05, 1.0])
def test_long_runs_are_searched_by_block(tmp_path: Path, late: float) -> None:
    seed = int(np.random.default_rng().integers(2**32))
    print("seed", seed)
    generator = np.random.default_rng(seed)
    entries = stream(generator, entries=60, rows=600, signals=5, days=3, late=late)
    rows = all_rows(entries)
    store = opened(tmp_path / "history", tail_rows=7_000)
    store.apply(entries)
    newer = rows_of_entries(stream(np.random.default_rng(1), 2, 10, 5, 1)[:1])
    assert newer is not None
    span = int(rows.time.min()), int(rows.time.max())
    for time, known_at in generator.integers(*span, (60, 2)).tolist():
        for known in (known_at, time, time - int(generator.integers(0, 100 * S)), None):
            assert told(store.latest(time, known, SIGNALS)) == expected_latest(rows, time, known, SIGNALS)
        start = int(generator.integers(*span))
        check_rows(store, rows, start, start + DAY // 3, known_at)
    chosen = np.array([3, 1], dtype=np.int32)
    assert told(store.latest(span[1], None, chosen)) == expected_latest(rows, span[1], None, chosen)
    assert store.count(2) == np.count_nonzero(rows.signal == 2)
    store.close()


def test_what_is_not_applied_yet_is_heeded(tmp_path: Path) -> None:
    store = opened(tmp_path / "history")
    store.apply([entry(1, 100, ReadingBatch.of([0, 1], [10, 10], [1.0, 2.0]))])
    newer = rows_of_entries(
        [entry(2, 200, ReadingBatch.of([0], [10], [5.0])), entry(3, 300, ReadingBatch.of([7], 9, [6.0]))]
    )
    asked = np.array([0, 1, 7, 8], dtype=np.int32)
    assert told(store.latest(50, None, asked, newer))[0] == (10, "5.0", 192)
    assert told(store.latest(50, 250, asked, newer))[2][1] == "nan"
    assert told(store.latest(50, 300, asked, newer))[2:] == [(9, "6.0", 192), (-(2**63), "nan", 0)]
    assert store.rows(0, 0, 50, None, newer).value.tolist() == [1.0, 5.0]
    store.close()


def test_a_reader_keeps_the_parts_that_it_began_with(tmp_path: Path) -> None:
    store = opened(tmp_path / "history")
    store.apply([entry(1, 100, ReadingBatch.of([0], [10], [1.0]))])
    store.flush()
    with store.parts.reading() as view:
        store.parts.replace(view.parts, [])
        (info,) = view.parts
        assert view.open(info).rows == 1
    assert not list(store.parts.directory.glob("*.part"))
    assert store.count() == 0
    store.close()


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, SignalRows]:
    """A closed store of two days."""
    entries = stream(np.random.default_rng(), entries=20, rows=2_000, signals=5, days=2)
    store = opened(tmp_path / "history")
    store.apply(entries)
    store.close()
    return tmp_path / "history", all_rows(entries)


def test_no_flipped_byte_goes_unnoticed(stored: tuple[Path, SignalRows]) -> None:
    directory, rows = stored
    generator = np.random.default_rng()
    end = int(rows.time.max())
    for path in sorted(directory.glob("*.part")):
        whole = path.read_bytes()
        for at in generator.integers(0, len(whole), 15).tolist():
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(generator.integers(8))]) + whole[at + 1 :])
            store = opened(directory)
            with pytest.raises(DamagedFileError, match=path.name):
                for signal in SIGNALS.tolist():
                    store.rows(signal, -(2**62), 2**62)
                with store.parts.reading() as view:
                    for info in view.parts:
                        view.open(info).check_all()  # what no question touches, such as the gaps before tables
                store.latest(end, None, SIGNALS)
            store.close()
        path.write_bytes(whole)
    store = opened(directory)
    assert told(store.latest(end, None, SIGNALS)) == expected_latest(rows, end, None, SIGNALS)
    store.close()


@pytest.mark.parametrize("harm", ["gone", "torn", "longer"])
def test_a_missing_or_torn_part_is_told_and_never_a_silent_gap(stored: tuple[Path, SignalRows], harm: str) -> None:
    directory, rows = stored
    newest, *_ = sorted(directory.glob("*.part"), reverse=True)
    if harm == "gone":
        newest.unlink()
    else:
        whole = newest.read_bytes()
        newest.write_bytes(whole[:-1] if harm == "torn" else whole + b"\x00")
    store = opened(directory)
    (lost,) = store.parts.manifest.lost
    assert lost.name == newest.name
    with pytest.raises(DamagedFileError, match=f"{newest.name}: {lost.rows} rows"):
        store.latest(int(rows.time.max()), None, SIGNALS)
    with pytest.raises(DamagedFileError, match="are lost"):
        store.rows(0, lost.min_time, lost.min_time + 1)
    before = int(lost.min_time) - 1
    assert told(store.latest(before, None, SIGNALS)) == expected_latest(rows, before, None, SIGNALS)
    store.close()


def test_what_a_crash_left_is_cleared_away(stored: tuple[Path, SignalRows]) -> None:
    directory, rows = stored
    known = sorted(path.name for path in directory.iterdir())
    for name in ("raw-19000-00000099.part", "raw-19000-00000098.new", "manifest.new"):
        (directory / name).write_bytes(b"half")
    store = opened(directory)
    assert sorted(path.name for path in directory.iterdir()) == known
    assert store.count() == len(rows)
    store.close()


def same_history(found: History, wanted: History) -> None:
    assert (found.bucket, found.time.tolist()) == (wanted.bucket, wanted.time.tolist())
    assert found.count.tolist() == wanted.count.tolist()
    assert found.quality.tolist() == wanted.quality.tolist()
    for column in ("low", "high"):
        assert bits(getattr(found, column)) == bits(getattr(wanted, column))
    assert found.value == pytest.approx(wanted.value, nan_ok=True)


@pytest.mark.parametrize(("late", "compacted"), [(0.0, False), (0.05, False), (0.05, True)])
def test_buckets_of_blocks_are_those_of_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float, compacted: bool
) -> None:
    monkeypatch.setattr(history_question, "WORTHWHILE_ROWS", 0)
    seed = int(np.random.default_rng().integers(2**32))
    print("seed", seed)
    generator = np.random.default_rng(seed)
    entries = stream(generator, entries=80, rows=1_000, signals=5, days=3, late=late)
    rows = all_rows(entries)
    store = opened(tmp_path / "history", tail_rows=9_000, quiet_s=0.0)
    store.apply(entries)
    if compacted:
        store.flush()
        while store.upkeep.step():
            pass
    low, high = int(rows.time.min()), int(rows.time.max())
    for start, end, known_at in generator.integers(low - DAY // 4, high + DAY // 4, (40, 3)).tolist():
        start, end = min(start, end), max(start, end) + 1
        for known in (None, known_at, int(rows.recorded[int(generator.integers(len(rows)))])):
            for points in (1, 7, 500):
                signal = int(generator.integers(5))
                wanted = history_of(store.rows(signal, start, end, known), start, end, points)
                same_history(store.history(signal, start, end, points, known), wanted)
    store.close()


def test_small_parts_become_one_and_nothing_changes(tmp_path: Path) -> None:
    entries = stream(np.random.default_rng(), entries=40, rows=3_000, signals=5, days=2, late=0.1)
    rows = all_rows(entries)
    store = opened(tmp_path / "history", tail_rows=6_000, quiet_s=0.0)
    store.apply(entries)
    store.flush()
    while store.upkeep.step():
        pass
    with store.parts.reading() as view:
        assert [len(parts) for parts in view.by_day.values()] == [1] * len(view.by_day)
    files = sorted(path.name for path in store.parts.directory.glob("*.part"))
    assert files == sorted(info.name for info in store.parts.manifest.parts)
    span = int(rows.time.min()), int(rows.time.max())
    for again in (False, True):
        if again:
            store.close()
            store = opened(tmp_path / "history")
        check_rows(store, rows, -(2**62), 2**62, None)
        for time, known_at in np.random.default_rng().integers(*span, (20, 2)).tolist():
            assert told(store.latest(time, known_at, SIGNALS)) == expected_latest(rows, time, known_at, SIGNALS)
    store.close()


def test_readings_are_rewritten_only_a_few_times() -> None:
    infos: list[PartInfo] = []
    written = 0
    for number in range(400):
        infos.append(PartInfo(str(number), "raw", 0, 10_000, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        while chosen := to_merge(infos, quiet=False):
            rows = sum(info.rows for info in chosen)
            written += rows
            infos = [info for info in infos if info not in chosen]
            infos.append(PartInfo(f"merged {written}", "raw", 0, rows, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    assert sum(info.rows for info in infos) == 4_000_000
    assert len(infos) <= 15
    assert written <= 5 * 4_000_000


def test_infinite_readings_of_both_signs_are_kept(tmp_path: Path) -> None:
    index = [0] * 4
    batch = ReadingBatch.of(index, [S, 2 * S, 3 * S, 4 * S], [float("inf"), -float("inf"), 1.0, 2.0])
    store = opened(tmp_path / "history", tail_rows=2)
    store.apply([entry(1, 100, batch)])
    store.close()
    store = opened(tmp_path / "history")
    assert sorted(store.rows(0, 0, 10 * S).value.tolist()) == [-float("inf"), 1.0, 2.0, float("inf")]
    store.close()
