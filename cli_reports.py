"""Verbs for what people report, and for the assets that stand in the plant's places."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, plant_options, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target

Verb = Callable[..., Any]
_DAY_S = 86_400


def _telling(verb: Verb) -> Verb:
    """`--from`, `--to`, `--reason`, `--by`, `--set`."""
    for option in (
        click.option("--set", "facts", multiple=True, metavar="NAME=VALUE", help="Something else to keep with it."),
        click.option("--by", help="Who reports it."),
        click.option("--reason", help="Why, in words or as a code."),
        click.option("--to", "until", metavar="TIME", help="When it ended, ISO 8601, if that is known."),
        click.option("--from", "time", metavar="TIME", help="When it began, ISO 8601 [default: now]."),
    ):
        verb = option(verb)
    return verb


@click.command()
@click.argument("kind")
@click.argument("node")
@_telling
@click.option("--capture", multiple=True, metavar="SIGNAL", help="Keep this signal's values [default: all the node's].")
@click.option("--key", help="The same key is the same event, however often it is reported.")
@target_options
@json_option
def report(
    target: "Target", as_json: bool, facts: Sequence[str], capture: Sequence[str], key: str | None, **told: Any
) -> None:
    """Report an event at a NODE.

    KIND is failure, repair, inspection, downtime, batch, product_run, installation, or any other word.
    """
    told |= {"data": _data(facts), "capture": list(capture) or None}
    headers = {"Idempotency-Key": key} if key else {}
    _show(_write(target, "POST", "/events", _given(told), headers), as_json)


@click.command()
@click.argument("event")
@_telling
@target_options
@json_option
def amend(target: "Target", event: str, as_json: bool, facts: Sequence[str], **told: Any) -> None:
    """Amend a reported EVENT, by its id or number."""
    told["data"] = _data(facts)
    _show(_write(target, "PATCH", f"/events/{event}", _given(told), {}), as_json)


@click.command()
@click.argument("event")
@click.option("--reason", help="Why.")
@click.option("--by", help="Who says so.")
@target_options
@json_option
def retract(target: "Target", event: str, as_json: bool, **told: Any) -> None:
    """Take back a reported EVENT, by its id or number."""
    _show(_delete(target, f"/events/{event}", _given(told)), as_json)


@click.command("load-events")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@target_options
@json_option
def load_events(target: "Target", file: Path, as_json: bool) -> None:
    """Report the events of a CSV FILE.

    Its columns are kind, node, from, to, reason, by and key; all others are kept with the events.
    """
    found = _load(target, file.name, file.read_bytes())
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['events']} events in {found['rows']} rows")
    for wrong in found["problems"]:
        click.echo(f"line {wrong['line']}: {wrong['reason']}", err=True)
    if found["bad_rows"]:
        click.echo(f"{found['bad_rows']} rows could not be used", err=True)


@click.command()
@click.argument("serial_number")
@click.option("--signal", help="Show the history of the signal of this name across its places.")
@click.option("--from", "start", metavar="TIME", help="Begin of the history [default: an hour before its end].")
@click.option("--to", "end", metavar="TIME", help="End of the history, ISO 8601 [default: now].")
@click.option("--points", type=click.IntRange(1), help="At most so many rows, as buckets.")
@plant_options
@json_option
def asset(target: "Target", serial_number: str, as_json: bool, **asked: Any) -> None:
    """Where an asset, by its SERIAL_NUMBER, is and was."""
    signal = asked["signal"]
    path = f"/assets/{serial_number}" + ("/history" if signal else "")
    span = {"signal": signal, "from": asked["start"], "to": asked["end"], "points": asked["points"]}
    found = _get(target, path, span if signal else {})
    if as_json:
        print_json(found)
    elif signal:
        rows = [
            [piece["node"], *row]
            for piece in found["pieces"]
            for row in zip(piece["history"]["time"], piece["history"]["value"], strict=True)
        ]
        table(["place", "time", signal], rows, title=serial_number)
    else:
        name = " ".join(word for word in (found["maker"], found["model"], serial_number) if word)
        title = f"{name}, {found['age_s'] / _DAY_S:.1f} days in use"
        table(["place", "since", "until", "days"], [_stay(stay)[1:] for stay in found["places"]], title=title)


@click.command()
@click.argument("node")
@plant_options
@json_option
def assets(target: "Target", node: str, as_json: bool) -> None:
    """Which assets are and were at a NODE."""
    found = _get(target, f"/nodes/{node}/assets", {})
    if as_json:
        print_json(found)
        return
    there = found["installed"]
    title = f"{found['node']}: {there['serial_number'] if there else 'nothing'} is there"
    rows = [[stay[0], *stay[2:]] for stay in map(_stay, found["stays"])]
    table(["serial number", "since", "until", "days"], rows, title=title)


def _stay(stay: dict[str, Any]) -> list[Any]:
    return [stay["serial_number"], stay["node"], stay["since"], stay["until"], f"{stay['age_s'] / _DAY_S:.1f}"]


@connected
async def _write(
    connection: "Connection", method: str, path: str, body: dict[str, Any], headers: dict[str, str]
) -> Any:
    return await connection.request(method, path, json=body, headers=headers)


@connected
async def _delete(connection: "Connection", path: str, parameters: dict[str, Any]) -> Any:
    return await connection.request("DELETE", path, params=parameters)


@connected
async def _get(connection: "Connection", path: str, parameters: dict[str, Any]) -> Any:
    return await connection.get(path, **parameters)


@connected
async def _load(connection: "Connection", name: str, content: bytes) -> Any:
    headers = {"Content-Type": "text/csv"}
    return await connection.post("/events/load", params={"name": name}, content=content, headers=headers)


def _show(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(event)
    else:
        until = f" until {event['until']}" if event["until"] else ""
        what = f"takes back event {event['retracts']}" if event["retracts"] else f"{event['time']}{until}"
        click.echo(f"event {event['seq']} ({event['id']}): {event['kind']} at {event['node']}, {what}")


def _data(facts: Sequence[str]) -> dict[str, str]:
    data = {}
    for fact in facts:
        name, is_given, value = fact.partition("=")
        if not (name and is_given):
            raise click.UsageError(f"--set {fact!r}: write NAME=VALUE")
        data[name] = value
    return data


def _given(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


__all__ = ["amend", "asset", "assets", "load_events", "report", "retract"]
