"""The small plant of the facades, with one line: where `conveyor` is no ambiguous name."""

from pathlib import Path

from facade_fixtures import plant

from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.twin import Twin


def one_line(directory: Path) -> Twin:
    """A new twin of conveyor, robot and packer."""
    twin = plant(directory)
    twin.change(_drop, "test")
    return twin


def _drop(edit: GraphEdit) -> None:
    for id in ("line_2.conveyor.speed", "line_2.conveyor", "line_2"):
        edit.remove_node(edit.graph.find(id).key)
