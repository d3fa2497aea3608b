"""The unified namespace: one tree of topics for the whole plant, by the levels of ISA-95.

`enterprise/site/area/line/cell/signal`, for example `acme/berlin/filling/line_1/filler_1/motor_temperature`. Levels
that a plant does not define are left out; components within components are further cells.
"""

import re

from .graph import VALUE, Graph
from .model import Level, Node

UNS = "enterprise/site/area/line/cell/signal"
"""The levels of a topic unless a configuration names others."""

LEVELS = {
    "enterprise": Level.ENTERPRISE,
    "site": Level.SITE,
    "area": Level.AREA,
    "line": Level.LINE,
    "cell": Level.COMPONENT,
    "signal": Level.SENSOR,
}
"""The words for the levels of a topic, and what they are in the graph."""

_UNFIT = re.compile(r"[/+#\0]+")


def uns_topic(graph: Graph, key: int, signal: str = VALUE) -> str:
    """The topic of a signal of a node: the node's path, and the signal's name if it is not simply the sensor's value.

    Raises NotFoundError if there is no such node.
    """
    node = graph.node(key)
    path = [_level(each) for each in (*reversed(list(graph.ancestors(key))), node)]
    if node.level is not Level.SENSOR or signal != VALUE:
        path.append(_UNFIT.sub("_", signal))
    return "/".join(path)


def _level(node: Node) -> str:
    return _UNFIT.sub("_", node.short_id)
