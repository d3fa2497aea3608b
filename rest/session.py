"""Sessions of people at the console: a key, shown once, for a cookie that no script and no other page gets at."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from ..twin import access
from ..twin.access import NOBODY, Principal, acting_for
from ..twin.errors import ForbiddenError, InvalidValueError, NotFoundError, UnauthenticatedError
from ..twin.key_store import KeyStore
from ..twin.times import now_ns
from . import query
from .answer import json_answer
from .body import header
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint
from .key_authentication import KeyAuthentication
from .report_bodies import decoded

COOKIE = "iotsense-session"
LIFE_S = 12 * 3600
_MOST = 1000
_SAFE = ("GET", "HEAD", "OPTIONS")
PATH = f"{PREFIX}/session"


class _Session(NamedTuple):
    key: str
    created: int
    ends: float


class SessionAuthentication:
    """An `Authenticator` of cookies, and where sessions begin and end: with the process at the latest, or their key."""

    def __init__(self, keys: KeyStore, by_key: KeyAuthentication, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._by_key = by_key
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    @property
    def required(self) -> bool:
        """A session is a way to show a key, and no reason to ask for one."""
        return False

    def begin(self, token: str, address: str) -> str:
        """A new session for whoever shows a key: its cookie. Raises UnauthenticatedError, OverloadedError."""
        key = self._by_key.holder(token, address)
        if len(self._sessions) >= _MOST:
            del self._sessions[min(self._sessions, key=lambda id: self._sessions[id].ends)]
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = _Session(key.name, key.created, self._clock() + LIFE_S)
        return cookie

    def end(self, cookie: str) -> None:
        """It is over, if there was one."""
        self._sessions.pop(_digest(cookie), None)

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Whose session a cookie is. Raises ForbiddenError for a change that another page wants made in its name."""
        cookie = shown_cookie(scope)
        principal = None if cookie is None else self._holder(cookie)
        if principal is not None and (scope["type"] == "websocket" or scope["method"] not in _SAFE):
            _require_same_origin(scope)
        return principal

    def _holder(self, cookie: str) -> Principal | None:
        session = self._sessions.get(_digest(cookie))
        if session is None:
            return None
        try:
            key = self._keys.get(session.key)
            if key.created != session.created or self._clock() >= session.ends:
                raise UnauthenticatedError("the session is over")
            key.require_valid(key.digest, now_ns())
        except (NotFoundError, UnauthenticatedError):
            self.end(cookie)
            return None
        return replace(key.principal, still=lambda: self._require(cookie))

    def _require(self, cookie: str) -> None:
        if self._holder(cookie) is None:
            raise UnauthenticatedError("the session is over")


def shown_cookie(scope: Scope) -> str | None:
    """The session's cookie in a request."""
    shown = header(scope, b"cookie")
    if not shown:
        return None
    try:
        morsel = SimpleCookie(shown.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _require_same_origin(scope: Scope) -> None:
    # A browser sends the cookie along whoever made it ask; `Origin` it lets nobody forge.
    origin = header(scope, b"origin").decode("latin-1")
    if not origin or urlsplit(origin).netloc != header(scope, b"host").decode("latin-1"):
        raise ForbiddenError(f"a page of {origin[:100] or 'nowhere'} must not act in the name of this session")


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


class SessionView(msgspec.Struct):
    """Who asks. `required`: whether a key is needed here; `name` is null for nobody."""

    required: bool
    name: str | None
    scopes: list[access.Scope]
    part: bool


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """The key of who wants a session."""

    key: str


async def session(context: Context, request: Request) -> Response:
    """Who asks."""
    query.only(request)
    required = any(each.required for each in context.authenticators)
    return json_answer(_view(acting_for(request.scope), required), headers={"Cache-Control": "no-store"})


async def begin_session(context: Context, request: Request) -> Response:
    """Begins a session."""
    query.only(request)
    token = (await decoded(context, request, Login)).key.strip()
    sessions = _sessions(context)
    if sessions is None:
        raise InvalidValueError("there is no key here, so nobody needs a session", "key")
    cookie = sessions.begin(token, request.client.host if request.client else "")
    principal = sessions._holder(cookie)
    answer = json_answer(_view(principal or NOBODY, True), 201, {"Cache-Control": "no-store"})
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, cookie, max_age=LIFE_S, httponly=True, samesite="strict", secure=secure)
    return answer


async def end_session(context: Context, request: Request) -> Response:
    """Ends the session."""
    query.only(request)
    sessions, cookie = _sessions(context), shown_cookie(request.scope)
    if sessions is not None and cookie is not None:
        sessions.end(cookie)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _sessions(context: Context) -> SessionAuthentication | None:
    return next((each for each in context.authenticators if isinstance(each, SessionAuthentication)), None)


def _view(principal: Principal, required: bool) -> SessionView:
    name = None if principal is NOBODY else principal.name
    return SessionView(required, name, sorted(principal.scopes), principal.narrow)


ENDPOINTS = [
    Endpoint("GET", PATH, session, "Who asks", (Answer("And what for", SessionView),), "session", narrows=True),
    Endpoint(
        "POST",
        PATH,
        begin_session,
        "Begin a session with a key",
        (Answer("Who asks from now on; the cookie goes along", SessionView, status=201),),
        "session",
        body=Body({JSON: Login}),
        problems=(400, 401, 413, 415, 429),
        narrows=True,
    ),
    Endpoint(
        "DELETE", PATH, end_session, "End the session", (Answer("It is over", None, None, 204),), "session",
        narrows=True,
    ),
]  # fmt: skip
