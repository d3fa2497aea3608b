"""`iotsense replay`: a stretch of the past, played again."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.command()
@click.option("--from", "start", metavar="TIME", required=True, help="Begin, ISO 8601.")
@click.option("--to", "end", metavar="TIME", help="End, ISO 8601 [default: now].")
@click.option("--speed", default="1", show_default=True, metavar="N|max", help="Seconds of the plant in a second.")
@click.option("--granularity", metavar="DURATION", help="Time between frames [default: the definition's, or 100ms].")
@click.option("--node", multiple=True, help="Only this node and what it contains; may be repeated.")
@click.option("--known-at", metavar="TIME", help="By what was recorded until then, without later corrections.")
@click.option("--scenario", metavar="NAME", help="In this scenario instead of in the plant.")
@click.option(
    "--into", metavar="SCENARIO", help="Replay into this scenario: its clock moves along, what it holds stays."
)
@click.option("--json", "as_json", is_flag=True, help="Print each frame as a line of JSON.")
@target_options
def replay(target: "Target", into: str | None, as_json: bool, **asked: Any) -> None:
    """Play a stretch of the past again: a line for each value that changes."""
    if into is not None and asked["scenario"] is not None:
        raise click.UsageError("--into replays the plant into a scenario; leave --scenario out")
    _replay(target, asked, into, as_json)


@connected
async def _replay(connection: "Connection", asked: dict[str, Any], into: str | None, as_json: bool) -> None:
    names = {"start": "from", "end": "to"}
    query = {names.get(name, name): value for name, value in asked.items() if value not in (None, ())}
    if into is not None:
        await connection.get(f"/scenarios/{into}")  # one that is not there is told before anything is played
    async for frame in _frames(connection, query):
        if into is not None:
            await connection.request("PATCH", f"/scenarios/{into}", json={"replay_until": frame["time"]})
        if as_json:
            click.echo(json.dumps(frame, ensure_ascii=False))
        else:
            _show(frame)


async def _frames(connection: "Connection", query: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    async for text in connection.stream("/replay", params=query):
        if text.startswith("data: ") and text != "data: {}":
            yield json.loads(text.removeprefix("data: "))


def _show(frame: dict[str, Any]) -> None:
    rows: Sequence[tuple[Any, ...]] = list(zip(frame["signal"], frame["value"], frame["quality"], strict=True))
    for signal, value, quality in rows:
        if value is not None or not frame["whole"]:
            click.echo(f"{frame['time']}  {signal}  {value}{'' if quality == 'good' else f'  {quality}'}")
