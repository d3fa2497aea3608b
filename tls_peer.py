"""Who a TLS client is by its certificate, told to the application; uvicorn keeps that to itself.

It stands in `scope["extensions"]["tls"]` (the ASGI TLS extension, of which we fill what is needed here), and only if
the certificate was verified during the handshake.
"""

import asyncio
import ssl
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


def tls_peer(transport: asyncio.BaseTransport) -> dict[str, Any] | None:
    """The extension for a connection; None without a verified client certificate of one common name.

    client_cert_name: its subject (RFC 4514); client_cert_common_name: the CN in it; client_cert_expires: in seconds
    since the epoch.
    """
    shown = transport.get_extra_info("ssl_object")
    certificate = None if shown is None else shown.getpeercert()
    if not certificate:
        return None
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for field, value in subject if field == "commonName"]
    if len(names) != 1:
        return None
    return {
        "client_cert_name": ",".join(f"{field}={value}" for field, value in reversed(subject)),
        "client_cert_common_name": names[0],
        "client_cert_expires": float(ssl.cert_time_to_seconds(certificate["notAfter"])),
    }


class TlsWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, whose scope names the peer, and which lets nobody fail at a connection that it closed."""

    def handle_connect(self, event: Any) -> None:
        """uvicorn: the opening request has come. The application's task begins after this."""
        super().handle_connect(event)
        if (peer := tls_peer(self.transport)) is not None and self.response.status_code == 101:
            extensions: dict[str, Any] = {**(self.scope["extensions"] or {}), "tls": peer}
            self.scope["extensions"] = extensions

    async def send(self, message: ASGISendEvent) -> None:
        """uvicorn: something for the client.

        It closes by itself for frames that are none, and pings without an answer. The application learns that behind
        what it has not read yet, so what it sends until then is no mistake of its own.
        """
        if not self.close_sent:
            await super().send(message)
        elif message["type"] != "websocket.close":
            raise ClientDisconnected
