"""Reports from a CSV file: an event a row. Bad rows are told with their line and stop nobody."""

import csv
import re
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from itertools import chain
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from .errors import InvalidValueError, IoTSenseError, StorageError
from .report import Amendment, Asset, Report, digest
from .times import parse_time

if TYPE_CHECKING:
    from .twin import Twin

MOST_ERRORS = 1000
_DELIMITERS = ",;\t|"
_NAMES = {"from": "time", "begin": "time", "to": "until", "end": "until", "serial": "serial_number"}
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?([eE][+-]?\d{1,2})?")
_FIELDS = ("kind", "node", "time", "until", "reason", "id", "serial_number", "maker", "model")


class RowError(msgspec.Struct):
    """A row that could not be used; lines are counted from 1, the heading."""

    line: int
    reason: str


class FileReport(msgspec.Struct):
    """What became of the rows; the first 1000 errors are listed."""

    rows: int = 0
    reported: int = 0
    amended: int = 0
    unchanged: int = 0
    bad_rows: int = 0
    errors: list[RowError] = []


def load_reports(twin: "Twin", lines: Iterable[str], timezone: str = "UTC") -> FileReport:
    """Takes in a file: `kind`, `node`, `from`, and what else there is; every other column is a value. Blocks.

    A row is the same event if its `id`, or else its kind, node and begin, is: so a file may be loaded again, and what
    has changed in it amends. Raises InvalidValueError if there is no such column, StorageError.
    """
    zone = _zone(timezone)
    rows = iter(lines)
    heading = next(rows, "")
    reader = csv.DictReader(chain([heading], rows), strict=True, delimiter=max(_DELIMITERS, key=heading.count))
    report = FileReport(errors=[])
    try:
        columns = _columns(reader.fieldnames)
        for row in reader:
            report.rows += 1
            try:
                _take(twin, report, _cells(row, columns), zone)
            except StorageError:
                raise
            except IoTSenseError as error:
                _refuse(report, reader.line_num, str(error))
    except csv.Error as error:
        _refuse(report, reader.line_num, f"not CSV from here on: {error}")
    return report


def _zone(timezone: str) -> tzinfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidValueError(f"there is no time zone {timezone!r}", "timezone") from None


def _columns(names: Iterable[str] | None) -> dict[str, str]:
    """By heading the name that it has here."""
    columns = {}
    for heading in names or ():
        plain = heading.strip().lstrip("\ufeff")
        lower = plain.lower()
        columns[heading] = _NAMES.get(lower, lower if lower in _FIELDS else plain)
    if missing := [name for name in ("kind", "node", "time") if name not in columns.values()]:
        asked = ["from" if name == "time" else name for name in missing]
        raise InvalidValueError(f"the file has no column {', '.join(asked)}; its first line names the columns")
    return columns


def _cells(row: Mapping[str | Any, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """The cells that are not blank, by name."""
    if None in row:
        raise InvalidValueError("the row has more cells than the heading")
    found = {columns[heading]: cell.strip() for heading, cell in row.items() if cell is not None}
    return {name: cell for name, cell in found.items() if cell}


def _take(twin: "Twin", report: FileReport, cells: dict[str, str], zone: tzinfo) -> None:
    if missing := [name for name in ("kind", "node", "time") if name not in cells]:
        raise InvalidValueError(f"{', '.join(missing)} is blank", missing[0])
    told = _report(cells, zone)
    assert told.time is not None
    node = twin.graph.find(told.node)
    identity = told.id or f"f{digest(f'{told.kind} {node.key} {told.time}')}"
    if not twin.reports.known(identity):
        twin.reports.report(msgspec.structs.replace(told, id=identity))
        report.reported += 1
        return
    before = twin.reports.find(identity)
    if before.kind != told.kind:
        raise InvalidValueError(f"{identity} is a {before.kind}, not a {told.kind}", "kind")
    change = Amendment(told.node, told.time, until=told.until, reason=told.reason, values=told.values)
    if told.until is None:
        change = msgspec.structs.replace(change, until=msgspec.UNSET)
    after = twin.reports.amend(identity, change)
    report.amended += after.seq != before.seq
    report.unchanged += after.seq == before.seq


def _report(cells: dict[str, str], zone: tzinfo) -> Report:
    values = {name: _value(cell) for name, cell in cells.items() if name not in _FIELDS}
    serial = cells.get("serial_number")
    return Report(
        kind=cells["kind"],
        node=cells["node"],
        time=parse_time(cells["time"], zone),
        until=parse_time(cells["until"], zone) if "until" in cells else None,
        reason=cells.get("reason"),
        values=values,
        id=cells.get("id"),
        asset=None if serial is None else Asset(serial, cells.get("maker"), cells.get("model")),
    )


def _value(cell: str) -> float | int | bool | str:
    """A number, true or false where the cell is written like one; else its text, such as 0042."""
    if cell in ("true", "false"):
        return cell == "true"
    if not _NUMBER.fullmatch(cell):
        return cell
    number = float(cell)
    return int(cell) if number.is_integer() and cell.lstrip("-").isdecimal() else number


def _refuse(report: FileReport, line: int, reason: str) -> None:
    report.bad_rows += 1
    if len(report.errors) < MOST_ERRORS:
        report.errors.append(RowError(line, reason))
