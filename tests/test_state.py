import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.model import Quality
from iotsense.twin.state import NEVER, TwinState

READINGS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.floats(-10, 10)), max_size=40)


@given(READINGS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_the_newest_source_time_wins_whatever_the_order(rows: list, random, size: int) -> None:
    unique = list({(signal, time): (signal, time, value) for signal, time, value in rows}.values())
    random.shuffle(unique)
    state = TwinState()
    for i in range(0, len(unique), size):
        state.apply(ReadingBatch.of(*zip(*unique[i : i + size], strict=True)), i + 1)
    for signal in range(4):
        expected = max((row[1:] for row in unique if row[0] == signal), default=None)
        reading = state.read(signal)
        assert (reading and (reading.time, reading.value)) == expected


def test_of_two_readings_with_one_time_the_later_recorded_wins() -> None:
    state = TwinState()
    state.apply(ReadingBatch.of([1, 1], [5, 5], [1.0, 2.0]), 1)
    assert state.read(1) == (2.0, 5, 192, 1)
    state.apply(ReadingBatch.of([1], [5], [3.0], [0]), 2)
    assert state.read(1) == (3.0, 5, 0, 2)


def test_what_changed_is_told_by_number() -> None:
    state = TwinState()
    state.apply(ReadingBatch.of([1, 2], 10, [1.0, 2.0]), 7)
    state.apply(ReadingBatch.of([2, 3], [9, 10], [9.0, 3.0]), 8)
    assert state.changed_since(6).tolist() == [1, 2, 3]
    assert state.changed_since(7).tolist() == [3]
    assert state.changed_since(6, np.array([2, 9], dtype=np.int32)).tolist() == [2]
    assert state.changed_since(8).tolist() == []


def test_silence_takes_only_the_quality() -> None:
    state = TwinState()
    state.apply(ReadingBatch.of([1, 2], 10, [1.0, 2.0], [192, 0]), 1)
    state.mark_uncertain([1, 2], 2)
    assert state.read(1) == (1.0, 10, Quality.UNCERTAIN, 2)
    assert state.read(2) == (2.0, 10, 0, 2)


def test_columns_grow_and_keep_what_they_held() -> None:
    state = TwinState()
    state.apply(ReadingBatch.of([1000], 10, [1.0]), 1)
    state.grow(5000)
    assert len(state) >= 5000
    snapshot = state.snapshot(np.array([1000, 4999], dtype=np.int32))
    assert snapshot.value[0] == 1.0
    assert snapshot.time.tolist() == [10, NEVER]
    assert state.read(4999) is None
