"""Verbs of the external stores."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import coloured, connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.command()
@target_options
@json_option
def stores(target: "Target", as_json: bool) -> None:
    """External stores: their state, since when, and how far they are behind."""
    found = _stores(target)["stores"]
    if as_json:
        print_json(found)
        return
    rows = [
        [s["name"], s["address"], coloured(s["state"]), s["since"], s["lag_entries"], s["drift"], s["error"]]
        for s in found
    ]
    table(["store", "address", "state", "since", "entries behind", "changed by hand", "error"], rows)


@click.command()
@click.argument("store")
@target_options
def repair(target: "Target", store: str) -> None:
    """Undo what somebody changed in a graph database by hand: `iotsense plan --from STORE` shows what that is."""
    click.echo(_repair(target, store)["text"], nl=False)


@connected
async def _stores(connection: "Connection") -> Any:
    return await connection.get("/stores")


@connected
async def _repair(connection: "Connection", store: str) -> Any:
    return await connection.post(f"/stores/{store}/repair")
