"""A checkpoint: all that a start needs, as of one entry of the journal, so that only what came after is read again."""

import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from .changes import AddNode, AddSignal, Operation, PutRelationship
from .collector import collector_paused
from .counts import SourceCounts
from .errors import DamagedFileError
from .graph import Graph
from .graph_edit import apply_operations
from .model import Event, Node, Relationship, Signal
from .scenario import Scenario
from .segment import sync_directory
from .state import StateColumns

KEPT = 2


class StructureImage(msgspec.Struct, frozen=True):
    """A graph as lists."""

    revision: int
    next_key: int
    next_index: int
    nodes: list[Node]
    relationships: list[Relationship]
    signals: list[Signal]
    definition: dict[str, Any]

    @classmethod
    def of(cls, graph: Graph) -> "StructureImage":
        """The lists of a graph."""
        return cls(
            graph.revision,
            graph.next_key,
            graph.next_index,
            list(graph.nodes()),
            list(graph.relationships()),
            list(graph.signals()),
            graph.definition,
        )

    def graph(self) -> Graph:
        """The graph of these lists."""
        operations: list[Operation] = [AddNode(node) for node in self.nodes]
        operations += [AddSignal(signal) for signal in self.signals]
        operations += [PutRelationship(relationship) for relationship in self.relationships]
        return replace(
            apply_operations(Graph(), operations),
            revision=self.revision,
            next_key=self.next_key,
            next_index=self.next_index,
            definition=self.definition,
        )


class StateImage(msgspec.Struct, frozen=True):
    """The columns of the live state as bytes."""

    value: bytes
    time: bytes
    quality: bytes
    seq: bytes

    @classmethod
    def of(cls, columns: StateColumns) -> "StateImage":
        """The bytes of the columns."""
        return cls(columns.value.tobytes(), columns.time.tobytes(), columns.quality.tobytes(), columns.seq.tobytes())

    def columns(self) -> StateColumns:
        """The columns of these bytes; copies, since a view of bytes cannot be written."""
        return StateColumns(
            np.frombuffer(self.value, np.float64).copy(),
            np.frombuffer(self.time, np.int64).copy(),
            np.frombuffer(self.quality, np.uint8).copy(),
            np.frombuffer(self.seq, np.int64).copy(),
        )


class Checkpoint(msgspec.Struct, frozen=True):
    """Everything as of the journal's entry `seq`. `structure` is an encoded StructureImage, since it seldom changes."""

    seq: int
    recorded: int
    structure: msgspec.Raw
    state: StateImage
    labels: dict[int, list[str]]
    open_events: list[Event]
    positions: dict[str, int]
    readings: int
    last_event: int
    last_dead_letter: int
    counts: dict[str, SourceCounts] = {}
    labels_since: dict[int, list[int]] = {}
    scenarios: list[Scenario] = []

    def encode(self) -> bytes:
        """As bytes, for a file or for the first entry of a segment."""
        return msgspec.msgpack.encode(self)

    def graph(self) -> Graph:
        """The structure."""
        with collector_paused():
            return msgspec.msgpack.decode(self.structure, type=StructureImage).graph()


def decode(data: bytes) -> Checkpoint:
    """The inverse of `encode`; raises DamagedFileError."""
    try:
        return msgspec.msgpack.decode(data, type=Checkpoint)
    except msgspec.DecodeError as error:
        raise DamagedFileError(f"a checkpoint cannot be read: {error}") from error


class CheckpointFiles:
    """The newest checkpoints of a data directory; the last two are kept, should one be damaged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes it so that a crash leaves the old ones or all of them; raises OSError."""
        self.directory.mkdir(exist_ok=True)
        body = checkpoint.encode()
        path = self.directory / f"{checkpoint.seq:020d}.checkpoint"
        draft = path.with_suffix(".new")
        try:
            with draft.open("wb") as file:
                file.write(zlib.crc32(body).to_bytes(4, "little"))
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            draft.unlink(missing_ok=True)  # on a full disk every byte is wanted back
            raise
        draft.rename(path)
        sync_directory(self.directory)
        for old in self._paths()[KEPT:]:
            old.unlink()

    def load(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest one that can be read, and what is wrong with those that cannot."""
        wrong: list[str] = []
        for path in self._paths():
            try:
                return _read(path), wrong
            except (OSError, DamagedFileError) as error:
                wrong.append(f"{path}: {error}")
        return None, wrong

    def _paths(self) -> list[Path]:
        return sorted(self.directory.glob("*.checkpoint"), reverse=True)


def _read(path: Path) -> Checkpoint:
    data = path.read_bytes()
    if len(data) < 4 or int.from_bytes(data[:4], "little") != zlib.crc32(memoryview(data)[4:]):
        raise DamagedFileError("the checkpoint fails its checksum")
    return decode(data[4:])
