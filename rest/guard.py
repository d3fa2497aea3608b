"""Keeps web pages of other hosts out as long as no key is needed: a browser here must not become their hand.

A page can reach a loopback service through the browser of whoever looks at it: by sending a form or opening a socket
(then `Origin` tells), or by pointing its own host name at 127.0.0.1 (then `Host` tells). Where a key is needed, a page
that has one may use it from anywhere, and one that has none gets nowhere. Pages of origins that were allowed by name
(`iotsense run --allow-origin`) may do what this machine's own may.
"""

import ipaddress
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from . import problem
from .answer import problem_answer


class Guard:
    """Passes requests on that name this machine as their host and come from no foreign page, `allowed` ones apart."""

    def __init__(self, app: ASGIApp, keyed: Callable[[], bool] = lambda: False, allowed: Collection[str] = ()) -> None:
        self._app = app
        self._keyed = keyed
        self._allowed = frozenset(allowed)
        self._known: set[tuple[bytes, bytes]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket") or self._keyed():
            await self._app(scope, receive, send)
            return
        host = origin = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        # Nearly all requests come with the same pair; what passed once passes again without parsing.
        if (host, origin) in self._known:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(host.decode("latin-1"), origin.decode("latin-1"))
        if refusal is None:
            if len(self._known) < 100:
                self._known.add((host, origin))
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await problem_answer(problem.document(*refusal))(scope, receive, send)

    def _refusal(self, host: str, origin: str) -> tuple[problem.Problem, str] | None:
        if not self._is_ours(_hostname(f"//{host}")):
            return problem.MISDIRECTED, f"this service answers for localhost, not for {host[:100]!r}"
        if origin and origin not in self._allowed and not self._is_ours(_hostname(origin)):
            return problem.ORIGIN, f"a page of {origin[:100]} must not use this service"
        return None

    def _is_ours(self, hostname: str | None) -> bool:
        if hostname is None:
            return False
        if hostname == "localhost" or hostname.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(hostname).is_loopback
        except ValueError:
            return False


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
