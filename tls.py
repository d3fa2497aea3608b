"""The certificate that the service shows, read again without a restart when its files change."""

import asyncio
import logging
import ssl
import time
from pathlib import Path

from .certificate import validity
from .twin.errors import InvalidValueError

log = logging.getLogger("iotsense.service")

LOOK_S = 5.0


class ServerTls:
    """TLS 1.2 and newer with a certificate (and those that vouch for it) and its key, both PEM.

    `problem` says why files that changed could not be taken; the former certificate is shown on. `notice` and `concern`
    are about its end, of which the log is told once a day. Raises InvalidValueError if the files cannot be used at the
    start. `client_ca`, PEM, are those who sign certificates of clients; it is read at the start only.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._files = (certificate, key)
        self._seen = self._stamps()
        self.context = _context(certificate, key)
        if client_ca is not None:
            _ask_for_certificates(self.context, client_ca)
        self.problem: str | None = None
        self._validity = validity(certificate)
        self._told: tuple[int, object] | None = None

    @property
    def expires_in_s(self) -> int | None:
        """How long the certificate, or the first of those that vouch for it, is good still; below 0 once it is not."""
        return None if self._validity is None else round(self._validity.ends - time.time())

    @property
    def notice(self) -> str | None:
        """What is to be said about its end: from 30 days before."""
        return None if self._validity is None else self._validity.notice(time.time())

    @property
    def concern(self) -> str | None:
        """The same, from 7 days before."""
        return None if self._validity is None else self._validity.concern(time.time())

    async def follow(self) -> None:
        """Looks at the files every few seconds, until cancelled."""
        while True:
            self._tell()
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Takes over files that have changed, for connections from now on."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            _context(*self._files)  # first apart: half a pair must not reach the one that is used
            self.context.load_cert_chain(*self._files)
        except (InvalidValueError, OSError) as error:
            self.problem = f"the new certificate cannot be used, the former one still is: {error}"
            log.error("%s", self.problem)
            return
        self.problem = None
        self._validity = validity(self._files[0])
        log.info("a new certificate is used from now on: %s", self._files[0])

    def _tell(self) -> None:
        day = int(time.time() // 86_400), self._validity
        if day != self._told and (notice := self.notice) is not None:
            self._told = day
            log.warning("%s: %s", self._files[0], notice)

    def _stamps(self) -> tuple[int, ...]:
        return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in self._files)


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    for name, path in (("certificate", certificate), ("key", key)):
        if not path.is_file():
            raise InvalidValueError(f"there is no {name} at {path}", f"tls {name}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a password would ask for it at a terminal that nobody looks at.
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except _PasswordError:
        raise InvalidValueError(f"{key} is protected by a password; give one that is not", "tls key") from None
    except ssl.SSLError as error:
        raise InvalidValueError(f"{certificate} and {key} cannot be used: {_words(error)}", "tls certificate") from None
    except OSError as error:
        raise InvalidValueError(f"{error.filename or key} cannot be read: {error.strerror}", "tls key") from None
    return context


def _ask_for_certificates(context: ssl.SSLContext, authorities: Path) -> None:
    """Clients may show a certificate that these signed; whoever shows another one gets no connection."""
    if not authorities.is_file():
        raise InvalidValueError(f"there is no certificate at {authorities}", "tls client ca")
    try:
        context.load_verify_locations(authorities)
    except OSError as error:
        why = _words(error) if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidValueError(f"{authorities} cannot be used: {why}", "tls client ca") from None
    # Optional: people come with keys and sessions, and health is asked by those who have neither.
    context.verify_mode = ssl.CERT_OPTIONAL


class _PasswordError(Exception):
    """Somebody asks for a password."""


def _refuse_password() -> str:
    raise _PasswordError


def _words(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not the certificate's"
    if error.reason in ("NO_START_LINE", None) or "PEM" in str(error):
        return "they are not a certificate and a key in PEM"
    return str(error.reason or error).lower().replace("_", " ")
