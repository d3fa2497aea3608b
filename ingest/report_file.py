"""Reports of events out of a CSV file: a row is an event, and a bad one stops none of the others."""

import csv
import hashlib
import io
from collections.abc import Iterator

import msgspec

from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.report_words import Report
from ..twin.reports import Reports

FIELDS = {"kind": "kind", "node": "node", "from": "time", "to": "until", "reason": "reason", "by": "by"}
NEEDED = ("kind", "node")
DELIMITERS = ",;\t|"
_MOST_PROBLEMS = 100


class ReportProblem(msgspec.Struct, frozen=True):
    """A row that could not be used."""

    line: int
    reason: str


class ReportLoad(msgspec.Struct):
    """What became of a file: its data rows, how many are events now, how many could not be used (the first 100)."""

    file: str
    rows: int = 0
    events: int = 0
    bad_rows: int = 0
    problems: list[ReportProblem] = []


def load_reports(reports: Reports, text: bytes, name: str) -> ReportLoad:
    """Reports each row of a CSV file; blocks. Raises InvalidValueError if it is no such file; StorageError.

    A row's column `key` names its event; without one the row's own content does, so that the same file twice makes
    the same events once.
    """
    load = ReportLoad(name, problems=[])
    for line, row in _rows(text, name):
        load.rows += 1
        try:
            if None in row:
                raise InvalidValueError("there are more cells than columns")
            reports.report(_report(row), row.get("key") or _key(row))
            load.events += 1
        except IoTSenseError as error:
            load.bad_rows += 1
            if len(load.problems) < _MOST_PROBLEMS:
                load.problems.append(ReportProblem(line, str(error)))
    return load


def _rows(text: bytes, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{name} is not in UTF-8: {error}", "file") from None
    header = decoded.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(decoded, newline=""), delimiter=max(DELIMITERS, key=header.count))
    reader.fieldnames = [column.strip() for column in reader.fieldnames or ()]
    if missing := [column for column in NEEDED if column not in reader.fieldnames]:
        raise InvalidValueError(
            f"{name} has no column {', '.join(missing)}; it has {', '.join(reader.fieldnames)}", "file"
        )
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InvalidValueError(f"{name}, line {reader.line_num}: {error}", "file") from None


def _report(row: dict[str, str]) -> Report:
    cells = {column: cell.strip() for column, cell in row.items() if cell is not None and cell.strip()}
    fields = {field: cells[column] for column, field in FIELDS.items() if column in cells}
    data = {column: cell for column, cell in cells.items() if column not in (*FIELDS, "key")}
    for name in NEEDED:
        if name not in fields:
            raise InvalidValueError(f"there is no {name}", name)
    return Report(**fields, data=data)  # type: ignore[arg-type]


def _key(row: dict[str, str]) -> str:
    return hashlib.blake2b(repr(sorted(row.items())).encode(), digest_size=12).hexdigest()
