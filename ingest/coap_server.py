"""A CoAP server of ours that devices send their readings to: POST or PUT, at any path."""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

from ..twin.backoff import Backoff
from ..twin.errors import SourceError
from .adapter import Deliver
from .coap import address_of, psk_credentials, require_coap
from .configured import Configured
from .reconnecting import ReconnectingAdapter, Surroundings
from .tls import server_context

_TRANSPORTS = {"coap": "udp6", "coaps": "tinydtls_server", "coap+tcp": "tcpserver", "coaps+tcp": "tlsserver"}


class CoapServerAdapter(ReconnectingAdapter):
    """One address of ours. It runs while the address is open; `connects` counts how often it was opened."""

    protocol = "coap"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        super().__init__(source, surroundings, source.settings.listen, backoff)
        self._settings = source.settings

    async def attempt(self, deliver: Deliver) -> None:
        """Listens until cancelled."""
        scheme, host, port = address_of(self._settings.listen)
        require_coap(scheme)
        import aiocoap

        from .coap_inbox import Inbox

        # aiocoap is told the port without security, of which a secured one is the next.
        bind = (host, port - scheme.startswith("coaps"))
        inbox = Inbox(self.name, [resource.path for resource in self._settings.resources], deliver)
        try:
            context = await aiocoap.Context.create_server_context(
                inbox, bind=bind, transports=[_TRANSPORTS[scheme]], **self._security(scheme)
            )
        except OSError as error:
            raise SourceError(f"{host} port {port} cannot be opened: {error.strerror or error}") from None
        except ValueError as error:  # coaps:// on all addresses at once
            raise SourceError(f"{host} port {port} cannot be opened: name one address ({error})") from None
        try:
            self.connected()
            await asyncio.Event().wait()
        finally:
            with suppress(Exception):
                await context.shutdown()

    def _security(self, scheme: str) -> dict[str, Any]:
        """What aiocoap is given to secure the scheme with."""
        from aiocoap.credentials import CredentialsMap

        if scheme == "coaps":
            if self._settings.psk is None:
                raise SourceError("coaps:// needs a key: set `psk` and `psk_identity`")
            credentials = CredentialsMap()
            credentials.load_from_dict({"coaps://*": {"dtls": psk_credentials(self._settings)}})
            return {"server_credentials": credentials}
        if scheme == "coaps+tcp":
            return {"_ssl_context": self._tls()}
        return {}

    def _tls(self) -> ssl.SSLContext:
        tls = self._settings.tls
        if tls is None or tls.certificate is None:
            raise SourceError("coaps+tcp:// needs `tls` with our `certificate` and its `key`")
        return server_context(tls)
