"""How the columns of history are made small: per run (the rows of one signal in one part) a base and few bytes a row.

Whole numbers become `base + unit * code`. Floating-point numbers become decimal fractions `(base + code) / 10**mode`
where that gives back exactly the same bits, else 32-bit floats where those do, else they stay as they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .history_packing import MASKS, widths_for

MOST_DECIMALS = 6
FLOAT32 = 32
FLOAT64 = 64
_POWERS = 10.0 ** np.arange(65)
_NAN = np.array(np.nan).view(np.uint64)
_MINUS_ZERO = np.uint64(1 << 63)
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Encoded:
    """A column of several runs: `codes` per row (n,); per run (r,) `width` [bytes], `base`, and `unit` or mode."""

    codes: NDArray[np.uint64]
    width: NDArray[np.uint8]
    base: NDArray[np.int64]
    unit: NDArray[np.int64]


def encode_integers(values: NDArray[np.int64], first: NDArray[np.int64]) -> Encoded:
    """Whole numbers; `first` (r,) are the rows at which the runs begin."""
    counts = np.diff(np.append(first, len(values)))
    base = np.minimum.reduceat(values, first)
    codes = (values - np.repeat(base, counts)).view(np.uint64)
    unit = np.maximum(np.gcd.reduceat(codes, first), np.uint64(1))
    if (unit > 1).any():
        codes //= np.repeat(unit, counts)
    return Encoded(codes, widths_for(np.maximum.reduceat(codes, first)), base, unit.view(np.int64))


def decode_integers(
    codes: NDArray[np.uint64], base: NDArray[np.int64] | np.int64, unit: NDArray[np.int64] | np.int64
) -> NDArray[np.int64]:
    """The inverse; `base` and `unit` per row, or of the one run that all rows are of."""
    # In 64 bits that wrap: a run may span more than the largest signed number.
    return codes.view(np.int64) * unit + base


def encode_floats(values: NDArray[np.float64], first: NDArray[np.int64]) -> Encoded:
    """Floating-point numbers; every bit comes back, those of NaN and of minus zero too."""
    ends = np.append(first[1:], len(values))
    counts = ends - first
    bits = values.view(np.uint64)
    mode = _decimals(values, bits, first, counts)
    decimal = np.repeat(mode <= MOST_DECIMALS, counts)
    nan = (bits == _NAN) & decimal
    scaled = np.zeros(len(values), dtype=np.int64)
    usable = decimal & ~nan
    scaled[usable] = np.rint(values[usable] * np.repeat(_POWERS[mode], counts)[usable])
    base = np.minimum.reduceat(np.where(usable, scaled, np.iinfo(np.int64).max), first)
    base[~np.logical_or.reduceat(usable, first)] = 0
    codes = (scaled - np.repeat(base, counts)).view(np.uint64)
    codes[nan] = 0
    highest = np.maximum.reduceat(codes, first)
    # The top code of a width stands for NaN, so no number may have it.
    width = widths_for(highest + ((highest > 0) | np.logical_or.reduceat(nan, first)))
    _prefer_floats(values, bits, first, counts, mode, width)
    codes[nan] = np.repeat(MASKS[width], counts)[nan]
    _keep_bits(codes, values, bits, counts, mode)
    return Encoded(codes, width, np.where(mode <= MOST_DECIMALS, base, 0), mode)


def decode_floats(
    codes: NDArray[np.uint64], base: NDArray[np.int64], mode: NDArray[np.int64], width: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The inverse; `base`, `mode` and `width` per row, or of length one for rows of one run."""
    decoded = (codes.view(np.int64) + base) / _POWERS[mode]
    if (special := (codes == MASKS[width]) & (width > 0)).any():
        decoded[special] = np.nan
    for kind, of in ((FLOAT32, _from_float32), (FLOAT64, _from_float64)):
        chosen = mode == kind
        if len(chosen) == 1 and chosen[0]:
            return of(codes)
        if chosen.any():
            decoded[chosen] = of(codes[chosen])
    return decoded


def _from_float32(codes: NDArray[np.uint64]) -> NDArray[np.float64]:
    return codes.astype(np.uint32).view(np.float32).astype(np.float64)


def _from_float64(codes: NDArray[np.uint64]) -> NDArray[np.float64]:
    return codes.view(np.float64)


def _decimals(
    values: NDArray[np.float64], bits: NDArray[np.uint64], first: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Per run the fewest decimals that give back all values, FLOAT64 where none do.

    Four rows of each run propose; only the runs that a proposal fails are looked at again.
    """
    mode = np.zeros(len(first), dtype=np.int64)
    for quarter in range(4):
        rows = first + counts * quarter // 4
        for decimals in range(MOST_DECIMALS + 1):
            lost = (mode == decimals) & ~_exact(values[rows], bits[rows], _POWERS[decimals])
            mode[lost] = decimals + 1
    mode[mode > MOST_DECIMALS] = FLOAT64
    open_runs = np.flatnonzero(mode <= MOST_DECIMALS)
    while len(open_runs):
        rows = _rows_of(first[open_runs], counts[open_runs])
        exact = _exact(values[rows], bits[rows], np.repeat(_POWERS[mode[open_runs]], counts[open_runs]))
        starts = np.cumsum(counts[open_runs]) - counts[open_runs]
        failed = ~np.logical_and.reduceat(exact, starts)
        open_runs = open_runs[failed]
        mode[open_runs] += 1
        mode[mode == MOST_DECIMALS + 1] = FLOAT64
        open_runs = open_runs[mode[open_runs] <= MOST_DECIMALS]
    return mode


def _exact(
    values: NDArray[np.float64], bits: NDArray[np.uint64], power: NDArray[np.float64] | np.float64
) -> NDArray[np.bool_]:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * power)
        same = (scaled / power == values) & (np.abs(scaled) < _EXACT) & (bits != _MINUS_ZERO)
    exact: NDArray[np.bool_] = same | (bits == _NAN)
    return exact


def _prefer_floats(
    values: NDArray[np.float64],
    bits: NDArray[np.uint64],
    first: NDArray[np.int64],
    counts: NDArray[np.int64],
    mode: NDArray[np.int64],
    width: NDArray[np.uint8],
) -> None:
    """Runs whose fractions are no shorter than a float are kept as floats: changes `mode` and `width`."""
    mode[width >= 8] = FLOAT64
    width[mode == FLOAT64] = 8
    long = np.flatnonzero(width > 4)
    if not len(long):
        return
    rows = _rows_of(first[long], counts[long])
    with np.errstate(over="ignore", invalid="ignore"):
        back = values[rows].astype(np.float32).astype(np.float64).view(np.uint64)
    starts = np.cumsum(counts[long]) - counts[long]
    short = long[np.logical_and.reduceat(back == bits[rows], starts)]
    mode[short] = FLOAT32
    width[short] = 4


def _keep_bits(
    codes: NDArray[np.uint64],
    values: NDArray[np.float64],
    bits: NDArray[np.uint64],
    counts: NDArray[np.int64],
    mode: NDArray[np.int64],
) -> None:
    full = np.repeat(mode == FLOAT64, counts)
    codes[full] = bits[full]
    half = np.repeat(mode == FLOAT32, counts)
    if half.any():
        codes[half] = values[half].astype(np.float32).view(np.uint32)


def _rows_of(first: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of some runs, one run behind another."""
    ends = np.cumsum(counts)
    rows: NDArray[np.int64] = np.arange(ends[-1]) + np.repeat(first - (ends - counts), counts)
    return rows
