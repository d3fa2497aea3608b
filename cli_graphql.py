"""Options of `iotsense run` about GraphQL."""

import functools
from pathlib import Path
from typing import Any

import click

from .cli_options import Verb
from .graphql.options import MAX_COST, TIMEOUT_S

_INTROSPECTION = click.option(
    "--graphql-introspection",
    "introspection",
    type=click.Choice(["on", "off"]),
    default="on",
    envvar="IOTSENSE_GRAPHQL_INTROSPECTION",
    show_default=True,
    show_envvar=True,
    help="Whether GraphQL tells its schema to whoever asks.",
)
_SAFELIST = click.option(
    "--graphql-safelist",
    "safelist",
    type=click.Path(path_type=Path, exists=True),
    envvar="IOTSENSE_GRAPHQL_SAFELIST",
    show_envvar=True,
    help="Answer only these questions: a JSON file of SHA-256 hashes with their texts, or a folder of .graphql files.",
)
_MAX_COST = click.option(
    "--graphql-max-cost",
    "max_cost",
    type=click.IntRange(1),
    default=MAX_COST,
    envvar="IOTSENSE_GRAPHQL_MAX_COST",
    show_default=True,
    show_envvar=True,
    help="What a question may cost by its estimate, some 3 µs each.",
)
_TIMEOUT = click.option(
    "--graphql-timeout",
    "timeout",
    default=f"{TIMEOUT_S:g}s",
    envvar="IOTSENSE_GRAPHQL_TIMEOUT",
    show_default=True,
    show_envvar=True,
    metavar="DURATION",
    help="How long a question may take.",
)


def graphql_options(verb: Verb) -> Verb:
    """Gives a verb these options as one argument, `graphql`."""

    @functools.wraps(verb)
    def wrapped(introspection: str, safelist: Path | None, max_cost: int, timeout: str, **others: Any) -> Any:
        from .graphql.options import Options
        from .graphql.safelist import Safelist
        from .twin.durations import parse_duration

        listed = None if safelist is None else Safelist.load(safelist)
        options = Options(max_cost, parse_duration(timeout), introspection == "on", listed)
        return verb(graphql=options, **others)

    for option in (_TIMEOUT, _MAX_COST, _SAFELIST, _INTROSPECTION):
        wrapped = option(wrapped)
    return wrapped
