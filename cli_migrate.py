"""Verbs that fill external stores, and take their tables back by a version."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, data_option, json_option, print_json, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.command()
@click.option(
    "--to", required=True, metavar="STORE[+STORE]", help="Which: neo4j, postgresql, influxdb, or several with +."
)
@target_options
@json_option
def migrate(target: "Target", to: str, as_json: bool) -> None:
    """Fill external stores from the running plant, and compare them with it.

    Name them in `iotsense.storage` and `iotsense.graph` first, and apply. One that was killed goes on when it is
    started again.
    """
    reports = [_migrate(target, name.strip()) for name in to.split("+")]
    if as_json:
        print_json(reports)
        return
    for report in reports:
        click.echo(_told(report))


@click.command()
@data_option
def downgrade(data: Path) -> None:
    """Take the tables of the history's external store back by one version, for an older program.

    Stop the service first; a running one would bring them up to date again.
    """
    from .twin.audit_trail import record_here
    from .twin.store_config import history_store, storage_of
    from .twin.twin import Twin

    with Twin.open(data) as twin:
        storage = storage_of(twin.graph.definition)
    store = history_store(storage)
    version = asyncio.run(store.downgrade())
    record_here(data, "downgrade", target=store.name, after={"version": version})
    click.echo(f"{store.name} at {store.address} has tables of version {version} now")


@connected
async def _migrate(connection: "Connection", name: str) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    report: Any = None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bars: dict[str, Any] = {}
        async for line in connection.lines(f"/stores/{name}/migrate"):
            report = line.get("report", report)
            if told := line.get("progress"):
                if told["what"] not in bars:
                    bars[told["what"]] = progress.add_task(f"{name}: {told['what']}")
                progress.update(bars[told["what"]], completed=told["done"], total=max(1, told["total"]))
    return report


def _told(report: dict[str, Any]) -> str:
    if "nodes" in report:
        return f"{report['store']}: {report['nodes']:,} nodes and {report['relationships']:,} relationships, equal"
    return (
        f"{report['store']}: {report['readings']:,} readings in {report['days']:,} days, {report['copied']:,} of them"
        f" copied, {report['events']:,} events; checksum {report['checksum']}, equal"
    )
