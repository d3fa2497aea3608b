"""The reporting of one source's signals: what is known of each, and the decision about the readings of one group.

Signals that have one reading in a group (or a few) are decided all at once, the first reading of each, then the second
and so on; a signal with many readings, and swinging doors, one reading after the other. Both ways decide the same.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..twin.state import TwinState
from .reporting_policy import Policy
from .swinging_door import Door, Row

Numbers = NDArray[np.intp]
STRATEGIES = ("every", "on_change", "deadband", "period", "swinging_door")
_CODE = {strategy: code for code, strategy in enumerate(STRATEGIES)}
_ON_CHANGE, _DEADBAND, _PERIOD, _DOOR = 1, 2, 3, 4
_RULE = np.dtype(
    [("strategy", "u1"), ("band", "f8"), ("share", "f8"), ("period", "i8"), ("heartbeat", "i8"), ("keeps_late", "?"),
     ("low", "f8"), ("high", "f8")]
)  # fmt: skip
_STATE = np.dtype(
    [("known", "?"), ("time", "i8"), ("value", "f8"), ("quality", "u1"), ("special", "?"), ("seen", "i8"),
     ("received", "i8"), ("stored", "i8"), ("worst", "f8"), ("total", "f8"), ("judged", "i8")]
)  # fmt: skip
_ROUNDS = 16
_UNKNOWN, _FREE = -2, -1
Extra = tuple[int, Row]
"""A reading that came earlier and is stored now: before which row, and the reading."""


Outcome = tuple[int, int, int, float, float]
"""Readings that came, that are stored, that were judged by what is stored instead; largest and sum of their errors."""


class SourceReporting:
    """policy: of a signal by its index. A signal whose readings are all stored is free and costs a look-up."""

    def __init__(self, policy: Callable[[int], Policy], state: TwinState) -> None:
        self._policy = policy
        self._twin_state = state
        self._slot_of = np.full(0, _UNKNOWN, np.int32)
        self.signals: list[int] = []
        self.policies: list[Policy] = []
        self.doors: dict[int, Door] = {}
        self.rules = np.zeros(0, _RULE)
        self.state = np.zeros(0, _STATE)
        self._is_door = np.zeros(0, np.bool_)

    def forget_policies(self) -> list[tuple[int, Row]]:
        """The definitions have changed. Doors that wait with a reading hand it over, by signal: it must be stored."""
        waiting = [(self.signals[slot], door.pending) for slot, door in self.doors.items() if door.pending is not None]
        self._slot_of[:] = _UNKNOWN
        self.signals, self.policies, self.doors = [], [], {}
        return waiting

    def slots(self, signal: NDArray[np.int32]) -> NDArray[np.int32]:
        """The slot of each reading's signal; below 0: all its readings are stored."""
        highest = int(signal.max(initial=-1))
        if highest >= len(self._slot_of):
            grown = np.full(max(64, 2 * highest), _UNKNOWN, np.int32)
            grown[: len(self._slot_of)] = self._slot_of
            self._slot_of = grown
        found = self._slot_of[signal]
        if (found == _UNKNOWN).any():
            for index in np.unique(signal[found == _UNKNOWN]).tolist():
                self._slot_of[index] = self._new(index)
            found = self._slot_of[signal]
        return found

    def slot_of(self, signal: int) -> int:
        """The slot of a signal, if it has one already; below 0 if not."""
        return int(self._slot_of[signal]) if signal < len(self._slot_of) else _UNKNOWN

    def _new(self, signal: int) -> int:
        policy = self._policy(signal)
        if policy.stores_all:
            return _FREE
        slot = len(self.signals)
        self.signals.append(signal)
        self.policies.append(policy)
        if slot >= len(self.rules):
            self.rules = np.concatenate([self.rules, np.zeros(slot + 64, _RULE)])
            self.state = np.concatenate([self.state, np.zeros(slot + 64, _STATE)])
            self._is_door = np.concatenate([self._is_door, np.zeros(slot + 64, np.bool_)])
        code = _CODE[policy.strategy]
        rule = (code, policy.band, policy.share, policy.period, policy.heartbeat, policy.keeps_late, policy.low)
        self.rules[slot] = (*rule, policy.high)
        self.state[slot] = np.zeros((), _STATE)
        last = self._twin_state.read(signal)
        if last is not None:
            special = last.value < policy.low or last.value > policy.high
            self.state[slot] = (True, last.time, last.value, last.quality, special, last.time, 0, 0, 0, 0, 0)
        self._is_door[slot] = code == _DOOR
        if code == _DOOR:
            self.doors[slot] = Door(policy, None if last is None else (last.time, last.value, last.quality))
        return slot

    # One group

    def decide(
        self, slot: NDArray[np.int32], time: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.uint8]
    ) -> tuple[NDArray[np.bool_], list[Extra]]:
        """Which of these rows are stored, and which earlier readings are, too."""
        keep = np.ones(len(slot), np.bool_)
        order = np.argsort(slot, kind="stable")
        order = order[(slot[order] >= 0) & ~self._is_door[slot[order]]]
        sorted_slots = slot[order]
        first = np.flatnonzero(np.r_[len(order) > 0, sorted_slots[1:] != sorted_slots[:-1]])
        count = np.diff(np.r_[first, len(order)])
        one_by_one = count > _ROUNDS
        for number in range(int(count[~one_by_one].max(initial=0))):
            rows = order[first[~one_by_one & (count > number)] + number]
            keep[rows] = self._step(slot[rows], time[rows], value[rows], quality[rows])
        for begin, length in zip(first[one_by_one].tolist(), count[one_by_one].tolist(), strict=True):
            rows = order[begin : begin + length]
            columns = (time[rows].tolist(), value[rows].tolist(), quality[rows].tolist())
            keep[rows] = self._one_by_one(int(slot[rows[0]]), list(zip(*columns, strict=True)))
        return keep, self._through_doors(slot, time, value, quality, keep) if self.doors else []

    def _through_doors(
        self, slot: NDArray[np.int32], time: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.uint8],
        keep: NDArray[np.bool_],
    ) -> list[Extra]:  # fmt: skip
        """Sets `keep` for the readings of doors; the earlier ones that are stored, too."""
        extras: list[Extra] = []
        rows = np.flatnonzero(self._is_door[slot] & (slot >= 0))
        columns = (column[rows].tolist() for column in (slot, time, value, quality))
        for number, door, *row in zip(rows.tolist(), *columns, strict=True):
            keep[number], earlier = self.doors[door].take((row[0], row[1], row[2]))
            if earlier is not None:
                extras.append((number, earlier))
        return extras

    def _step(
        self, slot: NDArray[np.int32], time: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        """One reading of each of these signals."""
        rule, state = self.rules[slot], self.state[slot]
        known, late = state["known"], state["known"] & (time < state["seen"])
        with np.errstate(invalid="ignore"):
            distance = np.abs(value - state["value"])
            special = (value < rule["low"]) | (value > rule["high"])
            band = np.maximum(rule["band"], rule["share"] * np.abs(state["value"]))
            changed = (distance > band) | (np.isnan(value) != np.isnan(state["value"]))
        since = time - state["time"]
        strategy = rule["strategy"]
        due = (strategy == 0) | ((strategy == _PERIOD) & (since >= rule["period"])) | (since >= rule["heartbeat"])
        due |= changed & ((strategy == _ON_CHANGE) | (strategy == _DEADBAND))
        due |= (since == 0) & ((distance > 0) | (np.isnan(value) != np.isnan(state["value"])))
        due |= ~known | (quality != state["quality"]) | special | (special != state["special"])
        kept: NDArray[np.bool_] = np.where(late, rule["keeps_late"], due)
        stored = kept & ~late
        for name, column in (("time", time), ("value", value), ("quality", quality), ("special", special)):
            state[name] = np.where(stored, column, state[name])
        state["seen"] = np.where(late, state["seen"], time)
        state["known"] = True
        judged = ~kept & ~late & np.isfinite(distance)
        error = np.where(judged, distance, 0.0)
        state["worst"] = np.maximum(state["worst"], error)
        state["total"] += error
        state["judged"] += judged
        state["received"] += 1
        state["stored"] += kept
        self.state[slot] = state
        return kept

    def _one_by_one(self, slot: int, rows: list[Row]) -> list[bool]:
        """All readings of one signal."""
        rule, state = self.rules[slot].tolist(), self.state[slot]
        strategy, band, share, period, heartbeat, keeps_late, low, high = rule
        known, last_time, last, last_quality, was_special, seen, received, stored, worst, total, judged = state.tolist()
        kept: list[bool] = []
        for time, value, quality in rows:
            if known and time < seen:
                kept.append(keeps_late)
                continue
            special = value < low or value > high
            since = time - last_time
            must = not known or quality != last_quality or special or was_special or since >= heartbeat
            if not must:
                distance = abs(value - last)
                least = 0.0 if since == 0 else max(band, share * abs(last))  # at one time any change is a correction
                reached = distance > least or math.isnan(value) != math.isnan(last)
                must = since >= period if strategy == _PERIOD and since else strategy == 0 or reached
                if not must and distance == distance:
                    judged, total, worst = judged + 1, total + distance, max(worst, distance)
            kept.append(must)
            known, seen = True, time
            if must:
                last_time, last, last_quality, was_special = time, value, quality, special
        received, stored = received + len(rows), stored + sum(kept)
        self.state[slot] = (
            known, last_time, last, last_quality, was_special, seen, received, stored, worst, total, judged
        )  # fmt: skip
        return kept

    # What was not stored after all

    def snapshot(self, slot: NDArray[np.int32]) -> Callable[[], None]:
        """How to be again as it is now, as far as these slots are concerned."""
        touched = np.unique(slot[slot >= 0])
        before = self.state[touched]
        doors = [(self.doors[number], self.doors[number].kept()) for number in touched[self._is_door[touched]].tolist()]

        def undo() -> None:
            self.state[touched] = before
            for door, kept in doors:
                door.restore(kept)

        return undo

    def overdue(self, now: int | None) -> NDArray[np.int32]:
        """The slots of doors with a reading that has waited for its heartbeat at `now` [ns]; None: with any."""
        found = (
            slot
            for slot, door in self.doors.items()
            if door.pending is not None and (now is None or now - door.pending[0] >= self.policies[slot].heartbeat)
        )
        return np.fromiter(found, np.int32)

    def outcome(self, slot: int) -> Outcome:
        """What reporting came to so far."""
        door = self.doors.get(slot)
        if door is not None:
            return door.received, door.stored, door.judged, door.worst, door.total
        state = self.state[slot]
        return tuple(state[name].item() for name in ("received", "stored", "judged", "worst", "total"))

    def flush(self, slots: NDArray[np.int32]) -> list[tuple[int, Row]]:
        """Ends the lines of these doors with the readings that wait: by signal, what must be stored."""
        found = []
        for slot in slots.tolist():
            pending = self.doors[slot].flush()
            assert pending is not None
            found.append((self.signals[slot], pending))
        return found
