"""Asking HTTP addresses for readings, at an interval each: devices, gateways and services that have no push."""

from typing import NoReturn

from ..twin.backoff import Backoff
from ..twin.errors import IoTSenseError, SourceError
from ..twin.times import now_ns
from .adapter import Deliver
from .configured import Configured
from .http_page import Page
from .items import Items, together
from .message import Message
from .polling import Pace
from .reconnecting import ReconnectingAdapter, Surroundings
from .tls import client_context


class HttpPollAdapter(ReconnectingAdapter):
    """The addresses of one `http` entry. An answer is a message by its address (`Message.via`), which picks the parser.

    An answer that is known already (ETag, Last-Modified) is no reading. It counts as known once it is durable, so that
    what storage refused is asked for again.
    """

    protocol = "http"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        self._endpoints = source.settings.endpoints
        more = len(self._endpoints) - 1
        address = self._endpoints[0].url + (f" and {more} more" if more else "")
        super().__init__(source, surroundings, address, backoff)
        self._tls = source.settings.tls

    async def attempt(self, deliver: Deliver) -> None:
        """Asks each address at its own pace until none of them answers."""
        import httpx

        context = client_context(self._tls) if self._tls is not None else True
        items = Items(self.status, [endpoint.url for endpoint in self._endpoints], self.connected)
        async with httpx.AsyncClient(verify=context, follow_redirects=False, timeout=None) as client:
            pages = [Page(client, endpoint) for endpoint in self._endpoints]
            await together(self._poll(page, items, deliver) for page in pages)

    async def _poll(self, page: Page, items: Items, deliver: Deliver) -> NoReturn:
        pace, url = Pace(page.endpoint.interval, self.status), page.endpoint.url
        while True:
            await pace.tick()
            try:
                body = await page.fetch()
            except SourceError as error:
                items.trouble(url, str(error))
                continue
            items.well(url)
            if body is not None:
                await deliver([self._message(page, body, items)])

    def _message(self, page: Page, body: bytes, items: Items) -> Message:
        answered = page.answered

        def refuse(error: IoTSenseError) -> None:
            items.note(page.endpoint.url, f"what it says cannot be stored: {error}")

        return Message(
            self.name,
            payload=body,
            via=page.endpoint.url,
            content_type=page.content_type,
            received=now_ns(),
            ack=lambda: page.remember(answered),
            refuse=refuse,
        )
