"""The command line. Every verb says in one line what went wrong and ends with a documented code."""

import sys
from typing import Any

import click

from . import __version__
from .cli_assets import assets
from .cli_audit import audit
from .cli_backup import backup, restore
from .cli_bulk import bulk
from .cli_commands import commands, set_value
from .cli_definitions import apply, export, init, plan, schema, validate
from .cli_discover import discover
from .cli_explain import explain
from .cli_graph import graph
from .cli_ingest import dead_letters, load
from .cli_keys import keys
from .cli_migrate import downgrade, migrate
from .cli_plant import events, history, state, status, twins
from .cli_publishing import publishing
from .cli_replay import replay
from .cli_reports import report
from .cli_revisions import diff, log
from .cli_run import demo, run
from .cli_scenario import scenario
from .cli_sources import sources
from .cli_storage import storage
from .cli_stores import repair, stores
from .cli_trust import trust

HELP = """A digital-twin-centric graph service for plants.

Verbs talk to the service that runs on the data directory; if none runs, they work on the directory itself.
"""


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the trace of an error.")
@click.version_option(__version__, "-V", "--version", message="iotsense %(version)s")
def cli(debug: bool) -> None:
    pass


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"iotsense {__version__}")


for command in (run, demo, init, validate, plan, apply, export, schema, load, dead_letters, bulk, backup, restore):
    cli.add_command(command)
for command in (migrate, downgrade, replay, log, diff):
    cli.add_command(command)
for command in (
    status,
    twins,
    state,
    history,
    events,
    sources,
    explain,
    storage,
    stores,
    repair,
    graph,
    scenario,
    replay,
    log,
    diff,
):
    cli.add_command(command)
for command in (report, assets, set_value, commands, publishing, discover, trust, keys, audit):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Runs a verb and exits with its code."""
    sys.exit(run_cli(sys.argv[1:] if arguments is None else arguments))


def run_cli(arguments: list[str]) -> int:
    """Runs a verb; its exit code."""
    from . import exit_codes
    from .twin.errors import IoTSenseError

    debug = "--debug" in arguments
    try:
        code: Any = cli.main(arguments, prog_name="iotsense", standalone_mode=False)
        return code if isinstance(code, int) else exit_codes.OK
    except click.exceptions.Exit as exit:
        return exit.exit_code
    except click.Abort:
        return exit_codes.INTERRUPTED
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # `iotsense events | head`: who read us is content
        return exit_codes.OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except IoTSenseError as error:
        if debug:
            raise
        click.echo(f"iotsense: {error}", err=True)
        return exit_codes.exit_code(error)
    except Exception as error:  # the last net before the user: a trace helps only whoever asks for it
        if debug:
            raise
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        click.echo(f"iotsense: an unforeseen error: {words} (--debug shows where)", err=True)
        return exit_codes.ERROR
