"""Bulk export: the whole twin as of one instant, as files that other systems read and `bulk import` takes back."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from .bulk_files import (
    DRAFT,
    MANIFEST,
    PARTIAL,
    FileInfo,
    Manifest,
    Progress,
    load_manifest,
    quiet,
    save_manifest,
    write_rows,
)
from .bulk_readings import write_day
from .bulk_rows import (
    LabelRow,
    RevisionRow,
    SectionRow,
    event_row,
    node_row,
    relationship_row,
    signal_row,
)
from .errors import ConflictError, StorageError
from .graph import Graph
from .times import format_time
from .transfer import Transfer
from .twin import Twin

DAY_S = 86_400


def bulk_export(twin: Twin, directory: Path, progress: Progress = quiet) -> Manifest:
    """Writes everything as of now into a directory; blocks, and slows nobody. Its manifest.

    What a killed export has written already is kept, and finished as of the instant at which it began. Raises
    ConflictError if the directory holds another export, or anything else; StorageError.
    """
    return _Export(twin, directory, progress).run()


class _Export:
    def __init__(self, twin: Twin, directory: Path, progress: Progress) -> None:
        self._transfer: Transfer = twin.transfer
        self._directory = directory
        self._progress = progress
        moment = self._transfer.moment()
        self._manifest = self._begun() or Manifest(
            secrets.token_hex(8), moment.recorded, moment.graph.revision, moment.last_event
        )
        self._graph: Graph = self._transfer.graph(self._manifest.revision)

    def _begun(self) -> Manifest | None:
        """The export that was killed here; None if there is none."""
        directory = self._directory
        if (directory / MANIFEST).exists():
            raise ConflictError(f"{directory} holds an export already")
        if (directory / PARTIAL).exists():
            return load_manifest(directory, PARTIAL)
        # One that was killed at its very beginning leaves the draft of its first manifest, which counts for nothing.
        if directory.is_dir() and any(path.name != f"{PARTIAL}{DRAFT}" for path in directory.iterdir()):
            raise ConflictError(f"{directory} is not empty")
        return None

    def run(self) -> Manifest:
        self._directory.mkdir(parents=True, exist_ok=True)
        save_manifest(self._manifest, self._directory, PARTIAL)
        jobs = self._jobs()
        for done, (name, write) in enumerate(jobs.items()):
            self._progress(name, done, len(jobs))
            if self._manifest.file(name) is None:
                self._manifest.files.append(write(name))
                save_manifest(self._manifest, self._directory, PARTIAL)
        self._progress("done", len(jobs), len(jobs))
        save_manifest(self._manifest, self._directory)
        (self._directory / PARTIAL).unlink()
        return self._manifest

    def _jobs(self) -> dict[str, Callable[[str], FileInfo]]:
        rows: dict[str, Callable[[], Iterator[msgspec.Struct]]] = {
            "nodes": self._nodes,
            "signals": self._signals,
            "relationships": self._relationships,
            "definitions": self._sections,
            "labels": self._labels,
            "revisions": self._revisions,
            "events": self._events,
        }
        jobs: dict[str, Callable[[str], FileInfo]] = {
            f"{name}.jsonl": lambda file, make=make: write_rows(self._directory, file, make())  # type: ignore[misc]
            for name, make in rows.items()
        }
        for day in self._transfer.days(self._manifest.taken):
            name = f"readings/{format_time(day * DAY_S * 1_000_000_000)[:10]}.parquet"
            jobs[name] = lambda file, day=day: self._write_day(file, day)  # type: ignore[misc]
        return jobs

    def _nodes(self) -> Iterator[msgspec.Struct]:
        for node in self._graph.nodes():
            yield node_row(node, None if node.parent is None else self._graph.node(node.parent).id)

    def _signals(self) -> Iterator[msgspec.Struct]:
        for signal in self._graph.signals():
            yield signal_row(signal, self._graph.node(signal.node).id)

    def _relationships(self) -> Iterator[msgspec.Struct]:
        for arrow in self._graph.relationships():
            yield relationship_row(arrow, self._graph.node(arrow.source).id, self._graph.node(arrow.target).id)

    def _sections(self) -> Iterator[msgspec.Struct]:
        for name, value in self._graph.definition.items():
            yield SectionRow(name, value)

    def _labels(self) -> Iterator[msgspec.Struct]:
        for recorded, label in self._transfer.labels(self._manifest.taken):
            yield LabelRow(label.signal, label.code, label.text, format_time(recorded))

    def _revisions(self) -> Iterator[msgspec.Struct]:
        changes = self._transfer.changes(self._manifest.revision)
        known = [change.revision for _, change in changes]
        if known != list(range(1, self._manifest.revision + 1)):
            raise StorageError("the structure's first revisions are not known any more")
        for recorded, change in changes:
            yield RevisionRow(format_time(recorded), change.revision, change.author, change.operations, change.undo)

    def _events(self) -> Iterator[msgspec.Struct]:
        for event in self._transfer.events(self._manifest.last_event):
            node = None if event.node is None else self._graph.node_map.get(event.node)
            yield event_row(event, None if node is None else node.id)

    def _write_day(self, name: str, day: int) -> FileInfo:
        return write_day(self._directory, name, self._transfer.readings(day, self._manifest.taken))
