"""An address that is asked for readings: one request, its retries, and what the answers mean in words."""

import asyncio
import os
import random
from typing import TYPE_CHECKING

from ..twin.define_protocols import HttpEndpoint
from ..twin.durations import format_duration
from ..twin.errors import SourceError
from ..twin.substitution import reveal
from .tls import tls_reason

if TYPE_CHECKING:
    import httpx

LARGEST = 16 << 20
"""The largest answer that is read [bytes]."""
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0


class Page:
    """One address. `fetch` returns what is there, or None if it is what was there at the last `remember`."""

    def __init__(self, client: "httpx.AsyncClient", endpoint: HttpEndpoint) -> None:
        self._client = client
        self.endpoint = endpoint
        self._validators: dict[str, str] = {}
        self.content_type: str | None = None
        self.answered: dict[str, str] = {}
        """The headers that ask for something else than the last answer."""

    async def fetch(self) -> bytes | None:
        """Asks, and again if the mistake may pass. Raises SourceError; InvalidValueError if a secret is not there."""
        tries = self.endpoint.retries + 1
        while True:
            tries -= 1
            try:
                async with asyncio.timeout(self.endpoint.timeout):
                    return await self._ask()
            except _PassingError as error:
                if not tries:
                    raise SourceError(str(error)) from None
                await asyncio.sleep(min(error.wait, self.endpoint.interval, _LONGEST_WAIT))
            except TimeoutError:
                if not tries:
                    limit = format_duration(self.endpoint.timeout)
                    raise SourceError(f"it does not answer within {limit} (`timeout`)") from None

    def remember(self, answered: dict[str, str]) -> None:
        """What was answered is durable: from now on only something else counts. answered: `answered` of that time."""
        self._validators = answered

    async def _ask(self) -> bytes | None:
        import httpx

        headers = {name: reveal(text) for name, text in self.endpoint.headers.items()} | self._validators
        try:
            async with self._client.stream(self.endpoint.method, self.endpoint.url, headers=headers) as answer:
                if answer.status_code == 304:
                    return None
                _check(answer)
                body = await _read(answer)
        except httpx.HTTPError as error:
            raise _PassingError(_reason(error)) from None
        except (UnicodeEncodeError, ValueError) as error:
            raise SourceError(f"a header cannot be sent: {type(error).__name__}") from None
        self.content_type = answer.headers.get("content-type")
        self.answered = {
            ask: answer.headers[told]
            for ask, told in (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
            if told in answer.headers
        }
        return body


class _PassingError(Exception):
    """A mistake that may pass; never leaves this module. wait [s]: how long to wait before the next try."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = 0.2 + 0.3 * random.random() if wait is None else wait


def _check(answer: "httpx.Response") -> None:
    status, phrase = answer.status_code, answer.reason_phrase
    if status == 200:
        return
    if status in _PASSING:
        wait = answer.headers.get("retry-after", "")
        raise _PassingError(f"it answers {status} {phrase}", float(wait) if wait.isdecimal() else None)
    if status in (401, 403):
        raise SourceError(f"it refuses us ({status} {phrase}): check the credentials in `headers`")
    if status in (404, 410):
        raise SourceError(f"there is nothing there ({status} {phrase}): check the `url`")
    if 300 <= status < 400:
        # Followed, it would take headers with secrets to wherever it likes.
        raise SourceError(f"it redirects to {answer.headers.get('location', '?')}: make that the `url`")
    raise SourceError(f"it answers {status} {phrase}; 200 is expected")


async def _read(answer: "httpx.Response") -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_bytes():
        size += len(part)
        if size > LARGEST:
            raise SourceError(f"its answer is larger than {LARGEST} bytes")
        parts.append(part)
    return b"".join(parts)


def _reason(error: Exception) -> str:
    """A failed request in words."""
    words = str(error) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if (reason := tls_reason(cause)) is not None:
            return reason
        if isinstance(cause, OSError) and cause.errno:
            # Of several addresses the last one's reason: better than that all of them failed.
            words = os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or words
        cause = cause.__cause__ or cause.__context__
    return f"it cannot be reached: {words}"
