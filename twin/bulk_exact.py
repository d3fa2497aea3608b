"""Bulk import into an empty twin: the journal is written again, entry by entry, under the times of its first writing.

So everything is as it was, corrections and what was known when among it. What a killed import has written is a
beginning of the journal, and the next one goes on behind its last entry.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, zip_longest
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from .batch import ReadingBatch
from .bulk_files import FileInfo, Manifest, Progress, check_files, whole_file
from .bulk_readings import in_order_of_recording
from .bulk_rows import (
    EventRow,
    LabelRow,
    NodeRow,
    RelationshipRow,
    RevisionRow,
    SignalRow,
    event_of,
    moment,
    node_row,
    relationship_row,
    signal_row,
)
from .changes import StructureChange
from .collector import collector_paused
from .entry import EntryKind, NewLabel
from .errors import ConflictError, DamagedFileError
from .journal import RecordedPart
from .segment import sync_directory
from .twin import Twin

CHUNK_ENTRIES = 2_000
CHUNK_ROWS = 200_000
R = TypeVar("R", bound=msgspec.Struct)


def can_be_exact(twin: Twin, manifest: Manifest) -> bool:
    """Whether nothing is in the way: the twin is empty, or holds the beginning of this very export."""
    return twin.transfer.empty or _is_begun(twin, manifest)


def import_exact(
    twin: Twin, directory: Path, manifest: Manifest, readers: Sequence[str], progress: Progress
) -> dict[str, int]:
    """Takes over an export; blocks. How many rows of each kind there are.

    Everybody else's writes are refused meanwhile, restarts included, until it is done. `readers` are those readers of
    the journal whose conclusions are in the export. Raises ConflictError, DamagedFileError, StorageError.
    """
    if not can_be_exact(twin, manifest):
        raise ConflictError("only an empty twin can take over an export exactly")
    check_files(manifest.files, directory, progress)
    _begin(twin, manifest)
    transfer = twin.transfer
    done, total = 0, sum(_size(file) for file in manifest.files)
    with collector_paused():
        for chunk in _chunks(_Parts(directory, manifest, transfer.recorded).merged()):
            transfer.take_over(chunk)
            done += sum(len(value) if kind is EntryKind.READINGS else 1 for _, kind, value in chunk)
            progress("importing", min(done, total), total)
        transfer.conclude(readers)
        _verify(twin, directory, manifest)
    _end(twin)
    return manifest.counts()


def _is_begun(twin: Twin, manifest: Manifest) -> bool:
    marker = twin.transfer.marker
    return marker.exists() and manifest.id in marker.read_text()


def _begin(twin: Twin, manifest: Manifest) -> None:
    why = f"the import of the export {manifest.id} is not finished; run `iotsense bulk import` with it again"
    with whole_file(twin.transfer.marker) as path:
        path.write_text(why)
    twin.transfer.reserve(why)


def _end(twin: Twin) -> None:
    twin.transfer.marker.unlink()
    sync_directory(twin.directory)
    twin.transfer.reserve(None)


def _size(file: FileInfo) -> int:
    return file.rows if file.name.startswith(("readings/", "events", "revisions")) else 0


def _chunks(parts: Iterable[RecordedPart]) -> Iterator[list[RecordedPart]]:
    """Transactions: what has one `recorded` stays together, so that the last one tells how far an import came."""
    chunk: list[RecordedPart] = []
    rows = 0
    for part in parts:
        if (rows >= CHUNK_ROWS or len(chunk) >= CHUNK_ENTRIES) and part[0] != chunk[-1][0]:
            yield chunk
            chunk, rows = [], 0
        chunk.append(part)
        rows += len(part[2]) if part[1] is EntryKind.READINGS else 1
    if chunk:
        yield chunk


class _Parts:
    """The entries of an export that were recorded behind an instant [ns]."""

    def __init__(self, directory: Path, manifest: Manifest, after: int) -> None:
        self._directory = directory
        self._manifest = manifest
        self._after = after

    def merged(self) -> Iterator[RecordedPart]:
        streams = (self._structure(), self._labels(), self._events(), self._readings())
        return heapq.merge(*streams, key=lambda part: part[0])

    def _structure(self) -> Iterator[RecordedPart]:
        for row in _rows(self._directory / "revisions.jsonl", RevisionRow):
            if (recorded := moment(row.recorded)) > self._after:
                change = StructureChange(row.revision, row.author, row.operations, row.undo)
                yield (recorded, EntryKind.STRUCTURE, change)

    def _labels(self) -> Iterator[RecordedPart]:
        first = next(_rows(self._directory / "revisions.jsonl", RevisionRow), None)
        begin = 0 if first is None else moment(first.recorded)
        # Those that have been known for ever were so when the first revision came.
        labels = [
            (max(moment(row.recorded), begin), NewLabel(row.signal, row.code, row.text))
            for row in _rows(self._directory / "labels.jsonl", LabelRow)
        ]
        labels.sort(key=lambda label: label[0])
        for recorded, together in groupby(labels, key=lambda label: label[0]):
            if recorded > self._after:
                yield (recorded, EntryKind.LABELS, [label for _, label in together])

    def _events(self) -> Iterator[RecordedPart]:
        events = (event_of(row) for row in _rows(self._directory / "events.jsonl", EventRow))
        for recorded, together in groupby(events, key=lambda event: event.recorded):
            if recorded > self._after:
                yield (recorded, EntryKind.EVENTS, list(together))

    def _readings(self) -> Iterator[RecordedPart]:
        paths = [self._directory / file.name for file in self._manifest.files if file.name.startswith("readings/")]
        for rows in in_order_of_recording(paths, self._after, self._directory / ".spill"):
            starts = np.flatnonzero(np.append(True, rows.recorded[1:] != rows.recorded[:-1]))
            ends = [*starts[1:].tolist(), len(rows.recorded)]
            for start, end, recorded in zip(starts.tolist(), ends, rows.recorded[starts].tolist(), strict=True):
                of = slice(start, end)
                batch = ReadingBatch(rows.signal[of], rows.time[of], rows.value[of], rows.quality[of])
                yield (recorded, EntryKind.READINGS, batch)


def _rows(path: Path, kind: type[R]) -> Iterator[R]:
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise DamagedFileError(f"{path}, line {number}: {error}") from error


def _verify(twin: Twin, directory: Path, manifest: Manifest) -> None:
    """What is there now is compared with the export's own lists; raises DamagedFileError."""
    graph = twin.graph
    ids = {node.key: node.id for node in graph.node_map.values()}
    ids_of: dict[int | None, str | None] = {None: None, **dict(ids.items())}
    nodes = (node_row(node, ids_of[node.parent]) for node in graph.nodes())
    signals = (signal_row(signal, ids[signal.node]) for signal in graph.signals())
    arrows = (relationship_row(arrow, ids[arrow.source], ids[arrow.target]) for arrow in graph.relationships())
    same = {
        "nodes": _equal(nodes, _rows(directory / "nodes.jsonl", NodeRow)),
        "signals": _equal(signals, _rows(directory / "signals.jsonl", SignalRow)),
        "relationships": _equal(arrows, _rows(directory / "relationships.jsonl", RelationshipRow)),
        # Counted as they came: what the definitions keep for a shorter time may be gone by now.
        "readings": twin.counts()["readings"] == manifest.counts().get("readings", 0),
        "events": twin.last_event_seq == manifest.last_event,
    }
    if wrong := [name for name, equal in same.items() if not equal]:
        raise DamagedFileError(f"{directory}: after the import other {', '.join(wrong)} are there than were exported")


def _equal(ones: Iterable[object], others: Iterable[object]) -> bool:
    return all(one == other for one, other in zip_longest(ones, others))
