"""`iotsense run` and `iotsense demo`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .cli_graphql import graphql_options
from .cli_oidc import oidc_options
from .cli_options import data_option

if TYPE_CHECKING:
    from .graphql.options import Options
    from .twin.oidc_config import OidcConfig


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
    help="Where to listen; only loopback as long as there is neither key nor issuer.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    envvar="IOTSENSE_TLS_CERT",
    show_envvar=True,
    help="Serve with TLS: the certificate and those that vouch for it, PEM.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    envvar="IOTSENSE_TLS_KEY",
    show_envvar=True,
    help="The certificate's key, PEM, without a password.",
)
@graphql_options
@click.option(
    "--tls-client-ca",
    type=click.Path(path_type=Path),
    envvar="IOTSENSE_TLS_CLIENT_CA",
    show_envvar=True,
    help="Who signs client certificates, PEM; see `keys create --certificate`.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    envvar="IOTSENSE_ALLOW_ORIGIN",
    show_envvar=True,
    metavar="ORIGIN",
    help="Let pages of this origin use the service (CORS), such as https://hmi.example.",
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
@click.option(
    "--syslog",
    envvar="IOTSENSE_SYSLOG",
    show_envvar=True,
    metavar="HOST:PORT|tcp://HOST:PORT|PATH",
    help="Send each record of the audit log to this syslog server, too; UDP unless told, /dev/log for this machine's.",
)
@oidc_options
def run(
    definitions: tuple[Path, ...],
    data: Path,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    origins: tuple[str, ...],
    log_format: str,
    log_level: str,
    syslog: str | None,
    graphql: "Options",
    oidc: "OidcConfig | None",
) -> None:
    """Run the service until SIGTERM or Ctrl-C, which drain it."""
    from . import logs
    from .config import Settings, parse_listen
    from .rest.headers import parse_origin
    from .service import run_service

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("TLS takes both: --tls-cert FILE and --tls-key FILE")
    if tls_client_ca is not None and tls_cert is None:
        raise click.UsageError("--tls-client-ca FILE is for TLS, which takes --tls-cert FILE and --tls-key FILE")
    tls = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
    allowed = tuple(parse_origin(origin) for origin in origins)
    settings = Settings(
        data,
        definitions,
        parse_listen(listen),
        tls,
        log_format,
        log_level,
        syslog,
        graphql,
        allowed,
        tls_client_ca,
        oidc,
    )
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
    """Watch a bottling line live: machines that speak MQTT, OPC UA, Modbus and BACnet, and the service beside them."""
    from rich.console import Console

    from . import logs
    from .config import parse_listen
    from .demo import run_demo
    from .twin.durations import parse_duration

    seconds = None if duration is None else parse_duration(duration)
    logs.configure("text", "warning")
    return run_demo(seconds, speed, seed, parse_listen(listen), data, Console(), neo4j)
