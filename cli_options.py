"""What several verbs share: where the plant is, and how answers are shown."""

import asyncio
import functools
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

if TYPE_CHECKING:
    from rich.console import Console

    from .connection import Connection, Target

P = ParamSpec("P")
Verb = Callable[..., Any]


def data_option(verb: Verb) -> Verb:
    """`--data DIR`."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default="iotsense-data",
        envvar="IOTSENSE_DATA",
        show_default=True,
        show_envvar=True,
        help="The data directory.",
    )(verb)


def target_options(verb: Verb) -> Verb:
    """`--data DIR`, `--url URL` and `--api-key KEY`, handed over as `target`."""

    @functools.wraps(verb)
    def with_target(data: Path, url: str | None, api_key: str | None, **options: Any) -> Any:
        from .connection import Target

        return verb(Target(data, url, api_key), **options)

    for option in (
        click.option("--api-key", envvar="IOTSENSE_API_KEY", show_envvar=True, help="The key for --url."),
        click.option("--url", envvar="IOTSENSE_URL", show_envvar=True, help="A service elsewhere, http://HOST:PORT."),
    ):
        with_target = option(with_target)
    return data_option(with_target)


_MOMENT = (
    click.option("--as-of", metavar="TIME", help="The plant as it was then, ISO 8601 [default: now]."),
    click.option("--known-at", metavar="TIME", help="By what was recorded until then, without later corrections."),
    click.option("--scenario", metavar="NAME", help="In this scenario instead of in the plant."),
    click.option("--min-revision", type=click.IntRange(0), help="See at least this revision of the structure."),
)


def plant_options(verb: Verb) -> Verb:
    """`target_options` for verbs that read the plant: they can be told which instant of it."""

    @functools.wraps(verb)
    def at_moment(target: "Target", **options: Any) -> Any:
        from dataclasses import replace

        names = ("as_of", "known_at", "scenario", "min_revision")
        moment = {name: value for name in names if (value := options.pop(name)) is not None}
        return verb(replace(target, moment=moment), **options)

    for option in reversed(_MOMENT):
        at_moment = option(at_moment)
    return target_options(at_moment)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def connected(
    verb: "Callable[Concatenate[Connection, P], Awaitable[Any]]",
) -> "Callable[Concatenate[Target, P], Any]":
    """Lets a coroutine that takes a connection be called with a target."""

    @functools.wraps(verb)
    def outer(target: "Target", /, *args: P.args, **kwargs: P.kwargs) -> Any:
        async def run() -> Any:
            from .connection import connect

            async with connect(target) as connection:
                return await verb(connection, *args, **kwargs)

        return asyncio.run(run())

    return outer


def console() -> "Console":
    """Standard output with colours where a person looks; whole lines where a program reads."""
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def print_json(value: Any) -> None:
    """JSON, indented."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(columns: list[str], rows: list[list[Any]], *, title: str | None = None) -> None:
    """Rows under headings; None is shown as nothing. In a pipe: aligned text without lines."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    terminal = console()
    if not sys.stdout.isatty():
        terminal.width = 250
    terminal.print(shown)


def coloured(word: str | None) -> Any:
    """A word of health, state or severity in its colour."""
    from rich.text import Text

    colours = {
        "healthy": "green", "ok": "green", "running": "green", "good": "green",
        "warning": "yellow", "degraded": "yellow", "backoff": "yellow", "connecting": "yellow", "uncertain": "yellow",
        "critical": "bold red", "failing": "bold red", "failed": "bold red", "bad": "bold red",
    }  # fmt: skip
    return Text(word or "", colours.get(word or "", ""))


def show_diff(text: str) -> None:
    """A diff with its lines in colours."""
    colours = {"+": "green", "-": "red", "~": "yellow"}
    terminal = console()
    for line in text.splitlines():
        terminal.print(line, style=colours.get(line.lstrip()[:1]), markup=False)
