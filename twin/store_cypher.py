"""Cypher for Neo4j: every statement takes columns or rows, and does the same if it is sent twice."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .model import CONTAINS, HAS_SENSOR, Level
from .store_changes import Ends, Relabelling, RowChanges
from .store_rows import OPEN_ANOMALIES, state_names
from .store_state import Place, StateRows
from .store_words import HEALTH_LABELS, LEVEL_LABELS, quoted, relationship_type

ROWS = 1_000
"""Rows in a statement: packing so many holds up the event loop for some 10 ms at most."""


_HOLDING = (relationship_type(CONTAINS), relationship_type(HAS_SENSOR))


class Statement(NamedTuple):
    """A text, its parameters, and how many rows they are."""

    text: str
    parameters: dict[str, Any]
    rows: int


def constraints() -> Iterator[str]:
    """What must be there before the first node: keys are unique within each level, and found at once."""
    for level in Level:
        label = LEVEL_LABELS[level]
        yield f"CREATE CONSTRAINT iotsense_{level}_key IF NOT EXISTS FOR (n:{label}) REQUIRE n.key IS UNIQUE"


def indexes() -> Iterator[str]:
    """What people find nodes by; made after the first load, which is faster without."""
    for level in Level:
        for name in ("id", "name"):
            yield f"CREATE INDEX iotsense_{level}_{name} IF NOT EXISTS FOR (n:{LEVEL_LABELS[level]}) ON (n.{name})"


def structure(changes: RowChanges, create: bool = False) -> Iterator[Statement]:
    """What takes the database to the next revision, in this order.

    create: the database is known to be empty, so nothing is looked for. Only such statements must not come twice.
    """
    for ends, cut in changes.cut.items():
        yield from _each(f"{_match(ends)} MATCH (a)-[x:{quoted(ends.type)}]->(b) DELETE x", sorted(cut))
    for label, keys in changes.removed.items():
        yield from _each(f"UNWIND $rows AS key MATCH (n:{label} {{key: key}}) DETACH DELETE n", sorted(keys))
    for how, changed in changes.changed.items():
        yield from _each(_change(how), _by_key(changed))
    for (level, type), added in changes.added.items():
        yield from _each(_create(level, type) if create else _add(level, type), _by_key(added))
    for ends, drawn in changes.drawn.items():
        rows = sorted(drawn, key=lambda row: row[:2])
        described = changes.strict or any(properties for _, _, properties in rows)
        text = f"{_match(ends)} {'CREATE' if create else 'MERGE'} (a)-[x:{quoted(ends.type)}]->(b)"
        yield from _each(f"{text} SET x = row[2]" if described or ends.type not in _HOLDING else text, rows)


def _each(text: str, rows: list[Any]) -> Iterator[Statement]:
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        yield Statement(text, {"rows": part}, len(part))


def _by_key(rows: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    # Always in one order, so that two transactions cannot wait for each other.
    return sorted(rows, key=lambda row: row[0])


def _match(ends: Ends) -> str:
    return f"UNWIND $rows AS row MATCH (a:{ends.source} {{key: row[0]}}) MATCH (b:{ends.target} {{key: row[1]}})"


def _change(how: Relabelling) -> str:
    labels = "".join(f":{quoted(label)}" for label in how.added)
    gone = "".join(f":{quoted(label)}" for label in how.removed)
    relabel = (f" REMOVE n{gone}" if gone else "") + (f" SET n{labels}" if labels else "")
    return f"UNWIND $rows AS row MATCH (n:{how.found_by} {{key: row[0]}}) SET n += row[1]{relabel}"


def _create(level: str, type: str | None) -> str:
    label = "" if type is None else f":{quoted(type)}"
    return f"UNWIND $rows AS row CREATE (n:{level}{label}) SET n = row[1]"


def _add(level: str, type: str | None) -> str:
    # What stood there under that key has nothing to say any more: the properties are replaced, state included.
    label = "" if type is None else f" SET n:{quoted(type)}"
    return f"UNWIND $rows AS row MERGE (n:{level} {{key: row[0]}}) SET n = row[1]{label}"


# State


def state(place: Place, rows: StateRows) -> Iterator[Statement]:
    """Latest values with quality and time; columns, which the driver packs twenty times as fast as maps with dates."""
    value, quality, time = (quoted(name) for name in state_names(place.name))
    text = (
        f"UNWIND range(0, size($key) - 1) AS i MATCH (n:{place.label} {{key: $key[i]}}) "
        f"SET n.{value} = $value[i], n.{quality} = $quality[i], "
        f"n.{time} = datetime({{epochSeconds: $seconds[i], nanosecond: $nanoseconds[i]}})"
    )
    for part in rows.slices(ROWS):
        parameters = {name: getattr(part, name) for name in ("key", "value", "quality", "seconds", "nanoseconds")}
        yield Statement(text, parameters, len(part))


def health(label: str, status: str, keys: list[int]) -> Iterator[Statement]:
    """The label of a health: Healthy, Warning or Critical, instead of the one before."""
    now = status.capitalize()
    others = "".join(f":{other}" for other in HEALTH_LABELS if other != now)
    text = f"UNWIND $rows AS key MATCH (n:{label} {{key: key}}) SET n:{now} REMOVE n{others}"
    yield from _each(text, sorted(keys))


def open_anomalies(label: str, counts: Iterable[tuple[int, int]]) -> Iterator[Statement]:
    """How many anomalies are open, by key."""
    text = f"UNWIND $rows AS row MATCH (n:{label} {{key: row[0]}}) SET n.{OPEN_ANOMALIES} = row[1]"
    yield from _each(text, sorted(counts))


# Reading


def page_of_nodes(label: str) -> str:
    """Nodes of a level with a key from $from on, the lowest $limit of them; without the properties $skip.

    Everything comes in one list: a record each would take ten times as long to read.
    """
    shown = "[k IN keys(n) WHERE NOT k IN $skip]"
    return (
        f"MATCH (n:{label}) WHERE n.key >= $from WITH n ORDER BY n.key LIMIT $limit "
        f"RETURN collect([n.key, labels(n), {shown}, [k IN {shown} | n[k]]]) AS rows"
    )


def page_of_relationships(label: str) -> str:
    """What starts at the nodes of a level with keys from $from up to $to, and ends at a node of the plant."""
    return (
        f"MATCH (a:{label})-[x]->(b) WHERE a.key >= $from AND a.key < $to AND b.key IS NOT NULL AND ({_LEVELS}) "
        "RETURN collect([a.key, type(x), b.key, properties(x)]) AS rows"
    )


_LEVELS = " OR ".join(f"b:{label}" for label in LEVEL_LABELS.values())


def strangers(label: str) -> str:
    """Nodes with the label of a level that have no key of ours: somebody made them by hand."""
    return (
        f"MATCH (n:{label}) WHERE NOT coalesce(n.key >= 0, false) "
        "OPTIONAL MATCH (p)-[x:CONTAINS|HAS_SENSOR]->(n) WHERE p.key IS NOT NULL "
        "RETURN collect([elementId(n), labels(n), properties(n), p.key]) AS rows"
    )


def counts_of_anomalies(label: str) -> str:
    """Key and count of the nodes of a level with open anomalies."""
    return f"MATCH (n:{label}) WHERE n.{OPEN_ANOMALIES} > 0 RETURN collect([n.key, n.{OPEN_ANOMALIES}]) AS rows"
