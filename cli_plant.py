"""Verbs that look at the plant."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import coloured, connected, json_option, plant_options, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.command()
@target_options
@json_option
def status(target: "Target", as_json: bool) -> None:
    """How the service, its storage and its sources are."""
    _status(target, as_json)


@connected
async def _status(connection: "Connection", as_json: bool) -> None:
    health = await connection.get("/health")
    if as_json:
        print_json(health)
        return
    storage = health["storage"]
    facts = {
        "status": coloured(health["status"]) if connection.direct is None else "no service is running",
        "version": health["version"],
        "up since": health["started"] if connection.direct is None else None,
        "nodes": storage["nodes"],
        "signals": storage["signals"],
        "readings": storage["readings"],
        "events": storage["events"],
        "bytes on disk": sum(storage["bytes"].values()),
    }
    counted = ("received", "acknowledged", "waiting", "stored", "applied", "superseded", "late", "dead_lettered")
    for name in counted:
        facts[f"{name.replace('_', '-')}, from sources"] = sum(source[name] for source in health["sources"])
    table(["", ""], [[name, value] for name, value in facts.items()])
    for reason in health["reasons"]:
        click.echo(f"! {reason}")
    for notice in health["notices"]:
        click.echo(f"- {notice}")


@click.command()
@plant_options
@json_option
def twins(target: "Target", as_json: bool) -> None:
    """The twins (lines) of the plant at a glance."""
    _twins(target, as_json)


@connected
async def _twins(connection: "Connection", as_json: bool) -> None:
    found = (await connection.get("/twins"))["twins"]
    if as_json:
        print_json(found)
        return
    rows = [
        [
            twin["id"],
            twin["name"],
            twin["type"],
            twin["components"],
            twin["sensors"],
            *_health(twin["health"]),
            twin["open_anomalies"],
        ]
        for twin in found
    ]
    table(["id", "name", "type", "components", "sensors", "health", "", "open anomalies"], rows)


@click.command()
@click.argument("twin")
@plant_options
@json_option
def state(target: "Target", twin: str, as_json: bool) -> None:
    """The state of a TWIN's components now."""
    _state(target, twin, as_json)


@connected
async def _state(connection: "Connection", twin: str, as_json: bool) -> None:
    found = await connection.get(f"/twins/{twin}/state")
    if as_json:
        print_json(found)
        return
    rows: list[list[Any]] = []
    for component in found["components"]:
        head = [component["id"], *_health(component["health"])]
        doubtful = component.get("quality", {})
        for name, value in component["state"].items() or [("", None)]:
            rows.append([*head, name, _value(value), coloured(doubtful.get(name))])
            head = ["", "", ""]
    table(["component", "health", "", "signal", "value", "quality"], rows, title=f"{twin} at {found['timestamp']}")


@click.command()
@click.argument("signal")
@click.option("--from", "start", metavar="TIME", help="Begin, ISO 8601 [default: an hour before the end].")
@click.option("--to", "end", metavar="TIME", help="End, ISO 8601 [default: now].")
@click.option("--points", type=click.IntRange(1), help="At most so many rows, as buckets.")
@plant_options
@json_option
def history(
    target: "Target", signal: str, start: str | None, end: str | None, points: int | None, as_json: bool
) -> None:
    """What a SIGNAL did."""
    _history(target, signal, {"from": start, "to": end, "points": points}, as_json)


@connected
async def _history(connection: "Connection", signal: str, span: dict[str, Any], as_json: bool) -> None:
    found = await connection.get(f"/signals/{signal}/history", **span)
    if as_json:
        print_json(found)
        return
    names = [
        name
        for name in ("time", "value", "quality", "low", "high", "count", "mean_over_time", "good_percent")
        if name in found
    ]
    rows = [list(row) for row in zip(*(found[name] for name in names), strict=True)]
    unit = f" [{found['unit']}]" if found["unit"] else ""
    table(names, rows, title=f"{found['signal']}{unit}")
    if found["tier"] != "raw":
        click.echo(f"from {found['tier']}, times are exact to {found['precision_s']:g} s")
    if found["next"]:
        click.echo(f"... more from {found['next']} on")


@click.command()
@click.option("--after", type=click.IntRange(0), default=0, help="Only events numbered above this.")
@click.option("--kind", help="Only events of this kind: anomaly, stale, structure, ...")
@click.option("--node", help="Only events of this node.")
@click.option("--follow", "-f", is_flag=True, help="Wait for new events, without end.")
@plant_options
@json_option
def events(target: "Target", after: int, kind: str | None, node: str | None, follow: bool, as_json: bool) -> None:
    """What happened: the log of events."""
    if follow and target.moment.keys() - {"min_revision"}:
        raise click.UsageError("--follow waits for what happens now; leave --as-of, --known-at and --scenario out")
    _events(target, after, {"kind": kind, "node": node}, follow, as_json)


@connected
async def _events(connection: "Connection", after: int, narrowed: dict[str, Any], follow: bool, as_json: bool) -> None:
    import json

    given = {name: value for name, value in narrowed.items() if value is not None}
    headers = {"Prefer": "wait=30"} if follow else {}
    while True:
        page = await connection.request(
            "GET", "/events", params={**given, **connection.moment, "after": after}, headers=headers
        )
        for event in page["events"]:
            click.echo(json.dumps(event, ensure_ascii=False) if as_json else _event_line(event))
            after = event["seq"]
        if not page["events"] and not follow:
            return


def _health(health: dict[str, Any] | None) -> list[Any]:
    return ["", ""] if health is None else [health["score"], coloured(health["status"])]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_value(each) for each in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _event_line(event: dict[str, Any]) -> str:
    until = f" until {event['until']}" if event["until"] else ""
    facts = " ".join(f"{name}={value}" for name, value in event["data"].items() if not isinstance(value, list | dict))
    return f"{event['seq']:>6}  {event['time']}  {event['kind']:<10} {event['node'] or ''}{until}  {facts}"
