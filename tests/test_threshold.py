"""Limits with hysteresis, over whole columns."""

import numpy as np
import pytest

from iotsense.analytics.threshold import OPERATORS, Limits


def limits(operator: str, threshold: float, hysteresis: float, n: int) -> Limits:
    return Limits(
        np.full(n, OPERATORS.index(operator), dtype=np.int8), np.full(n, threshold), np.full(n, float(hysteresis))
    )


@pytest.mark.parametrize(
    ("operator", "breached", "cleared"),
    [
        (">", [False, False, False, False, True], [True, True, False, False, False]),
        (">=", [False, False, False, True, True], [True, False, False, False, False]),
        ("<", [True, True, True, False, False], [False, False, False, False, False]),
        ("<=", [True, True, True, True, False], [False, False, False, False, False]),
        ("==", [False, False, False, True, False], [True, False, False, False, False]),
        ("!=", [True, True, True, False, True], [False, False, False, True, False]),
    ],
)
def test_each_operator_at_below_and_above_its_limit(operator: str, breached: list[bool], cleared: list[bool]) -> None:
    values = np.array([77.0, 78.0, 79.0, 80.0, 81.0])
    rule = limits(operator, 80.0, 2.0, len(values))
    assert rule.breached(values).tolist() == breached
    assert rule.cleared(values).tolist() == cleared


@pytest.mark.parametrize(("operator", "first_clear"), [("<", 12.0), ("<=", 12.5)])
def test_a_lower_limit_clears_above_its_band(operator: str, first_clear: float) -> None:
    values = np.array([10.0, 11.0, 11.9, 12.0, 12.5])
    cleared = limits(operator, 10.0, 2.0, len(values)).cleared(values)
    assert values[cleared].min() == first_clear


@pytest.mark.parametrize("operator", OPERATORS)
def test_nan_decides_nothing(operator: str) -> None:
    rule = limits(operator, 1.0, 0.0, 1)
    assert not rule.breached(np.array([np.nan])).any()
    assert not rule.cleared(np.array([np.nan])).any()


@pytest.mark.parametrize("operator", OPERATORS)
def test_no_value_both_breaches_and_clears(operator: str) -> None:
    values = np.linspace(-5.0, 5.0, 401)
    rule = limits(operator, 1.0, 0.5, len(values))
    assert not (rule.breached(values) & rule.cleared(values)).any()
