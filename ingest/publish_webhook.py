"""Publishing to a web service: POST requests `{type, timestamp, data}`, signed as Standard Webhooks are.

Each event is a request of its own; states that changed together are one, whose `data` is a list of telemetry documents.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterator, Sequence
from itertools import groupby

import httpx
import msgspec

from ..twin.define_publishing import WebhookPublishing
from ..twin.errors import SourceError
from ..twin.substitution import reveal
from ..twin.times import format_time
from .publish_message import JSON, STATE, Outgoing
from .publish_sender import RefusedMessageError
from .tls import client_context, tls_reason

_REFUSED = {400, 405, 406, 413, 415, 422, 501}
_ADVICE = {
    301: "it moved: set `url` to the new address", 302: "it moved: set `url` to the new address",
    307: "it moved: set `url` to the new address", 308: "it moved: set `url` to the new address",
    401: "it does not know us: check `headers` and `secret`", 403: "it does not let us: check `headers` and `secret`",
    404: "nothing is there: check the path of `url`", 410: "it is gone: take the endpoint out of the definition",
}  # fmt: skip
_PREFIX = "whsec_"
_LONGEST_WAIT_S = 600.0


class WebhookSender:
    """One web service; the connection is kept between requests."""

    default_topics = ("", "", "")

    def __init__(self, settings: WebhookPublishing) -> None:
        self.address = settings.url
        self._settings = settings
        self._http: httpx.AsyncClient | None = None
        self._key: bytes | None = None

    async def open(self) -> None:
        """Gets ready; whether anybody answers is seen with the first request."""
        settings = self._settings
        self._key = None if settings.secret is None else _key(reveal(settings.secret))
        headers = {name: reveal(value) for name, value in settings.headers.items()}
        verify = client_context(settings.tls) if settings.tls is not None else True
        self._http = httpx.AsyncClient(
            timeout=settings.timeout, verify=verify, headers={"User-Agent": "iotsense", **headers}, trust_env=False
        )

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """One request after another."""
        for id, type, body in _requests(messages):
            await self._post(id, type, body)

    async def _post(self, id: str, media_type: str, body: bytes) -> None:
        assert self._http is not None
        try:
            answer = await self._http.post(self.address, content=body, headers=self._headers(id, media_type, body))
        except httpx.TimeoutException:
            raise SourceError(f"no answer within {self._settings.timeout:g} s") from None
        except httpx.ConnectError as error:
            raise SourceError(_unreachable(error)) from None
        except httpx.HTTPError as error:
            raise SourceError(str(error) or type(error).__name__) from None
        if answer.is_success:
            return
        said = " ".join(answer.text[:200].split())
        words = f"it answers {answer.status_code} {answer.reason_phrase}" + (f": {said}" if said else "")
        if answer.status_code in _REFUSED:
            raise RefusedMessageError(words)
        await _patience(answer)
        advice = _ADVICE.get(answer.status_code)
        raise SourceError(f"{words}; {advice}" if advice else words)

    def _headers(self, id: str, media_type: str, body: bytes) -> dict[str, str]:
        stamp = str(int(time.time()))
        headers = {"Content-Type": media_type, "webhook-id": id, "webhook-timestamp": stamp}
        if self._key is not None:
            headers["webhook-signature"] = f"v1,{signature(self._key, id, stamp, body)}"
        return headers

    async def lost(self) -> None:
        """Never: each request stands for itself."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Closes what is kept open."""
        if self._http is not None:
            await self._http.aclose()


def signature(key: bytes, id: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA256 over `id.timestamp.body` in base64 (Standard Webhooks 1.0)."""
    return base64.b64encode(hmac.digest(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    """A secret as Standard Webhooks writes it, `whsec_` and base64, or any text."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass  # a text that only looks like it
    return secret.encode()


def _requests(messages: Sequence[Outgoing]) -> Iterator[tuple[str, str, bytes]]:
    """Id, media type and body of each request. The same messages have the same id."""
    for together, group in groupby(messages, _is_document):
        if not together:
            yield from ((each.id, each.media_type, each.encoded(_body(each))) for each in group)
            continue
        documents = list(group)
        id = hashlib.blake2b(" ".join(each.id for each in documents).encode(), digest_size=12).hexdigest()
        newest = format_time(max(each.time for each in documents))
        body = {"type": STATE, "timestamp": newest, "data": [each.data for each in documents]}
        yield f"state-{id}", JSON, msgspec.json.encode(body)


def _is_document(message: Outgoing) -> bool:
    return message.type == STATE and message.format in (None, "telemetry")


def _body(message: Outgoing) -> dict[str, object]:
    return {"type": message.type, "timestamp": format_time(message.time), "data": message.data}


def _unreachable(error: BaseException) -> str:
    """Why there is no connection: TLS, if it is deep within, else that nobody is there."""
    cause: BaseException | None = error
    while cause is not None:
        if (reason := tls_reason(cause)) is not None:
            return reason
        cause = cause.__cause__ or cause.__context__
    return f"nobody answers there ({error}): is it running, and are host and port right?"


async def _patience(answer: httpx.Response) -> None:
    """Waits as long as the service asks us to."""
    asked = answer.headers.get("retry-after", "")
    if answer.status_code in (429, 503) and asked.isdecimal():
        await asyncio.sleep(min(float(asked), _LONGEST_WAIT_S))
