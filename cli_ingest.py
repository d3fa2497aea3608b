"""Verbs about input: loading files, and what could not be used."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from .connection import Connection, Target

CHUNK = 1 << 18


@click.group("dead-letters")
def dead_letters() -> None:
    """Input that could not be used: list it, take it in again, or forget it."""


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only those with an id above this.")
@click.option("--all", "everything", is_flag=True, help="Those, too, that were replayed or purged.")
@target_options
@json_option
def list_letters(target: "Target", limit: int, after: int, everything: bool, as_json: bool) -> None:
    """What could not be used, and why."""
    _list(target, {"limit": limit, "after": after, "all": "true" if everything else None}, as_json)


@connected
async def _list(connection: "Connection", parameters: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/dead-letters", **parameters)
    if as_json:
        print_json(found)
        return
    rows = [
        [each["id"], each["time"], each["source"], each["topic"], each["stage"], each["reason"], _payload(each)]
        for each in found["dead_letters"]
    ]
    table(["id", "time", "source", "topic", "stage", "reason", "payload"], rows)
    click.echo(f"{found['pending']} pending")


@dead_letters.command("replay")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@target_options
def replay(target: "Target", ids: Sequence[int], everything: bool) -> None:
    """Take dead letters in again, by their IDS or all."""
    result = _post(target, "replay", _chosen(ids, everything))
    failed = f", {result['failed']} failed again" if result["failed"] else ""
    click.echo(f"{result['replayed']} replayed{failed}")


@dead_letters.command("purge")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@target_options
def purge(target: "Target", ids: Sequence[int], everything: bool) -> None:
    """Forget dead letters, by their IDS or all."""
    click.echo(f"{_post(target, 'purge', _chosen(ids, everything))['purged']} purged")


@connected
async def _post(connection: "Connection", verb: str, chosen: dict[str, Any]) -> Any:
    return await connection.post(f"/dead-letters/{verb}", json=chosen)


def _chosen(ids: Sequence[int], everything: bool) -> dict[str, Any]:
    if bool(ids) == everything:
        raise click.UsageError("say which: their ids, or --all")
    return {"all": True} if everything else {"ids": list(ids)}


def _payload(letter: dict[str, Any]) -> str:
    text = letter["payload"] if letter["encoding"] == "text" else repr(base64.b64decode(letter["payload"]))
    return text if len(text) <= 80 else f"{text[:77]}..."


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="COLUMN=SIGNAL",
    help="Which column is which signal, or a YAML file that says so [default: columns called like a signal].",
)
@click.option("--time", metavar="COLUMN", help="The column of times [default: the one that is called so].")
@click.option("--time-format", "format", help="iso8601, unix_s, unix_ms, unix_us, unix_ns or a strptime format.")
@click.option("--timezone", metavar="ZONE", help="The zone of times that name none [default: the site's].")
@click.option("--delimiter", help="What separates the cells of a CSV file [default: recognised].")
@click.option("--decimal", type=click.Choice([".", ","]), help="The decimal mark of a CSV file [default: a point].")
@click.option("--encoding", help="The encoding of a CSV file [default: utf-8].")
@target_options
@json_option
def load(target: "Target", file: Path, maps: Sequence[str], as_json: bool, **options: str | None) -> None:
    """Load the readings of a CSV or Parquet FILE."""
    from .ingest.file_mapping import file_mapping

    mapping = file_mapping(maps, options)
    report = _load(replace(target, missing="create"), file, mapping.model_dump_json(exclude_none=True))
    if as_json:
        print_json(report)
        return
    span = f" from {report['first']} to {report['last']}" if report["first"] else ""
    click.echo(f"{report['readings']} readings of {len(report['signals'])} signals in {report['rows']} rows{span}")
    if report["ignored"]:
        click.echo(f"columns that are no signal's: {', '.join(report['ignored'])}")
    for wrong in report["problems"]:
        click.echo(f"line {wrong['line']}: {wrong['reason']}", err=True)
    if report["bad_rows"]:
        click.echo(f"{report['bad_rows']} rows could not be used whole; see `iotsense dead-letters list`", err=True)


@connected
async def _load(connection: "Connection", file: Path, mapping: str) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    report: Any = None
    size = await asyncio.to_thread(os.path.getsize, file)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(f"sending {file.name}", total=max(1, size))
        lines = connection.lines(
            "/load",
            params={"name": file.name, "mapping": mapping},
            content=_chunks(file, progress, bar),
            headers={"Content-Type": "application/octet-stream", "Accept": "application/x-ndjson"},
        )
        async for line in lines:
            report = line.get("report")
            if told := line.get("progress"):
                total = max(1, told["size"])
                progress.update(bar, description=f"storing {file.name}", completed=told["done"], total=total)
    return report


async def _chunks(file: Path, progress: "Progress", bar: "TaskID") -> AsyncIterator[bytes]:
    opened = await asyncio.to_thread(file.open, "rb")
    with opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK):
            progress.advance(bar, len(chunk))
            yield chunk
