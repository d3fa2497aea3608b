"""The verbs about the audit log: who changed what, and whether the log is what was written."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target
    from .twin.audit_files import Verdict

_PAGE = 1000
_FILES = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def audit() -> None:
    """The audit log: who changed what, and whether it is what was written."""


@audit.command("list")
@click.option("--since", metavar="TIME|DURATION", help="From then on, ISO 8601, or for so long, such as 2h.")
@click.option("--by", metavar="NAME", help="Only what this one did, such as the name of a key.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@target_options
@json_option
def list_records(target: "Target", since: str | None, by: str | None, limit: int, as_json: bool) -> None:
    """Show the records, the newest first."""
    _list(target, None if since is None else _instant(since), by, limit, as_json)


@audit.command("export")
@target_options
def export(target: "Target") -> None:
    """Print the whole log as it is kept: a record a line, the oldest first."""
    _export(target)


@audit.command("verify")
@click.argument("files", metavar="[FILE...]", nargs=-1, type=_FILES)
@click.option("--anchor", metavar="HASH", help="A record must have this hash, which was written down elsewhere.")
@target_options
@json_option
def verify(target: "Target", files: Sequence[Path], anchor: str | None, as_json: bool) -> int:
    """Tell whether the log is what was written, or the first record that is not.

    It reads the data directory itself, also while a service runs on it; or the FILEs of a log, the oldest first.
    Exits with 5 if the log is not what was written.
    """
    import msgspec

    from . import exit_codes
    from .twin.audit_files import verify as verified

    with _log(target, files) as chosen:
        found = verified(chosen, anchor)
        if found.torn:  # a running service may be writing it just now
            time.sleep(0.2)
            found = verified(chosen, anchor)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        _tell(found)
    return exit_codes.OK if found.broken is None else exit_codes.STORAGE


@contextlib.contextmanager
def _log(target: "Target", files: Sequence[Path]) -> Iterator[Path | Sequence[Path]]:
    """Where the log is: what was named, a copy of that of a service elsewhere, or the data directory's."""
    from .twin.errors import NotFoundError

    if files:
        yield files
    elif target.url:
        with tempfile.NamedTemporaryFile(prefix="iotsense-audit-", suffix=".jsonl") as copy:
            _copy(target, copy)
            copy.flush()
            yield [Path(copy.name)]
    elif target.data.is_dir():
        yield target.data
    else:
        raise NotFoundError(f"there is no data directory {target.data}; say --data DIR, --url URL, or name the files")


def _tell(found: "Verdict") -> None:
    if found.broken is None:
        click.echo(f"{found.records} records, each as it was written; the last has the hash {found.head}")
        if found.anchored is not None:
            click.echo(f"record {found.anchored} has the hash of the anchor")
    else:
        click.echo(f"record {found.broken} is the first that is wrong ({found.where}): {found.why}", err=True)
        click.echo(f"the {found.records} before it are as they were written", err=True)
    if found.torn:
        click.echo(
            f"{found.torn} bytes of one more were not written to its end; the next start cuts them off", err=True
        )


@connected
async def _list(connection: "Connection", since: str | None, by: str | None, limit: int, as_json: bool) -> None:
    records: list[dict[str, Any]] = []
    before: int | None = None
    while len(records) < limit:
        most = min(limit - len(records), _PAGE)
        page = await connection.get("/audit", since=since, by=by, limit=most, before=before)
        records += page["records"]
        before = page["next"]
        if before is None:
            break
    if as_json:
        print_json(records)
        return
    table(["", "time", "by", "from", "what", "target", "outcome"], [_row(each) for each in records])


@connected
async def _export(connection: "Connection") -> None:
    async for piece in connection.raw("/audit/export"):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@connected
async def _copy(connection: "Connection", file: Any) -> None:
    async for piece in connection.raw("/audit/export"):
        file.write(piece)


def _instant(text: str) -> str:
    from .twin.durations import parse_duration
    from .twin.errors import InvalidValueError
    from .twin.times import NS, format_time, now_ns

    try:
        return format_time(now_ns() - round(parse_duration(text) * NS))
    except InvalidValueError:
        return text  # the service says what is wrong with it, if anything is


def _row(record: dict[str, Any]) -> list[Any]:
    what = record["what"].replace("/api/v1/iotsense", "")
    time = record["time"][:19] + "Z"
    return [record["seq"], time, record["by"], record["address"], what, record["target"], _outcome(record)]


def _outcome(record: dict[str, Any]) -> str:
    told = record["outcome"] if record["detail"] is None else f"{record['outcome']}: {record['detail']}"
    return f"{told} (and {record['left_out']} more)" if record["left_out"] else told
