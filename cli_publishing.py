"""`iotsense publishing`: the endpoints that are published to."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import coloured, connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.command()
@target_options
@json_option
def publishing(target: "Target", as_json: bool) -> None:
    """Endpoints that are published to: their state, what they were told, and what waits for them."""
    found = _publishing(target)["endpoints"]
    if as_json:
        print_json(found)
        return
    rows = [
        [e["name"], e["protocol"], e["address"], coloured(e["state"]), e["since"], e["published"],
         ", ".join(f"{count} {what}" for what, count in e["behind"].items() if count), e["error"] or e["refusal"]]
        for e in found
    ]  # fmt: skip
    table(["endpoint", "type", "address", "state", "since", "published", "waiting", "error"], rows)


@connected
async def _publishing(connection: "Connection") -> Any:
    return await connection.get("/publishing")
