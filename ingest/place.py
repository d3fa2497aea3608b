"""Where a device stands, told by its address alone: the levels of a unified namespace, or a Sparkplug topic."""

from dataclasses import dataclass
from typing import NamedTuple

from ..twin.graph import Graph
from ..twin.model import Level, Node, Origin
from ..twin.unified_namespace import LEVELS
from .address_book import AddressBook, slug

_RANK = {level: rank for rank, level in enumerate(Level)}


class Step(NamedTuple):
    """A node on the way to a device."""

    level: Level
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """A path to a device, outermost first, the device last. address: what its readings bear as their device.

    The address is the steps' names joined by `/`. name: what the topic says was measured; None: the payload says it.
    """

    address: str
    steps: tuple[Step, ...]
    name: str | None = None

    def find(self, book: AddressBook) -> Node | None:
        """The node that stands here; levels that the graph lacks are no hindrance."""
        return self._walk(book)[-1]

    def innermost(self, book: AddressBook) -> tuple[Node | None, int]:
        """The innermost node of the path that is there, and how many steps lead to it."""
        found = self._walk(book)
        count = next((count for count in range(len(found), 0, -1) if found[count - 1] is not None), 0)
        return (found[count - 1] if count else None), count

    def below(self, device: str) -> "Place":
        """The place of a device in this one."""
        return Place(f"{self.address}/{device}", (*self.steps, Step(Level.COMPONENT, device)), self.name)

    def address_of(self, count: int) -> str:
        """The address of the node that so many steps lead to."""
        return "/".join(step.name for step in self.steps[:count])

    def _walk(self, book: AddressBook) -> list[Node | None]:
        found: list[Node | None] = []
        for count in range(1, len(self.steps) + 1):
            found.append(self._step(book, count, found[-1] if found else None))
        return found

    def _step(self, book: AddressBook, count: int, parent: Node | None) -> Node | None:
        """The node of a step: by its address, by the id that it would have, or what an engineer calls so there."""
        step, above = self.steps[count - 1], self.steps[: count - 1]
        graph = book.graph
        within = f"{parent.id}." if parent is not None and step.level is Level.COMPONENT else ""
        key = graph.key_by_id.get(within + slug(step.name))
        likely = [*book.at(self.address_of(count)), *([graph.node_map[key]] if key is not None else [])]
        for node in likely:
            if node.level is step.level and _stands(graph, node, above):
                return node
        fitting = [
            node
            for node in book.called(step.name)
            if node.origin is Origin.DEFINED and node.level is step.level and _stands(graph, node, above)
        ]
        return fitting[0] if len(fitting) == 1 else None


def _stands(graph: Graph, node: Node, above: tuple[Step, ...]) -> bool:
    """Whether the node's ancestors are those of the path, as far as they are of a level that the path names."""
    named = {step.level: step.name for step in above if step.level is not Level.COMPONENT}
    components = [step.name for step in above if step.level is Level.COMPONENT]
    for ancestor in graph.ancestors(node.key):
        if ancestor.level is Level.COMPONENT:
            if not components or not answers(ancestor, components.pop()):
                return False
        elif ancestor.level in named and not answers(ancestor, named[ancestor.level]):
            return False
    return not components


def answers(node: Node, name: str) -> bool:
    """Whether a node goes by this name."""
    return name in (node.id, node.short_id, node.name) or slug(name) == node.short_id


def uns_place(topic: str, levels: tuple[str, ...]) -> Place | None:
    """The place that a topic of a unified namespace tells; None if it is too short to tell one.

    levels: words of `LEVELS`, the last being `signal`. A longer topic has further cells; a shorter one ends early.
    """
    parts = [part for part in topic.split("/") if part]
    if len(parts) < 2:
        return None
    *way, name = parts
    words = (*levels[:-1], *("cell" for _ in range(len(way) - len(levels) + 1)))
    steps = tuple(Step(LEVELS[word], part) for word, part in zip(words, way, strict=False))
    return Place("/".join(way), steps, name)


def sparkplug_place(address: str) -> Place:
    """The place of GROUP/NODE or GROUP/NODE/DEVICE: an area, the edge node in it, the device in that."""
    group, *components = address.split("/")
    return Place(address, (Step(Level.AREA, group), *(Step(Level.COMPONENT, name) for name in components)))
