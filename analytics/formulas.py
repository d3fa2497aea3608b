"""The formulas of computed signals, as they are and as they were: each instant is computed by those of its time."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable

from ..twin.changes import AddSignal, StructureChange, UpdateSignal
from ..twin.computed import Formula, compile_formula, definitions, in_order
from ..twin.errors import IoTSenseError
from ..twin.graph import Graph
from ..twin.state import NEVER

GraphOf = Callable[[int], Graph]
CACHED = 64


class Formulas:
    """All formulas of the newest revision, in an order in which each stands behind those that it needs.

    Structure that was there before the plant's first reading counts as if it had been there for ever; and a signal that
    is computed only since some revision is computed by that one's formula for all times before.
    """

    def __init__(self, graph_of: GraphOf) -> None:
        """`graph_of(revision)` is an older graph."""
        self._graph_of = graph_of
        self._since: list[int] = []
        self._revisions: list[int] = []
        self._graph = Graph()
        self._cache: OrderedDict[int, dict[int, Formula]] = OrderedDict()
        self.current: dict[int, Formula] = {}
        self.in_order: list[Formula] = []
        self.order: dict[int, int] = {}
        self.by_input: dict[int, list[int]] = {}
        self.problems: dict[str, str] = {}

    def follow(self, graph: Graph, change: StructureChange, recorded: int, spoken: bool) -> set[int]:
        """A new revision, recorded then [ns]; `spoken` says whether any reading was recorded before.

        The signals whose formula is another now.
        """
        if not _matters(change) and self._revisions:
            self._graph = graph
            return set()
        if not spoken:
            self._since, self._revisions = [], []
        self._since.append(recorded if self._since or spoken else NEVER)
        self._revisions.append(change.revision)
        before = self.current
        self._become(graph)
        return {
            signal for signal in before.keys() | self.current.keys() if before.get(signal) != self.current.get(signal)
        }

    def recall(
        self, changes: Iterable[tuple[int, StructureChange]], graph: Graph, spoken: Callable[[int], bool]
    ) -> None:
        """Begins with `graph`, whose revisions these are; `spoken(time)`: was a reading recorded by then [ns]?"""
        found = [(recorded, change.revision) for recorded, change in changes if _matters(change)]
        low, high = 0, len(found)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if spoken(found[middle][0]) else (middle + 1, high)
        kept = found[max(0, low - 1) :] or [(NEVER, graph.revision)]
        self._since = [NEVER, *(recorded for recorded, _ in kept[1:])]
        self._revisions = [revision for _, revision in kept]
        self._become(graph)

    @property
    def since(self) -> int:
        """From when on the current formulas are those of the time."""
        return self._since[-1] if self._since else NEVER

    def at(self, signal: int, time: int) -> tuple[Formula | None, int]:
        """The formula of a signal for an instant, and until when [ns] it is that one."""
        place = max(0, bisect_right(self._since, time) - 1)
        for later in range(place, len(self._revisions)):
            formula = self._of_revision(later).get(signal)
            if formula is not None:
                end = self._since[later + 1] if later + 1 < len(self._since) else (1 << 63) - 1
                return formula, end
        return None, (1 << 63) - 1

    def _of_revision(self, place: int) -> dict[int, Formula]:
        if place == len(self._revisions) - 1:
            return self.current
        revision = self._revisions[place]
        if revision not in self._cache:
            self._cache[revision] = _compiled(self._graph_of(revision), {})
        self._cache.move_to_end(revision)
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return self._cache[revision]

    def _become(self, graph: Graph) -> None:
        self._graph = graph
        self.problems = {}
        self.current = _compiled(graph, self.problems)
        self.in_order = list(self.current.values())
        self.order = {formula.signal: place for place, formula in enumerate(self.in_order)}
        self.by_input = {}
        for formula in self.in_order:
            for signal in formula.signals:
                self.by_input.setdefault(signal, []).append(formula.signal)


def _matters(change: StructureChange) -> bool:
    """Whether a change may make other formulas: signals that engines add are no input of anything yet."""
    return any(not isinstance(operation, AddSignal | UpdateSignal) for operation in change.operations) or any(
        isinstance(operation, UpdateSignal) or operation.signal.name != "health"
        for operation in change.operations
        if isinstance(operation, AddSignal | UpdateSignal)
    )


def _compiled(graph: Graph, problems: dict[str, str]) -> dict[int, Formula]:
    formulas: list[Formula] = []
    for definition in definitions(graph):
        try:
            formulas.append(compile_formula(graph, definition))
        except IoTSenseError as error:
            problems[f"{definition.node.id}.{definition.name}"] = str(error)
    ordered = {formula.signal: formula for formula in in_order(formulas)}
    for formula in formulas:
        if formula.signal not in ordered:
            problems[graph.signal_id(graph.signal(formula.signal))] = "it is computed from itself"
    return ordered
