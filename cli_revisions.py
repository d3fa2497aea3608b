"""`iotsense log` and `iotsense diff`: the revisions of the structure."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, print_json, show_diff, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.command()
@click.argument("node", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@click.option("--before", type=click.IntRange(1), help="Only revisions before this one.")
@target_options
@json_option
def log(target: "Target", node: str | None, limit: int, before: int | None, as_json: bool) -> None:
    """Who changed the structure (or one NODE) when, the newest first."""
    _log(target, {"node": node, "limit": limit, "before": before}, as_json)


@connected
async def _log(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/revisions", **asked)
    if as_json:
        print_json(found["revisions"])
        return
    rows = [
        [each["revision"], each["recorded"], each["author"], _counts(each["counts"]), _nodes(each["nodes"])]
        for each in found["revisions"]
    ]
    table(["revision", "recorded", "author", "changes", "nodes"], rows)
    if found["next"]:
        click.echo(f"... older ones with --before {found['next']}")


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B", required=False)
@target_options
@json_option
def diff(target: "Target", before: str, after: str | None, as_json: bool) -> None:
    """What differs between two revisions, A and B [default: the newest]; each a number or a time."""
    _diff(target, {"from": before, "to": after}, as_json)


@connected
async def _diff(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/revisions/diff", **asked)
    if as_json:
        print_json(found)
    else:
        show_diff(found["text"])


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())


def _nodes(nodes: list[str]) -> str:
    return ", ".join(nodes[:3]) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
