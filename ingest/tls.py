"""Transport security for connections that asyncio makes."""

import ssl
from typing import Any

from ..twin.define_payload import Tls
from ..twin.errors import SourceError
from ..twin.substitution import reveal


class ClientContext(ssl.SSLContext):
    """Checks the server's certificate against `server_name`, if given, instead of the host's name."""

    server_name: str | None = None

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As ssl's own."""
        if self.server_name is not None:
            options["server_hostname"] = self.server_name
        return super().wrap_bio(*args, **options)


def client_context(tls: Tls) -> ClientContext:
    """What secures a connection; raises SourceError if a file of it cannot be used."""
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = tls.server_name
    try:
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


def tls_reason(error: BaseException) -> str | None:
    """What is wrong with a handshake, and what to do; None if the error is of another kind."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted ({error.verify_message}): check `tls.ca` and the host's name"
    if isinstance(error, ssl.SSLError):
        return (
            f"the TLS handshake failed ({error.reason or error}): check that the port speaks TLS, and our certificate"
        )
    return None


def server_context(tls: Tls) -> ssl.SSLContext:
    """For the server's side: our certificate; with `ca`, clients must have one that descends from it.

    Raises SourceError if a file of it cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        password = reveal(tls.key_password) if tls.key_password is not None else None
        context.load_cert_chain(tls.certificate or "", tls.key, password)
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        names = ", ".join(str(name) for name in (tls.ca, tls.certificate, tls.key) if name)
        raise SourceError(f"TLS: {names} cannot be used: {error.strerror or error}") from None
    return context
