"""What became of the rows of a bulk import."""

from collections.abc import Callable

import msgspec

from .errors import InvalidValueError

SHOWN = 20


class BadRow(msgspec.Struct, frozen=True):
    """A row that could not be used: its file, its line (row of a Parquet file), why, and its text."""

    file: str
    line: int
    reason: str
    text: str = ""


Tell = Callable[[BadRow], None]


class BulkReport(msgspec.Struct):
    """mode: `exact` (an empty twin became the exported one) or `by_id` (rows were merged by the ids of nodes).

    rows: taken in, by kind. skipped: pieces that an earlier import had stored. bad_rows: `problems` are the first of
    them. revision: of the graph since. seconds: how long it took.
    """

    mode: str
    rows: dict[str, int] = {}
    skipped: int = 0
    bad_rows: int = 0
    problems: list[BadRow] = []
    revision: int = 0
    seconds: float = 0.0


class Misfits:
    """Tells of bad rows, counts them, and stops at the first where nothing may be wrong."""

    def __init__(self, report: BulkReport, tell: Tell | None, strict: bool) -> None:
        self._report = report
        self._tell = tell
        self._strict = strict

    def add(self, row: BadRow) -> None:
        """One more; raises InvalidValueError if strict."""
        if self._strict:
            raise InvalidValueError(f"{row.file}, line {row.line}: {row.reason}", "row")
        self._report.bad_rows += 1
        if len(self._report.problems) < SHOWN:
            self._report.problems.append(row)
        if self._tell is not None:
            self._tell(row)
