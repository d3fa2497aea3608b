"""`iotsense assets`: machines and parts with serial numbers, where each was when."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, plant_options, print_json, table, target_options
from .cli_reports import key_option, keyed, reason_option, told

if TYPE_CHECKING:
    from .connection import Connection, Target

_maker = click.option("--maker", help="Its maker; needed where several have the serial number.")
_model = click.option("--model", help="Its model.")
_serial = click.option("--serial", "serial_number", metavar="NUMBER", help="Its serial number.")
_time = click.option("--at", "time", metavar="TIME", help="When, ISO 8601 [default: now].")


@click.group()
def assets() -> None:
    """Machines and parts with serial numbers: what is where, where each was when, how old it is."""


@assets.command()
@click.argument("node")
@click.argument("serial_number")
@_maker
@_model
@_time
@reason_option
@key_option
@target_options
@json_option
def install(target: "Target", as_json: bool, key: str | None, **asked: Any) -> None:
    """The asset SERIAL_NUMBER comes to a NODE; what was there, and where it was, ends then."""
    _write(target, "installations", asked, key, as_json)


@assets.command()
@click.option("--node", help="Where it is.")
@_serial
@_maker
@_time
@reason_option
@key_option
@target_options
@json_option
def remove(target: "Target", as_json: bool, key: str | None, **asked: Any) -> None:
    """What is installed at a node, or an asset, is taken out."""
    _write(target, "removals", asked, key, as_json)


@connected
async def _write(connection: "Connection", what: str, asked: dict[str, Any], key: str | None, as_json: bool) -> None:
    body = {name: value for name, value in asked.items() if value is not None}
    told(await connection.post(f"/assets/{what}", json=body, headers=keyed(key)), as_json)


@assets.command("list")
@_serial
@_maker
@_model
@plant_options
@json_option
def list_assets(target: "Target", as_json: bool, **asked: str | None) -> None:
    """All assets: where each is, since when, and how long it was in service."""
    _list(target, asked, as_json)


@connected
async def _list(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = (await connection.get("/assets", **asked))["assets"]
    if as_json:
        print_json(found)
        return
    rows = [
        [each["serial_number"], each["maker"], each["model"], each["node"], each["installed"],
         _days(each["installed_s"]), _days(each["in_service_s"])]
        for each in found
    ]  # fmt: skip
    table(["serial number", "maker", "model", "node", "installed", "for", "in service"], rows)


@assets.command()
@click.option("--node", help="What was here when.")
@_serial
@_maker
@_model
@plant_options
@json_option
def stays(target: "Target", as_json: bool, **asked: str | None) -> None:
    """Where an asset was when, or what was at a node when."""
    _stays(target, asked, as_json)


@connected
async def _stays(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = (await connection.get("/assets/stays", **asked))["stays"]
    if as_json:
        print_json(found)
        return
    names = ["serial_number", "maker", "model", "node", "from", "to", "id"]
    table([name.replace("_", " ") for name in names], [[each[name] for name in names] for each in found])


@assets.command()
@click.argument("serial_number")
@click.argument("signal")
@_maker
@click.option("--from", "start", metavar="TIME", help="Begin, ISO 8601 [default: an hour before the end].")
@click.option("--to", "end", metavar="TIME", help="End, ISO 8601 [default: now].")
@click.option("--points", type=click.IntRange(1), help="At most so many rows in all, as buckets.")
@plant_options
@json_option
def history(target: "Target", as_json: bool, start: str | None, end: str | None, **asked: Any) -> None:
    """What a SIGNAL, by its name at each node, showed wherever the asset SERIAL_NUMBER was."""
    _history(target, {**asked, "from": start, "to": end}, as_json)


@connected
async def _history(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/assets/history", **asked)
    if as_json:
        print_json(found)
        return
    for stretch in found["stretches"]:
        rows = [list(row) for row in zip(*(stretch[name] for name in ("time", "value", "quality")), strict=True)]
        unit = f" [{stretch['unit']}]" if stretch["unit"] else ""
        table(["time", "value", "quality"], rows, title=f"{stretch['signal']}{unit}")


def _days(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds / 86_400:.1f} d"
