"""A twin definition made of what a look at a device found, for an engineer to edit.

Plain data as a definition has it, in natural order of names, so that two looks at one device compare line by line.
What was unclear stands as comments: the key COMMENT of a mapping holds their lines.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..twin.define_twins import MAX_JOINTS, MAX_LABELS
from ..twin.define_types import MAX_ID_LENGTH
from ..twin.errors import InvalidValueError, NotFoundError
from ..twin.units import parse_unit
from .found import SEPARATOR, Found, FoundNode, FoundPoint, Look
from .joined_items import JoinedItems

# No name that was found ends in a space: they are cleaned.
COMMENT = "# "
_VARIABLE = "${"
_TEMPLATES = ("schema", "namespace")


@dataclass(frozen=True, slots=True)
class Proposal:
    """document: sections of a definition, with comments. notes: what was left out. components, sensors: how many."""

    document: dict[str, Any]
    notes: list[str]
    components: int
    sensors: int


def propose(found: Found, look: Look, twin: str | None = None) -> Proposal:
    """What was found and is wanted, as a digital twin and its source.

    twin: the twin's id; left out, what the device calls itself. Raises NotFoundError if nothing is left,
    InvalidValueError for an id that is none.
    """
    if twin is not None:
        check_id(twin)
    return _Proposing(found, look).proposal(twin)


@dataclass
class _Proposing:
    found: Found
    look: Look
    components: int = 0
    sensors: int = 0
    not_wanted: int = 0
    variables: int = 0
    sources: set[str] = field(default_factory=set)
    items: JoinedItems = field(default_factory=JoinedItems)

    def proposal(self, twin: str | None) -> Proposal:
        path, nodes = _within(self.found.nodes)
        title = clean(self.found.title or (path[-1] if path else ""))
        name = twin or identifier(title or str(self.found.source["name"]))
        line: dict[str, Any] = {"name": name} | ({"title": title} if title and title != name else {})
        line["components"] = list(self._components(nodes, Ids(), path))
        if not self.sensors:
            left_out = f"; nobody asked for {counted(self.not_wanted, 'point')}" if self.not_wanted else ""
            raise NotFoundError(f"nothing was found that could be read{left_out}")
        source = dict(self.found.source) | self.items.joined()
        document = {"digital_twins": [line], "sensor_ingestion": {"protocols": [source]}}
        notes = [clean(note) for note in self.found.notes]
        if self.not_wanted:
            notes.append(f"{counted(self.not_wanted, 'point')} that nobody asked for")
        if self.variables:
            points = counted(self.variables, "point")
            notes.append(f"{points} whose address holds `{_VARIABLE}`, which a definition takes for a variable")
        return Proposal(document, notes, self.components, self.sensors)

    def _components(self, nodes: Sequence[FoundNode], ids: "Ids", within: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for node in sorted(nodes, key=lambda node: natural(node.name)):
            path = (*within, node.name)
            inner = Ids()
            sensors = list(self._sensors(node.points, inner, path))
            components = list(self._components(node.nodes, inner, path))
            if not sensors and not components:
                continue
            self.components += 1
            yield _component(node, ids) | _given(sensors=sensors, components=components)

    def _sensors(self, points: Sequence[FoundPoint], ids: "Ids", within: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        names: set[str] = set()
        for point in sorted(points, key=lambda point: natural(point.name)):
            if not self.look.wants(SEPARATOR.join((*within, point.name))):
                self.not_wanted += 1
                continue
            if _names_variable([point.source, dict(point.item)]):
                self.variables += 1
                continue
            self.sensors += 1
            self.items.add(point.item)
            sensor = Sensor(point, ids, names).fields()
            if point.source is not None:
                if point.source in self.sources:
                    sensor.setdefault(COMMENT, []).append(f"its source {point.source} is another sensor's already")
                else:
                    sensor["source"] = point.source
                self.sources.add(point.source)
            yield sensor


def _within(nodes: Sequence[FoundNode]) -> tuple[tuple[str, ...], Sequence[FoundNode]]:
    """What stands in folders that hold everything and say nothing themselves, with their path."""
    path: tuple[str, ...] = ()
    while len(nodes) == 1 and not nodes[0].points and nodes[0].nodes:
        path, nodes = (*path, nodes[0].name), nodes[0].nodes
    return path, nodes


def _component(node: FoundNode, ids: "Ids") -> dict[str, Any]:
    name = clean(node.name)
    id = ids.free(name)
    parameters = {clean(key): value for key, value in node.parameters.items() if _finite(value) and clean(key)}
    return _given(
        **{COMMENT: [clean(node.note)] if node.note else []},
        id=id,
        name=name if name != id else None,
        type=clean(node.type or ""),
        model=clean(node.model or ""),
        description=clean(node.description or ""),
        parameters=parameters,
    )


class Sensor:
    """A point as a sensor; `unclear` gathers what an engineer has to decide."""

    def __init__(self, point: FoundPoint, ids: "Ids", names: set[str]) -> None:
        self._point = point
        self.unclear = [clean(point.note)] if point.note else []
        name = clean(point.name)
        self._id = ids.free(name)
        # A component's state has one key for each sensor.
        self._name = name if name and name not in names else self._id
        names |= {self._name, self._id}

    def fields(self) -> dict[str, Any]:
        """As in a definition."""
        point = self._point
        unit, labels = self._unit(), self._labels()
        low, high = self._range()
        textual = point.data_type in ("boolean", "text")
        data_type = point.data_type if textual or (point.data_type and not labels and unit is None) else None
        fields = _given(
            id=self._id,
            name=self._name if self._name != self._id else None,
            type=clean(point.type or ""),
            description=clean(point.description or ""),
            unit=unit,
            low=low,
            high=high,
            data_type=data_type,
            labels=labels,
            stepped=True if point.stepped or textual or labels else None,
            joints=self._joints(),
        )
        if point.writable:
            self.unclear.append("the device lets it be written")
        if point.interval is not None and math.isfinite(point.interval):
            self.unclear.append(f"a value about every {point.interval:.1g} s")
        return {COMMENT: self.unclear} | fields if self.unclear else fields

    def _unit(self) -> str | None:
        text = clean(self._point.unit or "")
        if not text:
            return None
        try:
            parse_unit(text)
        except InvalidValueError as error:
            self.unclear.append(f"unit: {error}")
            return None
        return text

    def _range(self) -> tuple[float | None, float | None]:
        low, high = (limit if _finite(limit) else None for limit in (self._point.low, self._point.high))
        if low is not None and high is not None and low >= high:
            # Devices that know no range often say 0 to 0.
            if low != high:
                self.unclear.append(f"range: the device says {low:g} to {high:g}")
            return None, None
        return low, high

    def _labels(self) -> list[str]:
        texts = [clean(label) or str(code) for code, label in enumerate(self._point.labels)]
        if len(texts) > MAX_LABELS:
            self.unclear.append(f"labels: the device names {len(texts)} states, a signal has at most {MAX_LABELS}")
            return []
        unique: list[str] = []
        for code, text in enumerate(texts):
            unique.append(f"{text} ({code})" if text in unique else text)
        return unique

    def _joints(self) -> int | None:
        elements = self._point.elements
        if elements is not None and not 1 <= elements <= MAX_JOINTS:
            self.unclear.append(f"a list of {elements} values; a sensor has 1 to {MAX_JOINTS} of them")
            return None
        return elements


class Ids:
    """Ids below one node: each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        """The name as an id, with a number behind it if another has it."""
        wanted = identifier(name)
        id, number = wanted, 1
        while id in self._taken:
            number += 1
            id = f"{wanted[: MAX_ID_LENGTH - 8]}_{number}"
        self._taken.add(id)
        return id


