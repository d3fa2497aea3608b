"""The verb that tells how the sources are, and what became of everything that came from them."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import coloured, connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target

_MESSAGES = ("received", "acknowledged", "duplicate", "refused", "waiting")
_READINGS = ("read", "stored", "applied", "superseded", "late", "dead_lettered", "unstored", "ahead")


@click.command()
@target_options
@json_option
def sources(target: "Target", as_json: bool) -> None:
    """The sources of readings: their connections, and what became of their messages and readings."""
    _sources(target, as_json)


@connected
async def _sources(connection: "Connection", as_json: bool) -> None:
    found = await connection.get("/sources")
    if as_json:
        print_json(found)
        return
    states = [
        [source["name"], source["protocol"], source["address"], coloured(source["state"]), source["error"]]
        for source in found["sources"]
    ]
    table(["source", "protocol", "address", "state", "error"], states)
    counted = [*found["sources"], *found["others"]]
    _accounts("messages", _MESSAGES, counted)
    _accounts("readings", _READINGS, counted)


def _accounts(title: str, counters: tuple[str, ...], counted: list[dict[str, Any]]) -> None:
    rows = [[each["name"], *(each[name] for name in counters)] for each in counted]
    table(["source", *(name.replace("_", "-") for name in counters)], rows, title=title)
