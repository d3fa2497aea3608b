"""Writes docs/cli.md from the help of the verbs."""

from collections.abc import Iterator
from pathlib import Path

import click

from iotsense.cli import cli

HEAD = """# The command line

Verbs talk to the service that runs on the data directory (`--data`, over its socket) or elsewhere (`--url`). If none
runs, they work on the directory itself, with the very same code. Errors are one line on standard error and an exit
code, listed in [operations](operations.md); `iotsense --debug VERB ...` shows the trace.

This page is written by `scripts/cli_page.py`.
"""


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """All verbs with their full names."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def page() -> str:
    """The page."""
    parts = [HEAD]
    for name, command in commands(cli):
        parent = click.Context(cli, info_name="iotsense", terminal_width=100, help_option_names=["-h", "--help"])
        help = command.get_help(click.Context(command, parent, info_name=name))
        parts.append(f"## {name}\n\n```\n{help}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "cli.md").write_text(page())