def identifier(name: str) -> str:
    """A name as one part of an id: letters without accents, digits, `_` and `-`."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:MAX_ID_LENGTH] or "_"


def check_id(id: str) -> None:
    """Raises InvalidValueError for a text that is no part of an id."""
    if id != identifier(id):
        raise InvalidValueError(f"found {id!r}, expected an id such as {identifier(id)}")


def clean(text: str) -> str:
    """On one line, without what cannot be seen, and without variables: what a device says must not fetch any."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain.replace(_VARIABLE, f"${_VARIABLE}")


def _names_variable(value: Any) -> bool:
    """Whether an address would fetch a variable; templates of payloads do, and are ours."""
    if isinstance(value, Mapping):
        return any(_names_variable(inner) for key, inner in value.items() if key not in _TEMPLATES)
    if isinstance(value, list):
        return any(map(_names_variable, value))
    return isinstance(value, str) and _VARIABLE in value


def natural(name: str) -> tuple[Any, ...]:
    """Sorts `pump_2` before `pump_10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return ([(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name)


def _finite(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _given(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value not in ("", [], {})}


def counted(number: int, what: str) -> str:
    """`1 sensor`, `2 sensors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def without_comments(value: Any) -> Any:
    """The definition alone."""
    if isinstance(value, Mapping):
        return {key: without_comments(inner) for key, inner in value.items() if key != COMMENT}
    return [without_comments(inner) for inner in value] if isinstance(value, list) else value


def unclear(document: Any, within: str = "") -> list[dict[str, Any]]:
    """What stands in comments, with the ids of the nodes that it is about."""
    if isinstance(document, list):
        return [each for inner in document for each in unclear(inner, within)]
    if not isinstance(document, Mapping):
        return []
    own = document.get("name") if "components" in document and "id" not in document else document.get("id")
    id = ".".join(part for part in (within, own) if part)
    found = [{"node": id, "comments": list(document[COMMENT])}] if COMMENT in document else []
    return found + [each for key, inner in document.items() if key != COMMENT for each in unclear(inner, id)]
