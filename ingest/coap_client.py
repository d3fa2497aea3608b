"""A CoAP server's resources: observed (RFC 7641) where it can do that, else asked at an interval."""

from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ..twin.backoff import Backoff
from ..twin.define_coap import CoapResource
from ..twin.errors import IoTSenseError, SourceError
from ..twin.times import now_ns
from .adapter import Deliver
from .coap import address_of, client_transport, media_type, psk_credentials, require_coap
from .coap_resource import ObservedResource
from .configured import Configured
from .items import Items, together
from .message import Message
from .polling import Pace
from .reconnecting import ReconnectingAdapter, Surroundings
from .tls import client_context

if TYPE_CHECKING:
    import aiocoap


# How soon a resource in trouble is asked again, if the others of its server are well [s].
_RETRY_S = 10.0


class CoapClientAdapter(ReconnectingAdapter):
    """The resources of one `endpoint`. A representation is a message by its path (`Message.via`)."""

    protocol = "coap"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        super().__init__(source, surroundings, source.settings.endpoint, backoff)
        self._settings = source.settings

    async def attempt(self, deliver: Deliver) -> None:
        """Follows each resource until none of them answers."""
        settings = self._settings
        scheme, _, _ = address_of(settings.endpoint)
        require_coap(scheme)
        import aiocoap

        context = await aiocoap.Context.create_client_context(transports=[client_transport(scheme)])
        try:
            self._secure(context, scheme)
            items = Items(self.status, [resource.path for resource in settings.resources], self.connected)
            await together(self._follow(context, resource, items, deliver) for resource in settings.resources)
        finally:
            with suppress(Exception):  # of a transport that never came to be
                await context.shutdown()

    def _secure(self, context: "aiocoap.Context", scheme: str) -> None:
        if scheme == "coaps":
            if self._settings.psk is None:
                raise SourceError("coaps:// needs a key: set `psk` and `psk_identity`")
            context.client_credentials.load_from_dict({"coaps://*": {"dtls": psk_credentials(self._settings)}})
        elif scheme == "coaps+tcp" and self._settings.tls is not None:
            # aiocoap's own way knows neither our certificate nor another server name.
            secured = client_context(self._settings.tls)
            context.client_credentials.ssl_client_context = lambda scheme, host: secured

    async def _follow(
        self, context: "aiocoap.Context", settings: CoapResource, items: Items, deliver: Deliver
    ) -> NoReturn:
        resource = ObservedResource(context, self._settings.endpoint, settings, self._settings.timeout)
        pace: Pace | None = None
        try:
            while True:
                if pace is not None:
                    await pace.tick()
                try:
                    answer = await resource.next()
                except SourceError as error:
                    items.trouble(settings.path, str(error))
                    pace = Pace(min(resource.interval, _RETRY_S), self.status)
                    await pace.tick()
                    continue
                items.well(settings.path)
                if answer is not None:
                    await deliver([self._message(resource, answer, items)])
                # What the server does not tell by itself is asked for, at a pace that a slow store stretches.
                if resource.observed:
                    pace = None
                elif pace is None or pace.interval != resource.interval:
                    pace = Pace(resource.interval, self.status)
                    await pace.tick()
        finally:
            resource.close()

    def _message(self, resource: ObservedResource, answer: "aiocoap.Message", items: Items) -> Message:
        path, tag = resource.path, answer.opt.etag

        def refuse(error: IoTSenseError) -> None:
            items.note(path, f"what it says cannot be stored: {error}")
            resource.ask_again()

        return Message(
            self.name,
            payload=bytes(answer.payload),
            topic=path.strip("/"),
            via=path,
            content_type=media_type(answer.opt.content_format),
            received=now_ns(),
            ack=lambda: resource.remember(tag),
            refuse=refuse,
        )
