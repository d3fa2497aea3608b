"""The verb that tells the way of one value, from the bytes that came to the twin's signal."""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import connected, console, json_option, print_json, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target

_SHOWN = 400


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    from .twin.durations import parse_duration
    from .twin.errors import InvalidValueError

    try:
        return 0.0 if text == "0" else float(parse_duration(text))
    except InvalidValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("point")
@click.option("--wait", default="10s", show_default=True, callback=_seconds, help="How long to wait for a message.")
@click.option(
    "--payload",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Explain what is in this file instead of waiting; nothing is stored.",
)
@click.option("--topic", help="The topic on which the payload would have come.")
@click.option("--source", help="The source from which it would have come [default: the one that has the topic].")
@click.option("--via", help="The queue, path or address by which it would have come.")
@click.option("--content-type", help="What its message would have said of its content type.")
@target_options
@json_option
def explain(
    target: "Target", point: str, wait: float, payload: Path | None, as_json: bool, **given: str | None
) -> None:
    """Tell how a value of POINT came about: each step from the raw bytes to the twin.

    POINT is a signal, a sensor, a component, an address at the source (a node id, a register's name), or a topic. It
    waits for the next message that concerns it; with --payload nothing is waited for, and nothing is stored.
    """
    asked: dict[str, Any] = {"point": point, "wait_s": wait} | {k: v for k, v in given.items() if v is not None}
    if payload is not None:
        asked["payload_base64"] = base64.b64encode(payload.read_bytes()).decode()
    elif len(asked) > 2:
        raise click.UsageError("--topic, --source, --via and --content-type say of a --payload how it came")
    _explain(target, asked, as_json)


@connected
async def _explain(connection: "Connection", asked: dict[str, Any], as_json: bool) -> None:
    found = await connection.post("/explain", json=asked, timeout=asked["wait_s"] + 30)
    if as_json:
        print_json(found)
        return
    _steps(found["steps"], "")
    for reading in found["readings"]:
        console().print(f"[bold]{reading['signal'] or 'no signal'}[/bold]")
        _steps(reading["steps"], "  ")
    if found["came"] and not found["readings"]:
        click.echo("the message holds nothing that concerns the point")


def _steps(steps: list[dict[str, Any]], indent: str) -> None:
    from rich.text import Text

    terminal = console()
    for step in steps:
        terminal.print(Text(f"{indent}{step['step']:<10}", "cyan") + Text(step["said"], ""))
        values = step["values"]
        for text in [values[name] for name in ("payload",) if name in values] + values.get("reasons", []):
            terminal.print(Text(f"{indent}{'':<10}{text[:_SHOWN]}{' ...' if len(text) > _SHOWN else ''}", "dim"))
        for each in values.get("considered", []):
            found = ", ".join(each["found"]) or "nothing"
            terminal.print(Text(f"{indent}{'':<10}{each['rule']}: {each['looked_for']} -> {found}", "dim"))
        if schema := values.get("schema"):
            terminal.print(Text(f"{indent}{'':<10}{json.dumps(schema, ensure_ascii=False)}", "dim"))
