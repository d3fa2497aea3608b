"""`iotsense run` and `iotsense demo`."""

from pathlib import Path

import click

from .cli_options import data_option


@click.command()
@click.option(
    "-c",
    "--config",
    "definitions",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    envvar="IOTSENSE_CONFIG",
    show_envvar=True,
    help="A definition: a file, or a folder of files. Without it, what was last applied.",
)
@data_option
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    envvar="IOTSENSE_LISTEN",
    show_default=True,
    show_envvar=True,
    metavar="HOST:PORT",
    help="Where to listen; only loopback until there are keys.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="IOTSENSE_LOG_FORMAT",
    show_default=True,
    show_envvar=True,
    help="Lines for people, or an object a line.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    envvar="IOTSENSE_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    help="The least that is worth a line.",
)
def run(definitions: tuple[Path, ...], data: Path, listen: str, log_format: str, log_level: str) -> None:
    """Run the service until SIGTERM or Ctrl-C, which drain it."""
    from . import logs
    from .config import Settings, parse_listen
    from .service import run_service

    settings = Settings(data, definitions, parse_listen(listen), log_format, log_level)
    logs.configure(log_format, log_level)
    run_service(settings)


@click.command()
@click.option("--for", "duration", metavar="DURATION", help="End by itself after so long, such as 20s.")
@click.option("--speed", type=click.FloatRange(0.1, 1000), default=1.0, show_default=True, help="How fast time runs.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, another day at the line.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Keep the data here [default: gone at the end]."
)
@click.option("--neo4j", metavar="URL", help="Show the line in this Neo4j too, such as bolt://localhost:7687.")
def demo(duration: str | None, speed: float, seed: int, listen: str, data: Path | None, neo4j: str | None) -> int:
    """Watch a bottling line live: machines that speak MQTT, and the service beside them."""
    from rich.console import Console

    from . import logs
    from .config import parse_listen
    from .demo import run_demo
    from .twin.durations import parse_duration

    seconds = None if duration is None else parse_duration(duration)
    logs.configure("text", "warning")
    return run_demo(seconds, speed, seed, parse_listen(listen), data, Console(), neo4j)
