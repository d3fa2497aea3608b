"""Options for tokens of OpenID Connect."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .twin.oidc_config import OidcConfig


class _GroupRole(click.ParamType):  # type: ignore[type-arg]  # generic only in new versions of click
    """`GROUP=ROLE`; in the environment several, with semicolons between: groups hold spaces and commas."""

    name = "GROUP=ROLE"
    envvar_list_splitter = ";"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Group and role."""
        from .twin.errors import InvalidValueError
        from .twin.oidc_config import parse_group_role

        try:
            return parse_group_role(value.strip()) if isinstance(value, str) else value
        except InvalidValueError as error:
            self.fail(str(error), param, ctx)


_OPTIONS = (
    click.option(
        "--oidc-issuer",
        envvar="IOTSENSE_OIDC_ISSUER",
        show_envvar=True,
        metavar="URL",
        help="Believe tokens that this issuer of OpenID Connect signed, as they name it (`iss`).",
    ),
    click.option(
        "--oidc-audience",
        envvar="IOTSENSE_OIDC_AUDIENCE",
        show_envvar=True,
        metavar="NAME",
        help="Whom its tokens must be made for (`aud`), such as iotsense.",
    ),
    click.option(
        "--oidc-groups-claim",
        default="groups",
        envvar="IOTSENSE_OIDC_GROUPS_CLAIM",
        show_default=True,
        show_envvar=True,
        metavar="CLAIM",
        help="The claim with the groups of whoever asks; dots lead into objects.",
    ),
    click.option(
        "--oidc-role",
        "oidc_roles",
        type=_GroupRole(),
        multiple=True,
        envvar="IOTSENSE_OIDC_ROLES",
        show_envvar=True,
        help="The role of a group, such as plant-operators=operator; the highest counts. Repeatable.",
    ),
)


def oidc_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options, and what they say as `oidc`: an OidcConfig, or None."""

    @functools.wraps(command)
    def with_oidc(
        *,
        oidc_issuer: str | None,
        oidc_audience: str | None,
        oidc_groups_claim: str,
        oidc_roles: tuple[tuple[str, Any], ...],
        **others: Any,
    ) -> Any:
        oidc = _config(oidc_issuer, oidc_audience, oidc_groups_claim, oidc_roles)
        return command(oidc=oidc, **others)

    wrapped: Callable[..., Any] = with_oidc
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _config(
    issuer: str | None, audience: str | None, groups_claim: str, roles: tuple[tuple[str, Any], ...]
) -> "OidcConfig | None":
    if issuer is None:
        if audience is not None or roles:
            raise click.UsageError("--oidc-audience and --oidc-role need an --oidc-issuer URL")
        return None
    if audience is None or not roles:
        raise click.UsageError("--oidc-issuer takes --oidc-audience NAME and at least one --oidc-role GROUP=ROLE")
    from .twin.oidc_config import OidcConfig

    return OidcConfig(issuer, audience, dict(roles), groups_claim)
