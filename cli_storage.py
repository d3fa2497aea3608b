"""The verb that tells what storage takes."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.command()
@target_options
@json_option
def storage(target: "Target", as_json: bool) -> None:
    """What storage takes, by tier, and what the configured retention will need at the present rate."""
    found = _storage(target)
    if as_json:
        print_json(found)
        return
    rows = [
        [
            kept["name"],
            kept["rows"],
            _size(kept["bytes"]),
            f"{kept['bytes_per_row']:.1f}{' ?' if kept['guessed'] else ''}",
            kept["oldest"],
            kept["newest"],
            _days(kept["retention_s"]),
            _size(kept["needed_bytes"]),
        ]
        for kept in found["history"]
    ]
    rows += [[name, None, _size(size), None, None, None, None, None] for name, size in found["others"].items()]
    table(["", "rows", "size", "bytes a row", "oldest", "newest", "kept", "will need"], rows)
    click.echo(f"{found['readings_per_day']:,.0f} readings a day; {_size(found['bytes'])} now")
    if found["needed_bytes"] is None:
        click.echo(f"what is kept for ever adds {_size(found['per_day'])} a day")
    else:
        click.echo(f"{_size(found['needed_bytes'])} when all retention is full")


@connected
async def _storage(connection: "Connection") -> Any:
    return await connection.get("/storage")


def _size(size: float | None) -> str | None:
    if size is None:
        return None
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _days(seconds: float | None) -> str:
    from .twin.durations import format_duration

    return "for ever" if seconds is None else format_duration(seconds) if seconds > 0 else "-"
