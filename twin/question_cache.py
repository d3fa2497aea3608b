"""Views made of a graph for an algorithm: made when first asked for, kept for the graphs that were asked about last."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from .graph import Graph

KEPT_GRAPHS = 4
KEPT_VIEWS = 64

T = TypeVar("T")


class Views:
    """A few graphs, each with the views that were made of it. A graph never changes, so its views stay right."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[Graph, dict[Hashable, Any]]] = []

    def of(self, graph: Graph, name: Hashable, make: Callable[[], T]) -> T:
        """The view of that name; two who ask at once may make it twice, which does no harm."""
        views = self._views(graph)
        view: T | None = views.get(name)
        if view is None:
            view = make()
            if len(views) >= KEPT_VIEWS:
                views.clear()
            views[name] = view
        return view

    def _views(self, graph: Graph) -> dict[Hashable, Any]:
        with self._lock:
            # By identity: forks of one revision share its number.
            for place, (known, views) in enumerate(self._kept):
                if known is graph:
                    self._kept.append(self._kept.pop(place))
                    return views
            views = {}
            self._kept = [*self._kept[1 - KEPT_GRAPHS :], (graph, views)]
            return views


VIEWS = Views()
