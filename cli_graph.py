"""`iotsense graph`: questions of the graph."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, json_option, plant_options, print_json, table

if TYPE_CHECKING:
    from .connection import Connection, Target

LEVELS = ["enterprise", "site", "area", "line", "component", "sensor"]
Verb = Callable[..., Any]


def _options(*options: Callable[[Verb], Verb]) -> Callable[[Verb], Verb]:
    def decorate(verb: Verb) -> Verb:
        for option in reversed(options):
            verb = option(verb)
        return plant_options(json_option(verb))

    return decorate


_relationship = click.option(
    "--relationship", "-r", multiple=True, metavar="TYPE", help="Follow relationships of this type; may be repeated."
)
_direction = click.option("--direction", type=click.Choice(["out", "in", "both"]), help="Which way to follow them.")
_along = click.option(
    "--along", metavar="CONDITION", help="Only relationships for which this holds: transfer_time < 5."
)
_through = click.option("--through", metavar="CONDITION", help="Only pass nodes for which this holds.")
_hops = click.option("--hops", type=click.IntRange(0), help="At most so many hops.")
_level = click.option("--level", multiple=True, type=click.Choice(LEVELS), help="Only nodes of this level.")
_type = click.option("--type", multiple=True, help="Only nodes of this type; may be repeated.")
_where = click.option("--where", metavar="CONDITION", help="Only nodes for which this holds: power > 5 kW.")
_limit = click.option("--limit", type=click.IntRange(1), help="At most so many.")
_SELECTING = (_relationship, _along, _through, _hops, _level, _type, _where)


@click.group()
def graph() -> None:
    """Questions of the graph: what is near, which ways there are, what a stop brings about.

    Conditions are expressions over the names of nodes (level, type, signals, parameters, properties) or of
    relationships (type, transfer_time, ...).
    """


@graph.command()
@click.argument("node")
@_options(*_SELECTING, _direction, _limit)
def neighbours(target: "Target", as_json: bool, **asked: Any) -> None:
    """What is near a NODE: one hop along any relationship, unless told."""
    _reach(target, "neighbours", asked, as_json)


@graph.command()
@click.argument("node")
@_options(*_SELECTING, _limit)
def downstream(target: "Target", as_json: bool, **asked: Any) -> None:
    """What comes behind a NODE."""
    _reach(target, "downstream", asked, as_json)


@graph.command()
@click.argument("node")
@_options(*_SELECTING, _limit)
def upstream(target: "Target", as_json: bool, **asked: Any) -> None:
    """What comes before a NODE."""
    _reach(target, "upstream", asked, as_json)


@connected
async def _reach(connection: "Connection", question: str, asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get(f"/graph/{question}", **_given(asked))
    if as_json:
        print_json(found)
        return
    rows = [
        [each["node"]["id"], each["node"]["level"], each["node"]["type"], each["hops"], _arrow(each["via"])]
        for each in found["nodes"]
    ]
    table(["node", "level", "type", "hops", "reached by"], rows)
    _tell(found["notes"])


@graph.command()
@click.argument("start")
@click.argument("end")
@_options(
    _relationship, _direction, _along, _through, _hops,
    click.option("--weight", metavar="EXPRESSION", help="Seek the least sum of this: transfer_time."),
    click.option("--all", is_flag=True, help="All simple paths, the shortest first."),
    _limit,
)  # fmt: skip
def paths(target: "Target", as_json: bool, start: str, end: str, **asked: Any) -> None:
    """The shortest way from START to END, or all ways."""
    _paths(target, {"from": start, "to": end, **asked}, as_json)


@connected
async def _paths(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/graph/paths", **_given(asked))
    if as_json:
        print_json(found)
        return
    rows = [[len(path["relationships"]), path["cost"], " → ".join(path["nodes"])] for path in found["paths"]]
    table(["hops", "weight", "nodes"], rows)
    _tell(found["notes"] if rows else [f"there is no way from {found['from']} to {found['to']}", *found["notes"]])


@graph.command()
@click.argument("node")
@click.argument("signal")
@_options(
    click.option("--aggregate", type=click.Choice(["sum", "mean", "min", "max", "count"]), help="[default: sum]"),
    click.option("--unit", help="The unit of the value."),
    click.option("--weight", metavar="EXPRESSION", help="How much each value counts: a parameter or signal."),
    *_SELECTING,
    _direction,
)  # fmt: skip
def rollup(target: "Target", as_json: bool, **asked: Any) -> None:
    """A SIGNAL of all that a NODE contains as one value."""
    _rollup(target, asked, as_json)


@connected
async def _rollup(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/graph/rollup", **_given(asked))
    if as_json:
        print_json(found)
        return
    value = "unknown" if found["value"] is None else f"{found['value']:g}"
    facts = {
        f"{found['aggregate']} of {found['signal']}": f"{value} {found['unit'] or ''}".strip(),
        "signals": found["count"],
        "at": found["at"],
        "readings from": found["oldest"],
        "to": found["newest"],
        "quality": found["quality"],
    }
    table(["", ""], [[name, fact] for name, fact in facts.items() if fact is not None])
    _tell([f"{each['signal']} does not count: {each['reason']}" for each in found["left_out"]] + found["notes"])


@graph.command()
@click.argument("node")
@_options(
    click.option("--within", type=click.FloatRange(0), metavar="SECONDS", help="Only what happens within this time."),
    click.option(
        "--fill", type=click.FloatRange(0, 1), help="Share of buffers whose level is not known. [default: 0.5]"
    ),
)
def impact(target: "Target", as_json: bool, **asked: Any) -> None:
    """Who starves or blocks, and when, if a NODE stops now."""
    _impact(target, asked, as_json)


@connected
async def _impact(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/graph/impact", **_given(asked))
    if as_json:
        print_json(found)
        return
    rows = [
        [f"{each['after_s']:.1f} s", each["node"], each["outcome"].replace("_", " "), each["because"]]
        for each in found["effects"]
    ]
    table(["after", "node", "", "because of"], rows)
    _tell([f"assumed of {', '.join(each['nodes'])}: {each['text']}" for each in found["assumed"]])


@graph.command("single-points-of-failure")
@_options(
    _relationship,
    _along,
    click.option("--from", "from_", metavar="NODE", help="A source to look at instead of all."),
    click.option("--to", metavar="NODE", help="A sink to look at instead of all."),
    click.option("--within", metavar="NODE", help="Only what this node contains."),
    _limit,
)
def single_points_of_failure(target: "Target", as_json: bool, from_: str | None, **asked: Any) -> None:
    """What must not fail: nodes whose loss cuts something off."""
    _points(target, {"from": from_, **asked}, as_json)


@connected
async def _points(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.get("/graph/single-points-of-failure", **_given(asked))
    if as_json:
        print_json(found)
        return
    rows = [
        [each["node"], each["sinks"], each["sources"], "yes" if each["separates"] else ""] for each in found["points"]
    ]
    table(["node", "sinks cut off", "sources cut off", "separates"], rows)
    _tell(found["notes"])


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    """Options as parameters of the query; those that were not given are left out."""
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in given.items()
        if value is not None and value is not False and value != []
    }


def _arrow(arrow: dict[str, Any]) -> str:
    time = arrow["properties"].get("transfer_time")
    return f"{arrow['source']} {arrow['type']} {arrow['target']}" + ("" if time is None else f" ({time} s)")


def _tell(lines: list[str]) -> None:
    for line in lines:
        click.echo(f"- {line}")
