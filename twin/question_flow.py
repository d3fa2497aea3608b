"""How material flows: the stations that `feeds_into` joins, numbered, in columns that are fast to run through."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .durations import parse_duration
from .errors import InvalidValueError
from .graph import Graph
from .model import FEEDS_INTO, Relationship
from .question_gauge import Gauges
from .question_kinds import TRANSFER_TIME
from .question_loops import closing_pairs

MATERIAL = "material"
UNCOUNTED = -1


@dataclass(frozen=True, slots=True)
class Flow:
    """Stations by number (`keys`, and `number` back), and arrows by number: `source`, `target`, `delay` [s] or None.

    An arrow belongs to a group of its target (`supply`) and of its source (`outlet`): those that carry one `material`;
    one of each group is enough to go on. UNCOUNTED are arrows that bring back what came from their target before
    (rework, pallets): they cannot keep it supplied, and, seen from the end of the line, are no way out. `feeders` and
    `consumers` are the others among `inputs` and `outputs`.
    """

    keys: list[int]
    number: dict[int, int]
    source: list[int]
    target: list[int]
    delay: list[float | None]
    material: list[str | None]
    inputs: list[list[int]]
    outputs: list[list[int]]
    supply: list[int]
    outlet: list[int]
    supply_size: list[int]
    outlet_size: list[int]
    feeders: list[list[int]]
    consumers: list[list[int]]
    gauges: Gauges


def flow_around(graph: Graph, keys: Iterable[int]) -> Flow:
    """The flow of all stations that are joined with these, up or down."""
    stations, arrows = _joined(graph, keys)
    number = {key: n for n, key in enumerate(stations)}
    source = [number[arrow.source] for arrow in arrows]
    target = [number[arrow.target] for arrow in arrows]
    material = [_material(arrow) for arrow in arrows]
    inputs: list[list[int]] = [[] for _ in stations]
    outputs: list[list[int]] = [[] for _ in stations]
    for n, (a, b) in enumerate(zip(source, target, strict=True)):
        outputs[a].append(n)
        inputs[b].append(n)
    returned = closing_pairs([[target[n] for n in each] for each in outputs])
    given_back = {(a, b) for b, a in closing_pairs([[source[n] for n in each] for each in inputs])}
    pairs = list(zip(source, target, strict=True))
    supply, supply_size = _groups(inputs, material, [pair in returned for pair in pairs])
    outlet, outlet_size = _groups(outputs, material, [pair in given_back for pair in pairs])
    return Flow(
        stations,
        number,
        source,
        target,
        [_seconds(arrow.properties.get(TRANSFER_TIME)) for arrow in arrows],
        material,
        inputs,
        outputs,
        supply,
        outlet,
        supply_size,
        outlet_size,
        [[n for n in each if supply[n] != UNCOUNTED] for each in inputs],
        [[n for n in each if outlet[n] != UNCOUNTED] for each in outputs],
        Gauges.of(graph, stations),
    )


def _joined(graph: Graph, keys: Iterable[int]) -> tuple[list[int], list[Relationship]]:
    """Stations by key, and the arrows between them by the keys of their ends."""
    found: list[Relationship] = []
    waiting = list(keys)
    seen = set(waiting)
    while waiting:
        key = waiting.pop()
        out = [arrow for (type, _), arrow in graph.arrows_out.get(key, {}).items() if type == FEEDS_INTO]
        found += out
        ends = [arrow.target for arrow in out]
        ends += [other for type, other in graph.arrows_in.get(key, ()) if type == FEEDS_INTO]
        for other in ends:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return sorted(seen), sorted(found, key=lambda arrow: (arrow.source, arrow.target))


def _groups(arrows_of: list[list[int]], material: list[str | None], ignored: list[bool]) -> tuple[list[int], list[int]]:
    """The group of each arrow, and how many arrows each group has."""
    group = [UNCOUNTED] * len(material)
    sizes: list[int] = []
    for arrows in arrows_of:
        if len(arrows) == 1:
            group[arrows[0]] = len(sizes)
            sizes.append(1)
            continue
        by_material: dict[str | None, list[int]] = {}
        for arrow in arrows:
            by_material.setdefault(material[arrow], []).append(arrow)
        for members in by_material.values():
            # What circulates without ever having come from elsewhere has nothing but its loop.
            counted = [arrow for arrow in members if not ignored[arrow]] or members
            for arrow in counted:
                group[arrow] = len(sizes)
            sizes.append(len(counted))
    return group, sizes


def _material(arrow: Relationship) -> str | None:
    material = arrow.properties.get(MATERIAL)
    return None if material is None else str(material)


def _seconds(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if value >= 0 else None
    try:
        return None if value is None else parse_duration(value)
    except InvalidValueError:
        return None
