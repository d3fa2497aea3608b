"""The filter of lately written keys never denies one that is there, and rarely claims one that is not."""

import numpy as np
import pytest

from iotsense.twin import recent_keys
from iotsense.twin.recent_keys import RecentKeys

S = 1_000_000_000


def keys(draw: np.random.Generator, count: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    return draw.integers(0, 100, count).astype(np.int32), start + draw.integers(0, 3600 * S, count)


def test_what_was_written_is_known_and_little_else() -> None:
    draw = np.random.default_rng()
    recent = RecentKeys(np.zeros(100, dtype=np.int64))
    start = 1_700_000_000 * S
    written, others = keys(draw, 50_000, start), keys(draw, 50_000, start)
    recent.add(*written, np.zeros(100, dtype=np.int64))
    assert recent.may_have(*written).all()
    assert recent.may_have(*others).mean() < 0.02


def test_what_was_there_before_is_always_possible() -> None:
    newest = np.array([10 * S, 20 * S])
    recent = RecentKeys(newest)
    signal, time = np.array([0, 0, 1, 1, 2], np.int32), np.array([10 * S, 11 * S, 20 * S, 5, 5])
    assert recent.may_have(signal, time).tolist() == [True, False, True, True, False]


def test_a_generation_that_is_given_up_makes_its_time_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_keys, "_CAPACITY", 1000)
    draw = np.random.default_rng()
    recent = RecentKeys(np.zeros(100, dtype=np.int64))
    newest = np.zeros(100, dtype=np.int64)
    written = []
    for round in range(5):
        signal, time = keys(draw, 900, (1 + round) * 4000 * S)
        recent.add(signal, time, newest)
        np.maximum.at(newest, signal, time)
        written.append((signal, time))
        for known in written:
            assert recent.may_have(*known).all()
    assert recent.may_have(*keys(draw, 2000, 5 * 4000 * S)).mean() < 0.05  # the last round's time is told exactly
