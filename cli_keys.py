"""The verbs about keys: who may pass, and what for."""

from typing import TYPE_CHECKING, Any

import click

from .cli_options import coloured, connected, json_option, print_json, table, target_options
from .twin.access import Role, Scope

if TYPE_CHECKING:
    from .connection import Connection, Target


@click.group()
def keys() -> None:
    """Keys: who may pass, and what for.

    As long as there is none, whoever is on this machine may do everything, and nobody else may reach the service.
    """


@keys.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="A usual set of scopes.")
@click.option("--scope", "scopes", type=click.Choice([each.value for each in Scope]), multiple=True, help="A scope.")
@click.option("--under", metavar="NODE", multiple=True, help="This node and all below [default: the whole plant].")
@click.option("--expires", metavar="DURATION", help="For so long, such as 90d [default: for ever].")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Requests a second, at most.")
@click.option("--certificate", is_flag=True, help="For a client certificate whose common name is NAME; no text.")
@target_options
@json_option
def create(
    target: "Target",
    name: str,
    role: str | None,
    scopes: tuple[str, ...],
    under: tuple[str, ...],
    expires: str | None,
    rate: float | None,
    certificate: bool,
    as_json: bool,
) -> None:
    """Make a key called NAME, and show it: this once, for only its digest is kept.

    One for a certificate has no text to show; `iotsense run --tls-client-ca` names who signs such certificates.
    """
    if bool(role) == bool(scopes):
        raise click.UsageError("say what the key is for: --role ROLE, or --scope SCOPE (as often as needed)")
    what: dict[str, Any] = {"name": name, "role": role, "scopes": list(scopes), "under": list(under)}
    what |= {"expires": expires, "rate": rate, "certificate": certificate}
    _ask(target, "POST", "/keys", as_json, what)


@keys.command("list")
@target_options
@json_option
def list_keys(target: "Target", as_json: bool) -> None:
    """Show the keys, without their texts."""
    _list(target, as_json)


@keys.command("rotate")
@click.argument("name")
@click.option("--grace", default="1d", show_default=True, metavar="DURATION", help="How long the former text is good.")
@target_options
@json_option
def rotate(target: "Target", name: str, grace: str, as_json: bool) -> None:
    """Give the key NAME another text, and show it this once."""
    _ask(target, "POST", f"/keys/{name}/rotate", as_json, {"grace": grace})


@keys.command("revoke")
@click.argument("name")
@target_options
def revoke(target: "Target", name: str) -> None:
    """Let the key NAME be good no more, from the next request on."""
    _revoke(target, name)


@connected
async def _ask(connection: "Connection", method: str, path: str, as_json: bool, body: dict[str, Any]) -> None:
    made = await connection.request(method, path, json=body)
    if as_json:
        print_json(made)
        return
    key = made["key"]
    click.echo(f"key {key['name']}: {_allowed(key)}{_until(key)}", err=True)
    if not made["token"]:
        click.echo(f"Whoever shows a client certificate whose common name is {key['name']} may do that.", err=True)
        return
    click.echo("It is shown this once; whoever has it may do that. Send it as: Authorization: Bearer KEY", err=True)
    click.echo(made["token"])


@connected
async def _list(connection: "Connection", as_json: bool) -> None:
    found = (await connection.get("/keys"))["keys"]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("there is no key; `iotsense keys create NAME --role admin` makes one")
        return
    rows = [
        [key["name"], _shown(key), key["role"] or " ".join(key["scopes"]), _where(key),
         _expiry(key), key["rate"] and f"{key['rate']:g}/s", _day(key["last_used"]) or "never"]
        for key in found
    ]  # fmt: skip
    table(["key", "ends in", "role or scopes", "under", "expires", "rate", "last used"], rows)


@connected
async def _revoke(connection: "Connection", name: str) -> None:
    key = await connection.request("DELETE", f"/keys/{name}")
    click.echo(f"revoked: {key['name']} ({_shown(key)})")


def _shown(key: dict[str, Any]) -> str:
    return f"…{key['hint']}" if key["hint"] else str(key["kind"])


def _allowed(key: dict[str, Any]) -> str:
    what = key["role"] or ", ".join(key["scopes"])
    return f"{what}, {_where(key) or 'all of the plant'}"


def _where(key: dict[str, Any]) -> str:
    return " ".join(id or "(gone)" for id in key["under"] or ())


def _until(key: dict[str, Any]) -> str:
    return f", until {_day(key['expires'])}" if key["expires"] else ""


def _expiry(key: dict[str, Any]) -> Any:
    return coloured("expired") if key["expired"] else _day(key["expires"])


def _day(time: str | None) -> str | None:
    return time and time[:16] + "Z"
