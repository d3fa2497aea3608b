"""How a connection to an MQTT broker is secured."""

import ssl
from typing import Any

from ..twin.define_payload import Tls
from ..twin.errors import SourceError
from ..twin.substitution import reveal


def tls_context(tls: Tls) -> "TlsContext":
    """What secures a connection. Raises SourceError if a file of it cannot be used."""
    try:
        context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = tls.server_name
        if tls.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls.ca is not None:
            context.load_verify_locations(tls.ca)
        else:
            context.load_default_certs()
        if tls.certificate is not None:
            password = reveal(tls.key_password) if tls.key_password is not None else None
            context.load_cert_chain(tls.certificate, tls.key, password)
    except OSError as error:
        names = ", ".join(str(name) for name in (tls.ca, tls.certificate, tls.key) if name)
        raise SourceError(f"TLS: {names} cannot be used: {error.strerror or error}") from None
    return context


class TlsContext(ssl.SSLContext):
    """Checks the server's certificate against `server_name`, if given, instead of the host's name."""

    server_name: str | None = None
    _wrapped: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As ssl's own, and remembers the socket."""
        if self.server_name is not None:
            options["server_hostname"] = self.server_name
        self._wrapped = super().wrap_socket(*args, **options)
        return self._wrapped

    def drop(self) -> None:
        """Closes the last socket: paho forgets it if the handshake fails."""
        if self._wrapped is not None:
            self._wrapped.close()
