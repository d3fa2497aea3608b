"""Which definitions govern a graph: a short text that is another one as soon as anything in them is.

The graph's revision would not do: it moves with every device that is discovered, and definitions do not.
"""

import hashlib

import msgspec

from .export_definition import exported
from .graph import Graph

_encoder = msgspec.json.Encoder(order="deterministic")
_latest: tuple[Graph, str] | None = None


def definition_tag(graph: Graph) -> str:
    """The same for graphs of which `export` writes the same. Takes a while for a large plant, unless it is the last."""
    global _latest
    known = _latest
    if known is None or known[0] is not graph:
        digest = hashlib.blake2b(_encoder.encode(exported(graph)), digest_size=12)
        known = _latest = graph, digest.hexdigest()
    return known[1]
