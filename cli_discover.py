"""`iotsense discover`: looks at a device and proposes a twin definition."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_options import data_option

if TYPE_CHECKING:
    from .ingest.found import Look
    from .ingest.proposal import Proposal

Verb = Callable[..., Any]
_LOOK = ("under", "include", "exclude", "limit", "listen")


class SecretText(click.ParamType[str]):
    """A reference to a secret; the secret itself would end up in the definition, and in the shell's history."""

    name = "secret"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from pydantic import TypeAdapter, ValidationError

        from .twin.define_types import Secret

        try:
            return TypeAdapter(Secret).validate_python(value)
        except ValidationError:
            self.fail(
                "write where it is, '${VARIABLE}' or '${file:PATH}', in single quotes; the definition will say the same"
            )


class Setting(click.ParamType[tuple[str, Any]]):
    """KEY=VALUE, the value as in YAML."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        import yaml

        key, equals, text = str(value).partition("=")
        if not equals or not key.strip():
            self.fail(f"found {value!r}, expected KEY=VALUE")
        try:
            return key.strip(), yaml.safe_load(text)
        except yaml.YAMLError:
            self.fail(f"the value of {key.strip()} is no YAML")


def _options(*options: Callable[[Verb], Verb]) -> Callable[[Verb], Verb]:
    def decorate(verb: Verb) -> Verb:
        for option in reversed(options):
            verb = option(verb)
        return verb

    return decorate


def _secret(flag: str, help: str) -> Callable[[Verb], Verb]:
    return click.option(
        flag, type=SecretText(), metavar="REFERENCE", help=f"{help}: '${{VARIABLE}}' or '${{file:PATH}}'."
    )


_FILE = click.Path(dir_okay=False)
_common = _options(
    click.argument("url"),
    click.option("--under", metavar="PATH", help="Look only below this path of the device."),
    click.option("--include", multiple=True, metavar="GLOB", help="Only points whose path fits: 'Line1/*/Speed'."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="No points whose path fits."),
    click.option("--limit", type=click.IntRange(1), default=50_000, show_default=True, help="Stop at so many points."),
    click.option("--twin", metavar="ID", help="The twin's id [default: what the device calls itself]."),
    click.option("--set", "settings", type=Setting(), multiple=True, help="Another setting, as the definition has it."),
    click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="A new file for the definition."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML."),
)
_listening = click.option(
    "--for", "listen", metavar="DURATION", default="10s", show_default=True, help="Listen so long."
)
_login = _options(
    click.option("--username", help="The user."),
    _secret("--password", "The user's password"),
)
_tls = _options(
    click.option("--ca", "tls_ca", type=_FILE, help="Certificates that the broker's descends from."),
    click.option("--certificate", "tls_certificate", type=_FILE, help="Our certificate."),
    click.option("--key", "tls_key", type=_FILE, help="Its private key."),
    click.option("--version", type=click.Choice(["3.1.1", "5.0"]), help="The version of MQTT [default: 5.0]."),
)


@click.group()
def discover() -> None:
    """Look at a device and propose a twin definition of what it offers."""


@discover.command()
@_common
@click.option("--security-policy", help="Basic256Sha256, Aes256_Sha256_RsaPss, ... [default: None].")
@click.option("--security-mode", help="Sign or SignAndEncrypt [default: the latter, with a policy].")
@click.option("--certificate", type=_FILE, help="Our certificate [default: one is made].")
@click.option("--private-key", type=_FILE, help="Its private key.")
@_secret("--private-key-password", "What opens the private key")
@click.option("--server-certificate", type=_FILE, help="The server's certificate.")
@_login
@data_option
def opcua(data: Path, **options: Any) -> None:
    """Browse an OPC UA server: opc.tcp://HOST:4840. Whom we trust is in the data directory (`iotsense trust`)."""
    _discover("opcua", data=str(data), **options)


@discover.command()
@_common
@click.option("--units", help="Unit (slave) addresses to ask, such as 1 or 1-10,20 [default: 1].")
@click.option("--registers", help="Addresses to ask, such as 0-999 [default: 0-99].")
def modbus(**options: Any) -> None:
    """Ask a Modbus device which registers it has: tcp://HOST:502."""
    _discover("modbus", **options)


@discover.command()
@_common
@_listening
@click.option("--address", help="Our own address with its mask, such as 192.168.1.5/24.")
def bacnet(**options: Any) -> None:
    """Find the objects of BACnet/IP devices: bacnet://HOST:47808, or bacnet://*:47808 for all that answer."""
    _discover("bacnet", **options)


@discover.command()
@_common
@_listening
@click.option("--topic", "topics", multiple=True, help="What to listen to [default: everything, #].")
@_login
@_tls
def mqtt(**options: Any) -> None:
    """Listen to an MQTT broker: mqtt://HOST:1883 or mqtts://HOST:8883."""
    _discover("mqtt", **options)


@discover.command()
@_common
@_listening
@click.option("--group", help="Only this Sparkplug group.")
@_login
@_tls
def sparkplug(**options: Any) -> None:
    """Listen to the birth certificates of Sparkplug B nodes at an MQTT broker."""
    _discover("sparkplug", **options)


def _discover(
    protocol: str,
    url: str,
    twin: str | None,
    out: Path | None,
    as_json: bool,
    settings: tuple[tuple[str, Any], ...],
    **options: Any,
) -> None:
    from .ingest.look import look_at
    from .ingest.proposal import check_id, counted, propose
    from .ingest.proposal_yaml import proposal_yaml

    if out is not None and out.exists():
        raise click.UsageError(f"{out} is there already, and may be somebody's work; name another file")
    if out is not None and not out.parent.is_dir():
        raise click.UsageError(f"{out.parent} is no folder")
    if twin is not None:
        check_id(twin)
    asked = {name: options.pop(name) for name in _LOOK if name in options}
    with _watched(url) as tell:
        look = _look(asked, tell)
        found = asyncio.run(look_at(protocol, url, look, _settings(options) | dict(settings)))
    proposal = propose(found, look, twin)
    text = _json(proposal) if as_json else proposal_yaml(proposal, f"Proposed by `iotsense discover {protocol} {url}`")
    if out is None:
        click.echo(text, nl=False)
        return
    with out.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    counts = f"{counted(proposal.components, 'component')}, {counted(proposal.sensors, 'sensor')}"
    click.echo(f"Wrote {out}: {counts}. Next: iotsense validate {out}", err=True)


def _look(given: dict[str, Any], tell: Callable[[str, int], None]) -> "Look":
    from .ingest.found import Look
    from .twin.durations import parse_duration

    if "listen" in given:
        given["listen"] = parse_duration(given["listen"])
    return Look(**given, tell=tell)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """What was given, by the definition's names."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    tls = {name[4:]: given.pop(name) for name in tuple(given) if name.startswith("tls_")}
    return given | ({"tls": tls} if tls else {})


@contextmanager
def _watched(url: str) -> Iterator[Callable[[str, int], None]]:
    """Tells a person at the terminal how far it is."""
    from rich.console import Console

    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield lambda what, done: None
        return
    with terminal.status(f"looking at {url}") as status:
        yield lambda what, done: status.update(f"{what}: {done:,} points")


def _json(proposal: "Proposal") -> str:
    import json

    from .ingest.proposal import unclear, without_comments

    shown = {
        "definition": without_comments(proposal.document),
        "notes": proposal.notes,
        "unclear": unclear(proposal.document),
        "components": proposal.components,
        "sensors": proposal.sensors,
    }
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"
