"""The verbs about certificates of OPC UA servers: which are trusted, and which were rejected until somebody decides."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .cli_options import data_option, json_option, print_json, table

if TYPE_CHECKING:
    from .ingest.trust_store import TrustEntry, TrustStore


@click.group()
def trust() -> None:
    """Certificates of OPC UA servers: trusted, rejected, and our own.

    They are files of the data directory (DATA/trust); a running service looks at them when it connects.
    """


@trust.command("list")
@data_option
@json_option
def list_trust(data: Path, as_json: bool) -> None:
    """Show the certificates that are known."""
    entries = _store(data).entries()
    if as_json:
        print_json([_entry(entry) for entry in entries])
        return
    if not entries:
        click.echo("no certificate is known yet; a server's is kept here when it is first met")
        return
    rows = [[e.folder, e.thumbprint, e.subject, ", ".join(e.uris), f"{e.expires:%Y-%m-%d}"] for e in entries]
    table(["folder", "thumbprint", "subject", "application", "expires"], rows)


@trust.command()
@data_option
@click.argument("certificate")
@click.option("--issuer", is_flag=True, help="Believe this authority, but trust nobody only because of it.")
def add(data: Path, certificate: str, issuer: bool) -> None:
    """Trust a rejected CERTIFICATE, by the beginning of its thumbprint, or the one in a file.

    Trusting an authority's certificate trusts all servers that it vouches for, under the names that it gives them.
    """
    from .ingest.trust_store import ISSUERS, TRUSTED

    entry = _store(data).add(certificate, ISSUERS if issuer else TRUSTED)
    click.echo(f"{'believed' if issuer else 'trusted'} now: {entry.thumbprint} {entry.subject}")


@trust.command()
@data_option
@click.argument("certificate")
def reject(data: Path, certificate: str) -> None:
    """Trust a CERTIFICATE no longer, by the beginning of its thumbprint.

    A connection that is open stays open until the source is restarted.
    """
    entry = _store(data).reject(certificate)
    click.echo(f"rejected now: {entry.thumbprint} {entry.subject}")


def _store(data: Path) -> "TrustStore":
    from .ingest.opcua import TRUST
    from .ingest.trust_store import TrustStore
    from .twin.errors import NotFoundError

    if not data.is_dir():
        raise NotFoundError(f"there is no data directory {data}")
    return TrustStore(data / TRUST)


def _entry(entry: "TrustEntry") -> dict[str, object]:
    return {
        "folder": entry.folder,
        "thumbprint": entry.thumbprint,
        "subject": entry.subject,
        "applications": list(entry.uris),
        "expires": entry.expires.isoformat(),
        "file": str(entry.path),
    }
