"""Headers about browsers: what every answer forbids them, and which pages of other hosts may use this service.

Names and meanings: the WHATWG Fetch standard (CORS), Content Security Policy Level 3, RFC 6797 (HSTS).
"""

from collections.abc import Collection, Iterable, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..twin.errors import InvalidValueError

Pairs = Sequence[tuple[bytes, bytes]]

CLOSED: Pairs = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), serial=(), usb=()",
    ),
    # Answers are data and not pages; the pages that there are bring a policy of their own.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""What goes with every answer that does not say otherwise itself."""
HSTS = (b"strict-transport-security", b"max-age=31536000")
"""Only under TLS; not for subdomains, which are somebody else's machines."""

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_MAY_SEND = (
    b"Accept, Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    b"Prefer, X-API-Key"
)
_MAY_READ = b"ETag, Revision, Retry-After, Allow, Location"
_PREFLIGHT_S = b"600"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ALLOW_ORIGIN = b"access-control-allow-origin"


class SecurityHeaders:
    """Adds to each answer what it does not forbid a browser itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = (*CLOSED, HSTS) if scope["scheme"] == "https" else CLOSED

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": completed(message.get("headers", ()), added)}
            await send(message)

        await self._app(scope, receive, sending)


class CrossOrigin:
    """CORS: lets pages of these origins, written as `parse_origin` does, read what is answered; no cookies go along.

    Their preflights, which browsers send without a key, are answered here.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = dict(scope["headers"])
        origin = asked.get(b"origin", b"")
        allowed = origin in self._origins
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
            await _answer_preflight(origin, send)
            return
        added: Pairs = ((_ALLOW_ORIGIN, origin), (b"access-control-expose-headers", _MAY_READ)) if allowed else ()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                # What is answered depends on who asks, also for those who are told nothing: caches have to know.
                headers = [*completed(message.get("headers", ()), added), (b"vary", b"Origin")]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, sending)


def completed(headers: Iterable[tuple[bytes, bytes]], added: Pairs) -> list[tuple[bytes, bytes]]:
    """The headers, and of the added those that they do not have."""
    had = list(headers)
    names = {name.lower() for name, _ in had}
    return had + [pair for pair in added if pair[0] not in names]


def parse_origin(text: str) -> str:
    """An origin as browsers write it: `https://hmi.example`, `http://10.0.0.7:3000`. Raises InvalidValueError."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    usual = parts.scheme in _DEFAULT_PORTS if host else False
    if not host or not usual or "*" in host or not host.isascii():
        raise InvalidValueError(f"{text!r} is no origin, such as https://hmi.example", "allow origin")
    if parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidValueError(f"an origin is scheme, host and port, and no more; not {text!r}", "allow origin")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


async def _answer_preflight(origin: bytes, send: Send) -> None:
    headers = [
        (_ALLOW_ORIGIN, origin),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", _MAY_SEND),
        (b"access-control-max-age", _PREFLIGHT_S),
        (b"vary", b"Origin"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
