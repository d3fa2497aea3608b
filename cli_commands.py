"""`iotsense set` and `iotsense commands`: set values, and see what came of it."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, plant_options, print_json, table, target_options
from .exit_codes import ERROR, OK

if TYPE_CHECKING:
    from .connection import Connection, Target

_LOOK_S = 0.1
_OPEN = ("requested", "sent")


@click.command("set")
@click.argument("signal")
@click.argument("value")
@click.option("--unit", help="Unit of VALUE [default: the signal's; `1.5 m/s` says it too].")
@click.option("--reason", metavar="TEXT", help="What for; kept with it.")
@click.option("--actor", metavar="WHO", help="Who asks; kept with it [default: your user here].")
@click.option("--deadline", metavar="DURATION", help="How long it may take [default: the definition's].")
@click.option("--key", metavar="KEY", help="Yours: the same key is the same command, for ever.")
@click.option("--scenario", metavar="NAME", help="In this scenario only; nothing is sent.")
@click.option("--wait", is_flag=True, help="Wait for its end; the exit code says whether it was confirmed.")
@target_options
@json_option
def set_value(
    target: "Target", as_json: bool, signal: str, value: str, key: str | None, scenario: str | None, wait: bool,
    **wanted: str | None,
) -> int:  # fmt: skip
    """Set a SIGNAL to a VALUE: a number, a text or true or false, within what its definition allows."""
    import getpass

    wanted["actor"] = wanted["actor"] or getpass.getuser()
    body = {"value": _value(value)} | {name: each for name, each in wanted.items() if each is not None}
    return int(_set(target, signal, body, key, scenario, wait, as_json))


@connected
async def _set(
    connection: "Connection", signal: str, body: dict[str, Any], key: str | None, scenario: str | None, wait: bool,
    as_json: bool,
) -> int:  # fmt: skip
    headers = {} if key is None else {"Idempotency-Key": key}
    params = {} if scenario is None else {"scenario": scenario}
    made = await connection.request("PUT", f"/signals/{signal}/desired", json=body, headers=headers, params=params)
    while wait and made["state"] in _OPEN:
        await asyncio.sleep(_LOOK_S)
        made = await connection.get(f"/commands/{made['id']}")
    _told(made, as_json)
    return OK if not wait or made["state"] in ("confirmed", "held") else ERROR


@click.group()
def commands() -> None:
    """Commands: who set what, when, and what came of it."""


@commands.command("list")
@click.option("--signal", help="Only to this signal.")
@click.option("--state", help="Only in this state: requested, sent, confirmed, failed, expired, refused ...")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@plant_options
@json_option
def list_commands(target: "Target", as_json: bool, **asked: Any) -> None:
    """Commands, the newest first."""
    _list(target, asked, as_json)


@connected
async def _list(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = (await connection.get("/commands", **asked))["commands"]
    if as_json:
        print_json(found)
        return
    columns = ["id", "signal", "value", "unit", "state", "requested", "actor", "reason", "why"]
    table(columns, [[each[column] for column in columns] for each in found])


@commands.command()
@click.argument("id")
@plant_options
@json_option
def show(target: "Target", as_json: bool, id: str) -> None:
    """Everything that is known of the command ID."""
    _show(target, id, as_json)


@connected
async def _show(connection: "Connection", id: str, as_json: bool) -> None:
    found = await connection.get(f"/commands/{id}")
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if value is not None:
            click.echo(f"{name + ':':<12} {value}")


@commands.command()
@click.argument("id")
@click.option("--reason", metavar="TEXT", help="Why; kept with it.")
@target_options
@json_option
def cancel(target: "Target", as_json: bool, id: str, reason: str | None) -> None:
    """Take the command ID back; that is possible until it is sent."""
    _cancel(target, id, {} if reason is None else {"reason": reason}, as_json)


@connected
async def _cancel(connection: "Connection", id: str, params: dict[str, str], as_json: bool) -> None:
    _told(await connection.request("DELETE", f"/commands/{id}", params=params), as_json)


def _told(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    unit = f" {made['unit']}" if made["unit"] else ""
    name = f"command {made['id']}" if made["id"] else "in the scenario"
    why = f": {made['why']}" if made["why"] else ""
    click.echo(f"{name}: {made['signal']} to {made['value']}{unit} is {made['state']}{why}")


def _value(text: str) -> Any:
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    return parsed if isinstance(parsed, bool | int | float | str) else text
