"""How readings arrive, compared with the latest that their signals had: newer, again at the same time, or late."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Arrival(IntEnum):
    """Exactly one of these holds for every reading that is stored."""

    APPLIED = 0
    SUPERSEDED = 1
    LATE = 2


ARRIVALS = len(Arrival)
_APPLIED, _SUPERSEDED, _LATE = map(int, Arrival)  # plain numbers, since this is done a million times a second


def arrivals(
    signal: NDArray[np.intp], time: NDArray[np.int64], latest: NDArray[np.int64], last_row: NDArray[np.int32]
) -> NDArray[np.uint8] | None:
    """The `Arrival` of each row, `(n,)`, as if the rows came one after another; None if all of them are applied.

    latest: the time [ns] of the latest reading of each row's signal before the batch, `(n,)`. last_row: room by signal
    index, whose content does not matter and is overwritten.
    """
    rows = np.arange(len(signal), dtype=np.int32)
    last_row[signal] = rows
    repeated = last_row[signal] != rows
    late_or_again = time <= latest
    if repeated.any():
        # Only rows whose signal comes more than once need to be compared with those before them.
        last_row[signal] = 0
        last_row[signal[repeated]] = 1
        several = np.flatnonzero(last_row[signal])
        found = late_or_again.astype(np.uint8) + (time < latest)
        again = _one_by_one(signal[several].tolist(), time[several].tolist(), latest[several].tolist())
        found[several] = np.frombuffer(again, np.uint8)
        return found if found.any() else None
    return late_or_again.astype(np.uint8) + (time < latest) if late_or_again.any() else None


def _one_by_one(signals: list[int], times: list[int], latest: list[int]) -> bytearray:
    newest: dict[int, int] = {}
    found = bytearray()
    for signal, time, known in zip(signals, times, latest, strict=True):
        before = newest.get(signal, known)
        if time > before:
            newest[signal] = time
            found.append(_APPLIED)
        else:
            found.append(_SUPERSEDED if time == before else _LATE)
    return found
