"""Verbs that keep a data directory safe: backup and restore."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .cli_bulk import progress_bar
from .cli_options import data_option, target_options

if TYPE_CHECKING:
    from .connection import Target


@click.command()
@click.argument("path", metavar="DIRECTORY|FILE.tar", type=click.Path(path_type=Path))
@target_options
def backup(target: "Target", path: Path) -> None:
    """Copy the data directory as of one moment, while the service runs."""
    from .client_bulk import backup_to
    from .connection import sync_http
    from .twin.backup import backup as copy
    from .twin.backup_tar import made_directory
    from .twin.times import format_time
    from .twin.twin import Twin

    with progress_bar() as tell, sync_http(target) as http, made_directory(path) as directory:
        if http is not None:
            made = backup_to(http, directory, tell)
        else:
            with Twin.open(target.data) as twin:
                made = copy(twin, directory, progress=tell)
    size = sum(file.bytes for file in made.files)
    click.echo(f"{path}: as of {format_time(made.taken)}, revision {made.revision}, entry {made.seq}, {size:,} bytes")


@click.command()
@click.argument("path", metavar="BACKUP", type=click.Path(path_type=Path, exists=True))
@data_option
def restore(path: Path, data: Path) -> None:
    """Make a new data directory of a BACKUP; nothing is overwritten."""
    from .twin.audit_trail import record_here
    from .twin.backup import restore as bring_back
    from .twin.backup_tar import found_directory
    from .twin.times import format_time

    with progress_bar() as tell, found_directory(path) as directory:
        found = bring_back(directory, data, tell)
        record_here(data, "restore", target=f"backup {found.id}", detail=f"as of {format_time(found.taken)}")
    click.echo(f"{data}: as of {format_time(found.taken)}, revision {found.revision}, entry {found.seq}")
