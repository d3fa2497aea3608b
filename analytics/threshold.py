"""Thresholds with hysteresis: when a value breaches a limit, and when it has come back far enough to clear it.

Between the two lies the hysteresis band, in which an open anomaly stays open and a closed one stays closed:
`> 80` with hysteresis 2 opens above 80 and clears at 78 or below.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OPERATORS = (">", ">=", "<", "<=", "==", "!=")
_ABOVE, _AT_LEAST, _BELOW, _AT_MOST, _EQUAL, _UNEQUAL = range(len(OPERATORS))


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits as columns of equal length `(n,)`: code = position in `OPERATORS`, hysteresis >= 0 [unit of threshold]."""

    code: NDArray[np.int8]
    threshold: NDArray[np.float64]
    hysteresis: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> "Limits":
        """The limits at these rows, repeated as often as a row is named."""
        return Limits(self.code[rows], self.threshold[rows], self.hysteresis[rows])

    def breached(self, value: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where `value` `(n,)` opens an anomaly; NaN never does."""
        code, limit = self.code, self.threshold
        hits: NDArray[np.bool_] = np.select(
            [code == _ABOVE, code == _AT_LEAST, code == _BELOW, code == _AT_MOST, code == _EQUAL],
            [value > limit, value >= limit, value < limit, value <= limit, value == limit],
            value != limit,
        )
        return hits & ~np.isnan(value)

    def cleared(self, value: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where `value` `(n,)` clears an anomaly; NaN never does.

        For `==` and `!=` the value must differ by more than the hysteresis, or be equal again.
        """
        code, limit, band = self.code, self.threshold, self.hysteresis
        hits: NDArray[np.bool_] = np.select(
            [code == _ABOVE, code == _AT_LEAST, code == _BELOW, code == _AT_MOST, code == _EQUAL],
            [
                value <= limit - band,
                value < limit - band,
                value >= limit + band,
                value > limit + band,
                np.abs(value - limit) > band,
            ],
            value == limit,
        )
        return hits & ~np.isnan(value)
