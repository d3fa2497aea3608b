"""Verbs that move a whole twin: bulk export and import."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from .cli_options import json_option, print_json, target_options

if TYPE_CHECKING:
    from .connection import Target
    from .twin.bulk_report import BadRow

DIRECTORY = click.Path(path_type=Path, file_okay=False)
Tell = Callable[[str, int, int], None]


@click.group()
def bulk() -> None:
    """A whole twin, out and in: JSON Lines and Parquet."""


@bulk.command("export")
@click.argument("directory", type=DIRECTORY)
@target_options
@json_option
def bulk_export(target: "Target", directory: Path, as_json: bool) -> None:
    """Write everything as of now into DIRECTORY; one that was killed goes on there."""
    import msgspec

    from .client_bulk import export_to
    from .connection import sync_http
    from .twin.bulk_export import bulk_export as export
    from .twin.twin import Twin

    with progress_bar() as tell, sync_http(target) as http:
        if http is not None:
            manifest = export_to(http, directory, tell)
        else:
            with Twin.open(target.data) as twin:
                manifest = export(twin, directory, tell)
    if as_json:
        print_json(msgspec.to_builtins(manifest))
    else:
        _tell_counts("exported", manifest.counts())


@bulk.command("import")
@click.argument("paths", metavar="DIRECTORY|FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--by-id", is_flag=True, help="Merge by the ids of nodes, even where the twin is empty.")
@click.option("--strict", is_flag=True, help="Stop at the first bad row.")
@click.option(
    "--errors",
    type=click.Path(path_type=Path, dir_okay=False),
    default="bulk-errors.jsonl",
    show_default=True,
    help="Where bad rows go.",
)
@target_options
@json_option
def bulk_import(
    target: "Target", paths: Sequence[Path], by_id: bool, strict: bool, errors: Path, as_json: bool
) -> None:
    """Take in an export, or files of rows (.jsonl, .parquet)."""
    import msgspec

    from .client_bulk import import_from
    from .connection import sync_http
    from .rest.bulk_jobs import READERS
    from .twin.audit_trail import record_here
    from .twin.bulk_import import bulk_import as take_in
    from .twin.twin import Twin

    target = replace(target, missing="create")
    with progress_bar() as tell, _error_file(errors) as bad, sync_http(target) as http:
        if http is not None:
            report = import_from(http, paths, by_id=by_id, strict=strict, tell=bad, progress=tell)
        else:
            with Twin.open(target.data) as twin:
                revision = twin.graph.revision
                report = take_in(twin, paths, by_id=by_id, strict=strict, readers=READERS, tell=bad, progress=tell)
                record_here(target.data, "bulk import", after=report.rows, revisions=(revision, twin.graph.revision))
    if as_json:
        print_json(msgspec.to_builtins(report))
        return
    _tell_counts("taken over exactly" if report.mode == "exact" else "merged by ids", report.rows)
    if report.skipped:
        click.echo(f"{report.skipped} pieces had been stored before")
    for row in report.problems:
        click.echo(f"{row.file}, line {row.line}: {row.reason}", err=True)
    if report.bad_rows:
        click.echo(f"{report.bad_rows} rows could not be used; see {errors}", err=True)


def _tell_counts(what: str, counts: dict[str, int]) -> None:
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    click.echo(f"{what}: {told or 'nothing'}")


@contextlib.contextmanager
def progress_bar() -> Iterator[Tell]:
    """How far it is, where a person looks on."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=done, total=total)

        yield tell


@contextlib.contextmanager
def _error_file(path: Path) -> "Iterator[Callable[[BadRow], None]]":
    """Bad rows as lines of JSON; without one there is no file."""
    import msgspec

    with contextlib.ExitStack() as stack:
        opened: list[BinaryIO] = []

        def tell(row: "BadRow") -> None:
            if not opened:
                opened.append(stack.enter_context(path.open("wb")))
            opened[0].write(msgspec.json.encode(row) + b"\n")

        yield tell
