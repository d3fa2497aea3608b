"""`iotsense scenario`: forks of the plant. Every verb that reads takes `--scenario NAME`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target

_SET = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter or a signal, such as conveyor_1.speed=2.2; may be repeated.",
)


@click.group()
def scenario() -> None:
    """Scenarios: forks of the plant from any instant, in which something is different.

    Nothing is copied. Read one with --scenario NAME on any verb that reads the plant.
    """


@scenario.command("list")
@target_options
@json_option
def list_scenarios(target: "Target", as_json: bool) -> None:
    """All scenarios."""
    _list(target, as_json)


@connected
async def _list(connection: "Connection", as_json: bool) -> None:
    found = (await connection.get("/scenarios"))["scenarios"]
    if as_json:
        print_json(found)
        return
    rows = [[s["id"], s["title"], s["as_of"], s["clock"], len(s["parameters"]), len(s["signals"])] for s in found]
    table(["scenario", "title", "forked at", "clock", "parameters", "signals"], rows)


@scenario.command()
@click.argument("name")
@target_options
@json_option
def show(target: "Target", name: str, as_json: bool) -> None:
    """What is different in the scenario NAME."""
    _show(target, name, as_json)


@connected
async def _show(connection: "Connection", name: str, as_json: bool) -> None:
    _tell(await connection.get(f"/scenarios/{name}"), as_json)


@scenario.command()
@click.argument("name", required=False)
@click.option("--as-of", metavar="TIME", help="Fork the plant as it was then, ISO 8601 [default: now].")
@click.option("--known-at", metavar="TIME", help="By what was recorded until then [default: now].")
@click.option("--title", help="What people call it.")
@_SET
@target_options
@json_option
def fork(target: "Target", name: str | None, settings: Sequence[str], as_json: bool, **given: Any) -> None:
    """Fork the plant as scenario NAME."""
    body = {key: value for key, value in {"id": name, **given}.items() if value is not None}
    _fork(target, body | {"overrides": _overrides(settings)}, as_json)


@connected
async def _fork(connection: "Connection", body: dict[str, Any], as_json: bool) -> None:
    _tell(await connection.post("/scenarios", json=body), as_json)


@scenario.command("set")
@click.argument("name")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
@target_options
@json_option
def set_values(target: "Target", name: str, settings: Sequence[str], as_json: bool) -> None:
    """Set more in the scenario NAME, from its clock on."""
    _set(target, name, _overrides(settings), as_json)


@connected
async def _set(connection: "Connection", name: str, overrides: dict[str, Any], as_json: bool) -> None:
    _tell(await connection.request("PATCH", f"/scenarios/{name}", json={"overrides": overrides}), as_json)


@scenario.command()
@click.argument("name")
@target_options
def remove(target: "Target", name: str) -> None:
    """Remove the scenario NAME; the plant is not touched."""
    _remove(target, name)


@connected
async def _remove(connection: "Connection", name: str) -> None:
    await connection.request("DELETE", f"/scenarios/{name}")
    click.echo(f"Removed {name}.")


def _overrides(settings: Sequence[str]) -> dict[str, Any]:
    found = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name and equals):
            raise click.UsageError(f"{setting!r} is no NAME=VALUE")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['id']}: the plant as of {found['as_of']}, known at {found['known_at']}, clock {found['clock']}")
    rows = [[name, value, ""] for name, value in found["parameters"].items()]
    rows += [[setting["signal"], setting["value"], setting["time"]] for setting in found["signals"]]
    table(["set", "value", "from"], rows)
