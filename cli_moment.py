"""The instant of a read: the options that every verb that reads the plant takes."""

import functools
from typing import Any

import click

from .cli_options import Verb

_OPTIONS = (
    click.option("--as-of", metavar="TIME", help="The plant as it was then, ISO 8601."),
    click.option("--known-at", metavar="TIME", help="By what was recorded until then, without later corrections."),
    click.option("--scenario", metavar="NAME", help="In this scenario instead of in the plant."),
    click.option("--min-revision", type=click.IntRange(0), help="Sees at least this revision of the structure."),
)
_NAMES = ("as_of", "known_at", "scenario", "min_revision")


def moment_options(verb: Verb) -> Verb:
    """`--as-of`, `--known-at`, `--scenario` and `--min-revision`, handed over as `moment`, parameters of a query."""

    @functools.wraps(verb)
    def with_moment(*arguments: Any, **options: Any) -> Any:
        moment = {name: options.pop(name) for name in _NAMES}
        return verb(*arguments, moment=moment, **options)

    for option in reversed(_OPTIONS):
        with_moment = option(with_moment)
    return with_moment
