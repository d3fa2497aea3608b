"""`iotsense report`: tell of what happened, correct it, end it, take it back."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, plant_options, print_json, table, target_options
from .twin.report import KINDS

if TYPE_CHECKING:
    from .connection import Connection, Target

Verb = Callable[..., Any]

key_option = click.option("--key", metavar="KEY", help="Yours: the same key is the same request, for ever.")
reason_option = click.option("--reason", metavar="TEXT", help="Why.")
value_option = click.option("--value", "values", multiple=True, metavar="NAME=VALUE", help="A value of yours.")


@click.group()
def report() -> None:
    """Tell of what happened: a failure, a repair, an inspection, downtime, a batch, a product run, anything else.

    What the signals of the node showed when it began, and when it ended, becomes part of the event.
    """


def _telling(verb: Verb) -> Verb:
    for option in (
        key_option,
        click.option("--id", metavar="ID", help="Your name for it."),
        click.option("--capture", multiple=True, metavar="SIGNAL", help="Keep what this showed [default: the state]."),
        value_option,
        reason_option,
        click.option("--at", metavar="TIME", help="It was an instant, ISO 8601."),
        click.option("--to", "until", metavar="TIME", help="When it ended, ISO 8601 [default: not yet]."),
        click.option("--from", "time", metavar="TIME", help="When it began, ISO 8601 [default: now]."),
    ):
        verb = option(verb)
    return target_options(json_option(verb))


def _kind_command(kind: str) -> click.Command:
    @click.command(kind.replace("_", "-"), help=f"Report a {kind.replace('_', ' ')} of a NODE.")
    @click.argument("node")
    @_telling
    def tell(target: "Target", as_json: bool, node: str, key: str | None, **told: Any) -> None:
        _report(target, {"kind": kind, "node": node, **_told(told)}, key, as_json)

    return tell


for _kind in KINDS:
    report.add_command(_kind_command(_kind))


@report.command()
@click.argument("kind")
@click.argument("node")
@_telling
def event(target: "Target", as_json: bool, kind: str, node: str, key: str | None, **told: Any) -> None:
    """Report an event of any KIND, a word of yours, at a NODE."""
    _report(target, {"kind": kind, "node": node, **_told(told)}, key, as_json)


@connected
async def _report(connection: "Connection", body: dict[str, Any], key: str | None, as_json: bool) -> None:
    told(await connection.post("/events", json=body, headers=keyed(key)), as_json)


@report.command()
@click.argument("id")
@click.option("--at", metavar="TIME", help="When, ISO 8601 [default: now].")
@reason_option
@value_option
@key_option
@target_options
@json_option
def end(
    target: "Target", as_json: bool, id: str, at: str | None, reason: str | None, values: Sequence[str], key: str | None
) -> None:
    """Give the end of what was reported under an ID, or under the number of an event."""
    from .twin.times import format_time, now_ns

    _amend(target, id, _given({"until": at or format_time(now_ns()), "reason": reason}, values), key, as_json)


@report.command()
@click.argument("id")
@click.option("--node", help="The right node.")
@click.option("--from", "time", metavar="TIME", help="When it really began.")
@click.option("--to", "until", metavar="TIME", help="When it really ended; `open` if it has not.")
@reason_option
@value_option
@key_option
@target_options
@json_option
def amend(
    target: "Target", as_json: bool, id: str, values: Sequence[str], key: str | None, **changes: str | None
) -> None:
    """Correct what was reported under an ID, or under the number of an event."""
    body = _given(changes, values)
    if body.get("until") == "open":
        body["until"] = None
    _amend(target, id, body, key, as_json)


@connected
async def _amend(connection: "Connection", id: str, body: dict[str, Any], key: str | None, as_json: bool) -> None:
    told(await connection.request("PATCH", f"/events/{id}", json=body, headers=keyed(key)), as_json)


@report.command()
@click.argument("id")
@reason_option
@key_option
@target_options
@json_option
def retract(target: "Target", as_json: bool, id: str, reason: str | None, key: str | None) -> None:
    """Take back what was reported under an ID, or under the number of an event; the log keeps it."""
    _retract(target, id, {"reason": reason}, key, as_json)


@connected
async def _retract(connection: "Connection", id: str, body: dict[str, Any], key: str | None, as_json: bool) -> None:
    told(await connection.post(f"/events/{id}/retract", json=body, headers=keyed(key)), as_json)


@report.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--timezone", metavar="ZONE", help="The zone of times that name none [default: UTC].")
@target_options
@json_option
def load(target: "Target", as_json: bool, file: Path, timezone: str | None) -> None:
    """Report the events of a CSV FILE: columns kind, node, from, and: to, reason, id; all others are values.

    A file may be loaded again: a row with the same id, or else kind, node and begin, corrects what it told before.
    """
    result = _load(target, file.read_bytes(), {} if timezone is None else {"timezone": timezone})
    if as_json:
        print_json(result)
        return
    counts = ", ".join(f"{result[name]} {name}" for name in ("reported", "amended", "unchanged"))
    click.echo(f"{result['rows']} rows: {counts}, {result['bad_rows']} could not be used")
    for wrong in result["errors"]:
        click.echo(f"line {wrong['line']}: {wrong['reason']}", err=True)


@connected
async def _load(connection: "Connection", content: bytes, parameters: dict[str, str]) -> Any:
    headers = {"Content-Type": "text/csv"}
    return await connection.post("/events/load", content=content, params=parameters, headers=headers)


@report.command("list")
@click.option("--kind", multiple=True, help="Only of this kind; may be repeated [default: the named ones].")
@click.option("--node", help="Only of this node.")
@click.option("--from", "start", metavar="TIME", help="Only what had not ended then, ISO 8601.")
@click.option("--to", "end", metavar="TIME", help="Only what had begun before, ISO 8601.")
@click.option("--open", "only_open", is_flag=True, help="Only what has not ended.")
@plant_options
@json_option
def list_reports(
    target: "Target", as_json: bool, kind: Sequence[str], node: str | None,
    start: str | None, end: str | None, only_open: bool,
) -> None:  # fmt: skip
    """What was reported, as it stands: corrected, without what was taken back."""
    asked = {"kind": list(kind) or None, "node": node, "from": start, "to": end}
    _list(target, {**asked, "open": "true" if only_open else None}, as_json)


@connected
async def _list(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = (await connection.get("/reports", **asked))["events"]
    if as_json:
        print_json(found)
        return
    rows = [
        [each["kind"], each["node"], each["time"], each["until"], each["data"].get("reason"), each["id"], each["seq"]]
        for each in found
    ]
    table(["kind", "node", "from", "to", "reason", "id", "event"], rows)


def told(answer: dict[str, Any], as_json: bool) -> None:
    """Shows what a write answered."""
    if as_json:
        print_json(answer)
        return
    event = answer["event"]
    span = event["time"] + (f" to {event['until']}" if event["until"] else "")
    taken = f" (takes back event {event['retracts']})" if event["retracts"] else ""
    click.echo(f"event {answer['seq']}: {event['kind']} of {event['node']}, {span}, id {answer['id']}{taken}")


def keyed(key: str | None) -> dict[str, str]:
    """The header of a client's key."""
    return {} if key is None else {"Idempotency-Key": key}


def _told(told: dict[str, Any]) -> dict[str, Any]:
    at, values, capture = told.pop("at"), told.pop("values"), told.pop("capture")
    if at is not None:
        if told["time"] is not None or told["until"] is not None:
            raise click.UsageError("say --at for an instant, or --from and --to")
        told |= {"time": at, "until": at}
    return _given(told, values) | ({"capture": list(capture)} if capture else {})


def _given(fields: dict[str, Any], values: Sequence[str]) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    return given | ({"values": dict(map(_value, values))} if values else {})


def _value(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"a value is written NAME=VALUE, not {text!r}")
    try:
        parsed = json.loads(value)
    except ValueError:
        return name, value
    return name, value if isinstance(parsed, dict | list) else parsed
