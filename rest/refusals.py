"""Refusals for lack of rights, told to the audit log: whatever is answered with 401 or 403, by whichever door."""

from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..twin.access import proven_name
from ..twin.audit_trail import Asking
from .context import Context

_REFUSED = {401: "unauthenticated", 403: "forbidden"}
_CLOSED = {4401: "unauthenticated", 4403: "forbidden"}


class Refusals:
    """Passes requests on, and looks at how they are answered."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket") or self._context.audit is None:
            await self._app(scope, receive, send)
            return
        refused: str | None = None

        async def watched(message: Message) -> None:
            nonlocal refused
            kind = message["type"]
            if kind == "http.response.start":
                refused = _REFUSED.get(message["status"])
            elif refused is not None and kind == "http.response.body":
                self._tell(scope, refused, message.get("body", b""))
                refused = None
            elif kind == "websocket.close" and message.get("code") in _CLOSED:
                self._tell(scope, _CLOSED[message["code"]], b"")
            await send(message)

        await self._app(scope, receive, watched)

    def _tell(self, scope: Scope, outcome: str, body: bytes) -> None:
        assert self._context.audit is not None
        client = scope.get("client")
        # The path without the query: some clients put their password there.
        what = f"{scope.get('method', 'WEBSOCKET')} {scope['path']}"
        asking = Asking(proven_name(scope), client[0] if client else "", what)
        self._context.audit.refused(asking, outcome, _detail(body))


def _detail(body: bytes) -> str | None:
    try:
        told: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    return str(told["detail"]) if isinstance(told, dict) and "detail" in told else None
