"""Questions to the readings in InfluxDB, in InfluxQL."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .influx_lines import GOOD, READING, SPECIALS, SUPERSEDED, Version
from .influx_server import InfluxServer, Series
from .state import NEVER
from .store import Recorded
from .store_chunk import last_of_each_commit, newest_known, newest_of_each

Key = tuple[int, int]
"""signal, time"""

_FIELDS = "value, quality, recorded, special"
_STATEMENTS = 1000
_DENSE = 20
_MOST_NAMED = 200
_SPANS_NS = (3_600_000_000_000, 86_400_000_000_000, 30 * 86_400_000_000_000)
_LEAST, _MOST = -(2**63) + 2, 2**63 - 2
# InfluxDB's own bounds of a time.
_EARLIEST, _LATEST = -9223372036854775806, 9223372036854775806


def rows(server: InfluxServer, signal: int, start: int, end: int, known_at: int | None) -> Recorded:
    """Readings of a signal in [start, end) [ns], as known at `known_at`."""
    # Several series have one signal if it was renamed, and may have one time; the last recorded counts.
    where = f"signal = '{int(signal)}' AND time >= {max(start, _EARLIEST)} AND time < {min(end, _LATEST)}"
    valid, gone = server.ask(
        [
            f"SELECT {_FIELDS} FROM {READING} WHERE {where}{_known(known_at)}",
            f"SELECT {_FIELDS} FROM {SUPERSEDED} WHERE {where}{_known_then(known_at)}",
        ]
    )
    return newest_known([_recorded(valid, signal), _recorded(gone, signal)])


def latest(server: InfluxServer, time: int, known_at: int | None, signals: "NDArray[np.int32] | None") -> Recorded:
    """Of each signal the newest reading at or before `time` [ns], as known at `known_at`."""
    wanted = None if signals is None else set(signals.tolist())
    found: list[Recorded] = []
    # A condition on a field makes InfluxDB read all that lies before `time`; most signals spoke lately.
    for span in _SPANS_NS if known_at is not None else ():
        found.append(_latest(server, time - span, time, known_at, wanted))
        have = set(found[-1].signal.tolist())
        wanted = (_all_signals(server) if wanted is None else wanted) - have
        if not wanted:
            break
    else:
        found.append(_latest(server, _EARLIEST, time, known_at, wanted))
    return newest_of_each(found)


def newest(server: InfluxServer) -> NDArray[np.int64]:
    """The time of each signal's newest reading, by index."""
    found = _latest(server, _EARLIEST, _LATEST, None, None)
    times = np.full(int(found.signal.max()) + 1 if len(found) else 0, NEVER, dtype=np.int64)
    np.maximum.at(times, found.signal, found.time)
    return times


def versions(server: InfluxServer, keys: Sequence[Key], measurement: str) -> dict[Key, list[Version]]:
    """What a measurement has of these (signal, time)."""
    wanted, by_signal = set(keys), defaultdict(list)
    for signal, time in keys:
        by_signal[signal].append(time)
    statements = list(_statements(by_signal, measurement))
    found: dict[Key, list[Version]] = defaultdict(list)
    for at in range(0, len(statements), _STATEMENTS):
        block = statements[at : at + _STATEMENTS]
        for (signal, _), series in zip(block, server.ask([text for _, text in block]), strict=True):
            for time, version in _versions(series):
                if (signal, time) in wanted:
                    found[signal, time].append(version)
    return found


def all_versions(server: InfluxServer, start: int, end: int, known_at: int) -> Recorded:
    """All readings in [start, end) [ns] that were recorded until `known_at`, superseded ones too."""
    where = f"time >= {max(start, _EARLIEST)} AND time < {min(end, _LATEST)} AND recorded <= {known_at}"
    asked = [f"SELECT {_FIELDS} FROM {name} WHERE {where} GROUP BY signal" for name in (READING, SUPERSEDED)]
    found = [_recorded([one], int(one[0]["signal"])) for series in server.ask(asked) for one in series]
    # A renamed signal's reading that was corrected since stands under both names.
    return last_of_each_commit(Recorded.concat(found))


def _statements(by_signal: dict[int, list[int]], measurement: str) -> Iterator[tuple[int, str]]:
    for signal, times in by_signal.items():
        select = f"SELECT {_FIELDS} FROM {measurement} WHERE signal = '{signal}' AND time"
        if len(times) > _DENSE:
            yield signal, f"{select} >= {min(times)} AND time <= {max(times)}"
        else:
            for time in times:
                yield signal, f"{select} = {time}"


def _latest(server: InfluxServer, after: int, time: int, known_at: int | None, wanted: set[int] | None) -> Recorded:
    where = f"time >= {max(after, _EARLIEST)} AND time <= {min(time, _LATEST)}"
    if wanted is not None and len(wanted) <= _MOST_NAMED:
        where += " AND (" + " OR ".join(f"signal = '{signal}'" for signal in sorted(wanted)) + ")"
    asked = [f"SELECT last(recorded), {_FIELDS} FROM {READING} WHERE {where}{_known(known_at)} GROUP BY signal"]
    if known_at is not None:
        then = _known_then(known_at)
        asked.append(f"SELECT last(recorded), {_FIELDS} FROM {SUPERSEDED} WHERE {where}{then} GROUP BY signal")
    found = []
    for series in server.ask(asked):
        for one in series:
            signal = int(one[0]["signal"])
            if wanted is None or signal in wanted:
                found.append(_recorded([one], signal))
    return newest_known(found)


def _all_signals(server: InfluxServer) -> set[int]:
    (series,) = server.ask([f"SHOW TAG VALUES FROM {READING} WITH KEY = signal"])
    return {int(row[1]) for _, _, values in series for row in values}


def _known(known_at: int | None) -> str:
    return "" if known_at is None else f" AND recorded <= {known_at}"


def _known_then(known_at: int | None) -> str:
    # Without a moment what was superseded is of no interest: no value can be that new.
    moment = _MOST if known_at is None else known_at
    return f" AND recorded <= {moment} AND superseded > {moment}"


def _recorded(series: Iterable[Series], signal: int) -> Recorded:
    found = list(_versions(series))
    return Recorded(
        signal=np.full(len(found), signal, dtype=np.int32),
        time=np.array([time for time, _ in found], dtype=np.int64),
        value=np.array([value for _, (_, value, _) in found], dtype=np.float64),
        quality=np.array([quality for _, (_, _, quality) in found], dtype=np.uint8),
        recorded=np.array([recorded for _, (recorded, _, _) in found], dtype=np.int64),
    )


def _versions(series: Iterable[Series]) -> Iterator[tuple[int, Version]]:
    for _, columns, values in series:
        at = [columns.index(name) for name in ("time", "value", "quality", "recorded", "special")]
        for row in values:
            time, value, quality, recorded, special = (row[i] for i in at)
            # A number that was replaced by none leaves its field behind; `special` tells.
            number = SPECIALS.get(special or 0, value)
            yield time, (recorded, math.nan if number is None else float(number), GOOD if quality is None else quality)
