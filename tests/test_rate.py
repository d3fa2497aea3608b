"""Rate of change: the value now minus the value at the start of the window."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.analytics.rate import HORIZON, RESOLUTION, RateSeries, RateWindow

S = 1_000_000_000


def changes(width_s: float, points: list[tuple[float, float]], stepped: bool = False) -> list[float]:
    window = RateWindow(round(width_s * S), stepped)
    return [window.change(round(time * S), value) for time, value in points]


def test_the_value_at_the_start_of_the_window_is_subtracted() -> None:
    assert changes(10, [(0, 20.0), (5, 22.0), (10, 27.0), (15, 24.0)])[1:] == [2.0, 7.0, 2.0]


def test_the_first_reading_of_all_has_no_rate() -> None:
    assert math.isnan(changes(10, [(0, 20.0)])[0])


def test_between_two_readings_the_start_is_interpolated() -> None:
    # Half of the window's start lies between 20 (at 0 s) and 30 (at 8 s): at 4 s it was 25.
    assert changes(10, [(0, 20.0), (8, 30.0), (14, 31.0)])[-1] == pytest.approx(6.0)


def test_a_long_silence_is_no_fast_change() -> None:
    # 15 degrees in an hour are 1.25 in five minutes.
    assert changes(300, [(0, 40.0), (3600, 55.0)])[-1] == pytest.approx(1.25)


def test_a_stepped_signal_holds_its_value() -> None:
    assert changes(10, [(0, 20.0), (8, 30.0), (14, 31.0)], stepped=True)[-1] == 11.0


def test_of_two_readings_with_one_time_the_later_given_counts() -> None:
    assert changes(10, [(0, 1.0), (0, 5.0), (10, 6.0)])[-1] == 1.0


def test_memory_is_bounded_at_any_sampling_rate() -> None:
    window = RateWindow(10 * S)
    for i in range(200_000):
        window.change(i * S // 2_000, float(i))
    assert len(window) <= 2.6 * RESOLUTION
    assert window.change(100 * S, 200_000.0) == pytest.approx(20_000.0, rel=2 / RESOLUTION)


@given(
    st.lists(st.tuples(st.integers(1, 400), st.floats(-100, 100)), min_size=2, max_size=60),
    st.integers(1, 300),
)
def test_it_agrees_with_the_definition_spelled_out(steps: list[tuple[int, float]], width: int) -> None:
    window = RateWindow(width)
    points: list[tuple[int, float]] = []
    time = 0
    for gap, value in steps:
        time += gap
        points.append((time, value))
        change = window.change(time, value)
        looked_at = [point for point in points if point[0] >= time - HORIZON * width]
        if len(looked_at) > 1:
            assert change == pytest.approx(value - spelled_out(looked_at, time - width), abs=1e-9)
        else:
            assert math.isnan(change)


@given(
    st.lists(st.tuples(st.integers(0, 9_000), st.floats(-100, 100)), min_size=1, max_size=80),
    st.sampled_from([3, 50, 8_192, 40_000]),
    st.booleans(),
    st.randoms(),
)
def test_whole_pages_of_readings_give_the_same_rates(
    steps: list[tuple[int, float]], width: int, stepped: bool, chance: random.Random
) -> None:
    times = np.cumsum([gap + 1 for gap, _ in steps])
    values = np.array([value for _, value in steps])
    window, series = RateWindow(width, stepped), RateSeries(width, stepped)
    one_by_one = [window.change(time, value) for time, value in zip(times.tolist(), values.tolist(), strict=True)]
    cuts = sorted(chance.randrange(len(times) + 1) for _ in range(4))
    pages = zip(np.split(times, cuts), np.split(values, cuts), strict=True)
    np.testing.assert_array_equal(np.concatenate([series.changes(*page) for page in pages]), one_by_one)


def spelled_out(points: list[tuple[int, float]], at: int) -> float:
    if at <= points[0][0]:
        return points[0][1]
    for (t0, v0), (t1, v1) in pairwise(points):
        if t0 <= at <= t1:
            return v0 + (v1 - v0) * (at - t0) / (t1 - t0)
    raise AssertionError
