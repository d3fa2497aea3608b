"""Verbs about input: loading files, and what could not be used."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
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
def load() -> None:
    """Load files."""
