"""Filters of nodes: `where` as it is written in a question, and the condition that is made of it."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

import strawberry

from ..twin.chosen_signals import at_and_below
from ..twin.errors import InvalidValueError
from ..twin.model import Level, Node, Origin, Quality
from ..twin.question_rollup import shown_under
from .comparison import Comparison
from .scalars import Setting
from .view import View
from .words import HealthStatus, QualityWord

MOST_CONDITIONS = 100

Test = Callable[[Node], bool]

_EQ = "Equal to this, of the same kind: 1 is not true, and not the text 1."
_IN = "Equal to one of these."


def _maybe(description: str, name: str | None = None) -> Any:
    """A field that need not be given."""
    return strawberry.field(default=None, description=description, name=name)


@strawberry.input(description="A property of a node. All that is said must hold.")
class PropertyWhere:
    name: str = strawberry.field(description="Dots lead into what is nested: `parameters.reach`.")
    eq: Setting | None = _maybe(_EQ)
    in_: list[Setting] | None = _maybe(_IN, name="in")
    gt: float | None = _maybe("Above this number.")
    gte: float | None = _maybe("At or above this number.")
    lt: float | None = _maybe("Below this number.")
    lte: float | None = _maybe("At or below this number.")
    exists: bool | None = _maybe("Whether it is there, whatever it is.")


@strawberry.input(
    description=(
        "What a node shows under a name: a signal of its own, or its sensor's. All that is said must hold, of one "
        "signal where several have the name. A reading of bad quality has no value unless `quality` asks for bad ones."
    )
)
class SignalWhere:
    name: str
    eq: Setting | None = _maybe(_EQ)
    in_: list[Setting] | None = _maybe(_IN, name="in")
    gt: float | None = _maybe("Above this number.")
    gte: float | None = _maybe("At or above this number.")
    lt: float | None = _maybe("Below this number.")
    lte: float | None = _maybe("At or below this number.")
    quality: list[QualityWord] | None = _maybe("Of one of these qualities.")
    stale: bool | None = _maybe("Whether it is silent for longer than expected.")
    exists: bool | None = _maybe("Whether the node has it, with a reading or not.")


@strawberry.input(description="Which nodes are meant. All that is said must hold.")
class NodeWhere:
    level: list[Level] | None = None
    type: list[str] | None = None
    origin: list[Origin] | None = None
    health: list[HealthStatus] | None = None
    stale: bool | None = _maybe("Whether everything there that should speak regularly is silent.")
    id_prefix: str | None = _maybe("How the id begins.")
    under: strawberry.ID | None = _maybe("This node and everything below it.")
    search: str | None = _maybe("Words in id, name or type.")
    properties: list[PropertyWhere] | None = None
    signal: list[SignalWhere] | None = None
    and_: list["NodeWhere"] | None = _maybe("All of these.", name="and")
    or_: list["NodeWhere"] | None = _maybe("At least one of these.", name="or")
    not_: list["NodeWhere"] | None = _maybe("None of these.", name="not")


def condition(view: View, where: NodeWhere, roots: MutableMapping[str, int] | None = None) -> Test:
    """What `where` says as a test of nodes; raises InvalidValueError for what is empty or contradicts itself.

    `roots` keeps which nodes (keys) `under` meant, for whoever asks the same of a later view: they may have other ids
    then, or be gone.
    """
    return _Conditions(view, {} if roots is None else roots).of(where, "where")


def is_living(where: NodeWhere) -> bool:
    """Whether it asks for what changes without a revision of the structure: health, staleness, signals."""
    own = (where.health, where.stale, where.signal)
    return any(each is not None for each in own) or any(is_living(each) for each in _inner(where))


def _inner(where: NodeWhere) -> Iterator[NodeWhere]:
    for each in (where.and_, where.or_, where.not_):
        yield from each or ()


class _Conditions:
    """Makes tests; counts them, since each is run for every node."""

    def __init__(self, view: View, roots: MutableMapping[str, int]) -> None:
        self._view = view
        self._roots = roots
        self._left = MOST_CONDITIONS

    def of(self, where: NodeWhere, place: str) -> Test:
        # What is cheap to look at comes first.
        tests = [
            *self._records(where, place),
            *self._living(where, place),
            *(self._property(each, at) for each, at in _each(where.properties, place, "properties")),
            *(self._signal(each, at) for each, at in _each(where.signal, place, "signal")),
            *self._nested(where, place),
        ]
        self._left -= len(tests)
        if self._left < 0:
            raise InvalidValueError(f"where has more than {MOST_CONDITIONS} conditions", "where")
        if not tests:
            raise InvalidValueError(f"{place} is empty: leave it out, or say which nodes", place)
        return tests[0] if len(tests) == 1 else lambda node: all(test(node) for test in tests)

    def _records(self, where: NodeWhere, place: str) -> list[Test]:
        tests: list[Test] = []
        for name in ("level", "type", "origin"):
            if (given := getattr(where, name)) is not None:
                tests.append(_one_of(name, set(_filled(given, f"{place}.{name}"))))
        if where.id_prefix is not None:
            prefix = str(_filled(where.id_prefix, f"{place}.idPrefix"))
            tests.append(lambda node: node.id.startswith(prefix))
        if where.under is not None:
            below = at_and_below(self._view.graph, [self._root(where.under)])
            tests.append(lambda node: node.key in below)
        if where.search is not None:
            words = str(_filled(where.search.strip(), f"{place}.search")).lower().split()
            tests.append(lambda node: mentions(node, words))
        return tests

    def _root(self, id: str) -> int:
        if id not in self._roots:
            self._roots[id] = self._view.find(id).key
        return self._roots[id]

    def _living(self, where: NodeWhere, place: str) -> list[Test]:
        view, tests = self._view, list[Test]()
        if where.health is not None:
            wanted = set(_filled(where.health, f"{place}.health"))
            tests.append(lambda node: view.health(node)[1] in wanted)
        if (stale := where.stale) is not None:
            tests.append(lambda node: view.is_stale(node.key) is stale)
        return tests

    def _nested(self, where: NodeWhere, place: str) -> list[Test]:
        tests: list[Test] = []
        if where.and_ is not None:
            tests += self._all(where.and_, f"{place}.and")
        if where.or_ is not None:
            any_of = self._all(where.or_, f"{place}.or")
            tests.append(lambda node: any(test(node) for test in any_of))
        if where.not_ is not None:
            none_of = self._all(where.not_, f"{place}.not")
            tests.append(lambda node: not any(test(node) for test in none_of))
        return tests

    def _all(self, wheres: Sequence[NodeWhere], place: str) -> list[Test]:
        return [self.of(each, f"{place}[{i}]") for i, each in enumerate(_filled(wheres, place))]

    def _property(self, where: PropertyWhere, place: str) -> Test:
        comparison, path = Comparison(where, place), where.name.split(".")
        if comparison.exists is None and not comparison.compares:
            raise InvalidValueError(f"{place} says nothing of {where.name!r}: give eq, in, gt or exists", place)

        def test(node: Node) -> bool:
            value = _inside(node.properties, path)
            if comparison.exists is not None and (value is not None) is not comparison.exists:
                return False
            return comparison.holds(value)

        return test

    def _signal(self, where: SignalWhere, place: str) -> Test:
        view, comparison, name, stale = self._view, Comparison(where, place), where.name, where.stale
        quality = None if where.quality is None else set(_filled(where.quality, f"{place}.quality"))
        reads = comparison.compares or quality is not None
        if comparison.exists is None and stale is None and not reads:
            raise InvalidValueError(f"{place} says nothing of {name!r}: give eq, gt, quality or exists", place)
        if comparison.exists is False:
            if reads or stale is not None:
                raise InvalidValueError(f"{place}: what is not there has no quality and is not stale", place)
            return lambda node: not shown_under(view.graph, node, name)

        def fits(signal: Any) -> bool:
            if stale is not None and view.plant.is_stale(signal.index) is not stale:
                return False
            if not reads:
                return True
            reading = view.reading(signal)
            if reading is None:
                return False
            if quality is None:
                right = reading.quality >= Quality.UNCERTAIN
            else:
                right = QualityWord.of(reading.quality) in quality
            return right and comparison.holds(view.shown(signal, reading.value))

        return lambda node: any(fits(signal) for signal in shown_under(view.graph, node, name))


def mentions(node: Node, words: Sequence[str]) -> bool:
    """Whether all words (in small letters) are in its id, name or type."""
    text = f"{node.id} {node.name} {node.type or ''}".lower()
    return all(word in text for word in words)


def _one_of(name: str, wanted: set[Any]) -> Test:
    return lambda node: getattr(node, name) in wanted


def _each(given: Sequence[Any] | None, place: str, name: str) -> list[tuple[Any, str]]:
    if given is None:
        return []
    several = len(_filled(given, f"{place}.{name}")) > 1
    return [(each, f"{place}.{name}[{i}]" if several else f"{place}.{name}") for i, each in enumerate(given)]


def _filled(given: Any, place: str) -> Any:
    if not given:
        raise InvalidValueError(f"{place} is empty: leave it out, or say what it is to be", place)
    return given


def _inside(properties: object, path: Sequence[str]) -> object:
    """What stands at a path; None if nothing does. A name that holds dots itself comes first."""
    if isinstance(properties, dict) and ".".join(path) in properties:
        return properties[".".join(path)]
    for name in path:
        if not isinstance(properties, dict) or name not in properties:
            return None
        properties = properties[name]
    return properties
