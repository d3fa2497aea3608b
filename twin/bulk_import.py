"""Bulk import: an export into an empty twin, or rows that are merged by the ids of nodes."""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from .bulk_exact import can_be_exact, import_exact
from .bulk_files import MANIFEST, Manifest, Progress, load_manifest, quiet
from .bulk_readings import row_count
from .bulk_report import BulkReport, Misfits, Tell
from .bulk_rows import EventRow, LabelRow, ReadingRow
from .bulk_series import Series
from .bulk_source import PARQUET, Placed, find_files, placed_rows
from .bulk_structure import Structure
from .bulk_values import Values
from .collector import collector_paused
from .twin import Twin


def is_exact(twin: Twin, paths: Sequence[Path]) -> Manifest | None:
    """The manifest of the export that would be taken over exactly; None if rows would be merged by ids."""
    if len(paths) != 1 or not (paths[0] / MANIFEST).is_file():
        return None
    manifest = load_manifest(paths[0])
    return manifest if can_be_exact(twin, manifest) else None


def bulk_import(
    twin: Twin,
    paths: Sequence[Path],
    *,
    by_id: bool = False,
    strict: bool = False,
    readers: Sequence[str] = (),
    tell: Tell | None = None,
    progress: Progress = quiet,
) -> BulkReport:
    """Imports an export or files of rows; blocks. All of it is durable when it returns.

    An empty twin becomes the exported one exactly, unless `by_id`. Otherwise rows are merged: a node, signal or
    relationship that is there becomes what its row says. Bad rows are told to `tell`, the others go on; `strict` stops
    at the first. The same import again goes on where a killed one stopped. `readers`: see `import_exact`.
    Raises NotFoundError, InvalidValueError, ConflictError, DamagedFileError, StorageError.
    """
    began = time.monotonic()
    report = BulkReport("by_id", rows={}, problems=[])
    manifest = None if by_id else is_exact(twin, paths)
    if manifest is not None:
        report.mode = "exact"
        report.rows = import_exact(twin, paths[0], manifest, readers, progress)
    else:
        _ById(twin, find_files(paths), report, Misfits(report, tell, strict), progress).run()
    report.revision = twin.graph.revision
    report.seconds = round(time.monotonic() - began, 3)
    return report


class _ById:
    def __init__(
        self, twin: Twin, files: Sequence[Path], report: BulkReport, misfits: Misfits, progress: Progress
    ) -> None:
        self._twin = twin
        self._files = files
        self._report = report
        self._misfits = misfits
        self._progress = progress
        self._scratch = twin.directory / "spill"
        self._total = sum(row_count(path, self._scratch) for path in files if path.suffix == PARQUET)
        self._done = 0

    def run(self) -> None:
        """Structure first, all of it: what stands in one file may need what stands in another."""
        with collector_paused():
            rows, series = self._read()
            structure = Structure(self._twin, self._misfits)
            structure.take(rows, self._tell)
        self._report.rows |= structure.counts
        labels = (placed.row for placed in rows.get(LabelRow, ()))
        texts = {(row.signal, row.code): row.text for row in labels if isinstance(row, LabelRow)}
        store = Series(self._twin, Values(self._twin, structure.signals, texts), self._misfits, self._report)
        for path in series:
            store.events(path, placed_rows(path, None), self._tell)
            store.reading_rows(path, placed_rows(path, None), self._tell)
        for path in self._files:
            if path.suffix == PARQUET:
                store.parquet(path, self._scratch, self._tell)

    def _read(self) -> tuple[dict[type, list[Placed]], list[Path]]:
        """The rows that are no series, by kind, and the files of JSON Lines that hold events or readings."""
        rows: dict[type, list[Placed]] = defaultdict(list)
        series: dict[Path, None] = {}
        for path in self._files:
            for placed in placed_rows(path, self._misfits) if path.suffix != PARQUET else ():
                self._total += 1
                kind = type(placed.row)
                if kind in (EventRow, ReadingRow):
                    series[path] = None
                else:
                    rows[kind].append(placed)
        return rows, list(series)

    def _tell(self, rows: int) -> None:
        self._done += rows
        self._progress("importing", min(self._done, self._total), self._total)
