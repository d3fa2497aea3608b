"""Finding out whom a request acts for, before anything else is done with it.

Who shows nothing is nobody: open operations answer, all others ask who it is. Who shows something wrong is told so at
once, lest a mistake look like a lack of rights.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from ..twin.access import LOCAL, NOBODY, Principal, act_for
from ..twin.errors import IoTSenseError, OverloadedError, UnauthenticatedError
from .answer import error_answer

_CREDENTIALS = (b"authorization", b"x-api-key")
REFUSED = 4401
"""The code with which a WebSocket is closed whose credentials are wrong."""
SLOW_DOWN = 4429
"""The code with which a WebSocket is closed whose key has used up its rate."""


class Authenticator(Protocol):
    """One way to prove who asks: keys, tokens, sessions, certificates."""

    @property
    def required(self) -> bool:
        """Whether it is set up, so that nobody may pass any more without proof."""
        ...

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Whom the credentials in a request prove; None if there are none of this kind.

        Raises UnauthenticatedError if they prove nothing, OverloadedError if they have used up their rate.
        """
        ...


class Authentication:
    """Passes each request on, acting for its principal. Without any way to prove who asks, for this machine."""

    def __init__(self, app: ASGIApp, authenticators: Callable[[], Sequence[Authenticator]]) -> None:
        self._app = app
        self._authenticators = authenticators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in ("http", "websocket"):
            try:
                act_for(scope, await proven(scope, self._authenticators()))
            except IoTSenseError as error:
                await _refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def proven(scope: Scope, authenticators: Sequence[Authenticator]) -> Principal:
    """Whom a request acts for: nobody, if it shows nothing. Raises UnauthenticatedError, OverloadedError."""
    if _by_unix_socket(scope):
        return LOCAL
    for authenticator in authenticators:
        principal = await authenticator.authenticate(scope)
        if principal is not None:
            return principal
    if not any(authenticator.required for authenticator in authenticators):
        return LOCAL
    if any(name in _CREDENTIALS for name, _ in scope["headers"]):
        raise UnauthenticatedError("the key or token is of no kind that this service knows")
    return NOBODY


def _by_unix_socket(scope: Scope) -> bool:
    # Only this user can open the socket. Our own end of the connection tells: the other end of TCP is unknown, too,
    # once it has gone.
    server = scope.get("server")
    return server is not None and server[1] is None and server[0].endswith(".sock")


async def _refuse(error: IoTSenseError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": SLOW_DOWN if isinstance(error, OverloadedError) else REFUSED})
        return
    answer = error_answer(error)
    if answer.status_code == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="iotsense", error="invalid_token"'
    await answer(scope, receive, send)
