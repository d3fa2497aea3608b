"""Readings and events as InfluxDB's line protocol.

Measurements: `reading` (what is valid), `reading_superseded` (what was, with a `revision` for each value of a
(signal, time)), `event`, `gap`. Tags name the signal; fields are `value`, `quality` and `recorded` [ns], `text` of a
text or boolean signal, and `special` where a value is no number that InfluxDB can hold. Nearly all readings are good:
theirs has no `quality`, which spares the server a quarter of its work.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

from .graph import Graph
from .model import Event, Quality
from .store import Recorded

READING = "reading"
SUPERSEDED = "reading_superseded"
SPECIALS = {1: math.nan, 2: math.inf, 3: -math.inf}
"""What the field `special` stands for; 0 is an ordinary value."""

GOOD = int(Quality.GOOD)

Version = tuple[int, float, int]
"""recorded, value, quality: one value of a (signal, time)."""

_TAG = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": " ", "\r": " ", "\t": " "})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\"})


class SignalTags:
    """The tags of signals, as they are called today; and the fields that their texts add."""

    def __init__(self, graph: Graph, texts: Callable[[int], Sequence[str]]) -> None:
        self.graph = graph
        self._texts = texts
        self._tags: dict[int, str] = {}

    def of(self, signal: int) -> str:
        """`,id=line.s0,...,signal=7`; a signal that is no longer in the graph has its number only."""
        tags = self._tags.get(signal)
        if tags is None:
            tags = self._tags[signal] = self._made(signal)
        return tags

    def fields(self, signal: int, value: float) -> str:
        """The text behind a code, as a field."""
        texts = self._texts(signal)
        if not texts or not 0 <= value < len(texts):
            return ""
        return f',text="{texts[int(value)].translate(_TEXT)}"'

    def _made(self, signal: int) -> str:
        named: dict[str, str | None] = {"signal": str(signal)}
        found = self.graph.signal_map.get(signal)
        if found is not None:
            node = self.graph.node(found.node)
            named |= {"id": self.graph.signal_id(found), "node": node.id, "name": found.name, "unit": found.unit}
        # In the order of their names, or the server sorts them for every line. No tag is empty or ends in a backslash.
        tags = ((name, (text or "").translate(_TAG).rstrip("\\")) for name, text in sorted(named.items()))
        return "".join(f",{name}={text}" for name, text in tags if text)


def reading_lines(rows: Recorded, tags: SignalTags) -> Iterator[str]:
    """One line for each row."""
    columns = (rows.signal, rows.time, rows.value, rows.quality, rows.recorded)
    heads: dict[int, str] = {}
    labelled: dict[int, bool] = {}
    for signal, time, value, quality, recorded in zip(*(column.tolist() for column in columns), strict=True):
        head = heads.get(signal)
        if head is None:
            head = heads[signal] = READING + tags.of(signal)
            labelled[signal] = bool(tags.fields(signal, 0.0))
        if labelled[signal] or not math.isfinite(value):
            yield f"{head} {_fields((recorded, value, quality), tags.fields(signal, value))} {time}"
        elif quality == GOOD:
            yield f"{head} value={value!r},recorded={recorded}i {time}"
        else:
            yield f"{head} value={value!r},quality={quality}i,recorded={recorded}i {time}"


def version_lines(signal: int, time: int, versions: Sequence[Version], tags: SignalTags) -> tuple[list[str], str]:
    """All versions of one (signal, time), the oldest first: lines of what was superseded, and of what is valid."""
    head = tags.of(signal)
    gone = [
        f"{SUPERSEDED}{head},revision={i + 1} {_fields(old, tags.fields(signal, old[1]))},superseded={new[0]}i {time}"
        for i, (old, new) in enumerate(pairwise(versions))
    ]
    valid = versions[-1]
    # Everything is written, even where it says nothing: it may replace another.
    special = ",special=0i" if math.isfinite(valid[1]) else ""
    return gone, f"{READING}{head} {_fields(valid, tags.fields(signal, valid[1]))}{special} {time}"


def _fields(version: Version, more: str) -> str:
    recorded, value, quality = version
    told = f"value={value!r}" if math.isfinite(value) else f"special={_special(value)}i"
    return f"{told},quality={quality}i,recorded={recorded}i{more}"


def _special(value: float) -> int:
    return 1 if math.isnan(value) else 2 if value > 0 else 3


def event_lines(events: Iterable[Event], graph: Graph) -> Iterator[str]:
    """One line for each row of the event log; `slot` keeps apart what happened to one node in the same nanosecond."""
    for event in events:
        node = graph.node_map.get(event.node) if event.node is not None else None
        tags = f",kind={event.kind.translate(_TAG)},slot={event.seq % 256}"
        tags += f",node={node.id.translate(_TAG)}" if node else ""
        data = msgspec.json.encode(event.data).decode().translate(_TEXT)
        fields = f'seq={event.seq}i,recorded={event.recorded}i,data="{data}"'
        fields += f",until={event.until}i" if event.until is not None else ""
        fields += f',identity="{event.identity.translate(_TEXT)}"' if event.identity else ""
        fields += f",retracts={event.retracts}i" if event.retracts is not None else ""
        yield f"event{tags} {fields} {event.time}"
