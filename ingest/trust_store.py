"""Certificates of OPC UA: our own, those that are trusted, and those that were rejected until somebody decides.

A folder of the data directory, laid out as other OPC UA software does: `own/`, `trusted/`, `issuers/` (authorities that
are believed but vouch for nobody by themselves), `rejected/` (each DER or PEM), and `crl/`.
"""

import hashlib
import ipaddress
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..twin.errors import InvalidValueError, MissingExtraError, NotFoundError, SourceError

if TYPE_CHECKING:
    from cryptography import x509

TRUSTED, ISSUERS, REJECTED, OWN, REVOCATIONS = "trusted", "issuers", "rejected", "own", "crl"
_ENDINGS = (".der", ".pem", ".crt", ".cer")
_EXPIRES_SOON = timedelta(days=30)
_LONGEST_CHAIN = 6
_MOST_REJECTED = 100
_PRIVATE = 0o600
# Several connections and the OPC UA server may want our certificate at once, at the first start.
_MAKING = threading.Lock()


@dataclass(frozen=True, slots=True)
class TrustEntry:
    """A certificate. folder: `trusted`, `issuers`, `rejected` or `own`; thumbprint: SHA-1, as OPC UA has it."""

    folder: str
    thumbprint: str
    subject: str
    uris: tuple[str, ...]
    expires: datetime
    path: Path


class TrustStore:
    """The certificates of a data directory. Made when something is put into it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def entries(self) -> list[TrustEntry]:
        """All certificates, trusted ones first."""
        return [
            _entry(folder, path, certificate)
            for folder in (TRUSTED, ISSUERS, REJECTED, OWN)
            for path, certificate in self._certificates(folder)
        ]

    def require_trusted(self, der: bytes, host: str, application_uri: str | None) -> list[str]:
        """Raises SourceError with what to do unless a server's certificate is trusted; otherwise remarks about it.

        A certificate that lies in `trusted` is trusted as it is; one that an authority in `trusted` vouches for must
        also name the host.
        """
        certificate = read_certificate(der)
        name = f"the server's certificate {_name(certificate)}"
        _require_valid(certificate, name)
        chain = self._chain(certificate)
        self._require_not_revoked([certificate, *chain], name)
        trusted = {thumbprint(each) for _, each in self._certificates(TRUSTED)}
        if thumbprint(certificate) not in trusted:
            if not any(thumbprint(each) in trusted for each in chain):
                self._reject(certificate)
                raise SourceError(
                    f"{name} is not trusted: compare the thumbprint with what the server itself shows, then "
                    f"`iotsense trust add {thumbprint(certificate)[:16]}`"
                )
            if not _names_host(certificate, host):
                raise SourceError(f"{name} does not name the host {host}; use the name that it has, or trust it itself")
        if application_uri and application_uri not in (uris := _uris(certificate)):
            raise SourceError(f"{name} belongs to {', '.join(uris) or 'nobody'}, but the server is {application_uri}")
        return _remarks(certificate, name)

    def require_trusted_client(self, der: bytes, application_uri: str | None) -> None:
        """Raises SourceError unless a client's certificate, or an authority above it, is trusted; it is kept then."""
        certificate = read_certificate(der)
        name = f"the client's certificate {_name(certificate)}"
        _require_valid(certificate, name)
        chain = self._chain(certificate)
        self._require_not_revoked([certificate, *chain], name)
        trusted = {thumbprint(each) for _, each in self._certificates(TRUSTED)}
        if not trusted.intersection(thumbprint(each) for each in (certificate, *chain)):
            self._reject(certificate)
            raise SourceError(f"{name} is not trusted: `iotsense trust add {thumbprint(certificate)[:16]}`")
        if application_uri and application_uri not in _uris(certificate):
            raise SourceError(f"{name} is not for {application_uri}")

    def add(self, what: str, folder: str = TRUSTED) -> TrustEntry:
        """Trusts a rejected certificate, by the beginning of its thumbprint, or the one in a file.

        Raises NotFoundError or InvalidValueError.
        """
        path = Path(what)
        if path.is_file():
            certificate = read_certificate(path.read_bytes(), str(path))
        else:
            found = self._find(what, (REJECTED, ISSUERS, TRUSTED))
            certificate = read_certificate(found.path.read_bytes())
        entry = self._put(folder, certificate)
        for other in {TRUSTED, ISSUERS, REJECTED} - {folder}:
            self._take_out(other, certificate)
        return entry

    def reject(self, what: str) -> TrustEntry:
        """Trusts a certificate no longer; raises NotFoundError."""
        found = self._find(what, (TRUSTED, ISSUERS, REJECTED))
        certificate = read_certificate(found.path.read_bytes())
        entry = self._put(REJECTED, certificate)
        for folder in (TRUSTED, ISSUERS):
            self._take_out(folder, certificate)
        return entry

    def own(self, application_uri: str, host: str) -> tuple[Path, Path]:
        """Our certificate (DER) and its private key (PEM), made if there is none for this application URI."""
        mark = hashlib.sha256(application_uri.encode()).hexdigest()[:8]
        with _MAKING:
            for suffix in ("", f"_{mark}"):
                certificate = self.directory / OWN / f"certificate{suffix}.der"
                key = self.directory / OWN / f"private_key{suffix}.pem"
                if not (certificate.is_file() and key.is_file()):
                    break
                known = read_certificate(certificate.read_bytes(), str(certificate))
                if application_uri in _uris(known):
                    if known.not_valid_after_utc > datetime.now(UTC):
                        return certificate, key
                    break
            certificate.parent.mkdir(parents=True, exist_ok=True)
            _make_own(certificate, key, application_uri, host)
            return certificate, key

    # Files

    def _certificates(self, folder: str) -> Iterator[tuple[Path, "x509.Certificate"]]:
        for path in sorted((self.directory / folder).glob("*")):
            if path.suffix.lower() in _ENDINGS and not path.name.startswith("private_key"):
                yield path, read_certificate(path.read_bytes(), str(path))

    def _find(self, prefix: str, folders: Sequence[str]) -> TrustEntry:
        wanted = prefix.replace(":", "").lower()
        found = [e for e in self.entries() if e.folder in folders and wanted and e.thumbprint.startswith(wanted)]
        if not found:
            raise NotFoundError(f"no certificate's thumbprint begins with {prefix!r}, and there is no such file")
        if len({entry.thumbprint for entry in found}) > 1:
            raise NotFoundError(f"several thumbprints begin with {prefix!r}: give more of it")
        return found[0]

    def _put(self, folder: str, certificate: "x509.Certificate") -> TrustEntry:
        from cryptography.hazmat.primitives.serialization import Encoding

        path = self.directory / folder / f"{thumbprint(certificate)}.der"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(certificate.public_bytes(Encoding.DER))
        return _entry(folder, path, certificate)

    def _take_out(self, folder: str, certificate: "x509.Certificate") -> None:
        for path, other in list(self._certificates(folder)):
            if other == certificate:
                path.unlink()

    def _reject(self, certificate: "x509.Certificate") -> None:
        """Kept for whoever decides; bounded, since anybody may show us certificates."""
        self._put(REJECTED, certificate)
        known = sorted((self.directory / REJECTED).glob("*.der"), key=lambda path: path.stat().st_mtime)
        for path in known[:-_MOST_REJECTED]:
            path.unlink()

    # Chains

    def _chain(self, certificate: "x509.Certificate") -> list["x509.Certificate"]:
        """The authorities above a certificate that we know, the nearest first."""
        known = [each for folder in (TRUSTED, ISSUERS) for _, each in self._certificates(folder)]
        chain: list[x509.Certificate] = []
        below = certificate
        while below.issuer != below.subject and len(chain) < _LONGEST_CHAIN:
            above = next((each for each in known if _issued(each, below)), None)
            if above is None:
                break
            _require_valid(above, f"the authority's certificate {_name(above)}")
            chain.append(above)
            below = above
        return chain

    def _require_not_revoked(self, certificates: Sequence["x509.Certificate"], name: str) -> None:
        lists = [(path, _read_list(path)) for path in sorted((self.directory / REVOCATIONS).glob("*"))]
        authorities = [each for folder in (TRUSTED, ISSUERS) for _, each in self._certificates(folder)]
        for certificate in certificates:
            for path, revoked in lists:
                if revoked.issuer != certificate.issuer:
                    continue
                if not any(_signed(revoked, above) for above in authorities if above.subject == revoked.issuer):
                    raise SourceError(f"{path} is not signed by an authority that is known here: replace or remove it")
                if revoked.get_revoked_certificate_by_serial_number(certificate.serial_number):
                    raise SourceError(f"{name} is revoked: nobody vouches for {_name(certificate)} any more")


def read_certificate(data: bytes, name: str = "the certificate") -> "x509.Certificate":
    """A certificate in DER (the first of a chain) or PEM; raises InvalidValueError."""
    try:
        from cryptography import x509
    except ImportError:
        raise MissingExtraError("OPC UA", "opcua") from None
    try:
        if data.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(data)
        length = int.from_bytes(data[2:4], "big") + 4
        return x509.load_der_x509_certificate(data[:length] if data[1:2] == b"\x82" else data)
    except ValueError:
        raise InvalidValueError(f"{name} is no certificate in PEM or DER") from None


def thumbprint(certificate: "x509.Certificate") -> str:
    """SHA-1 over the DER form, by which OPC UA software knows certificates; lower-case hex."""
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA1()).hex()


def application_uri_of(certificate: "x509.Certificate") -> str | None:
    """The application URI that a certificate is for."""
    return next(iter(_uris(certificate)), None)


def _entry(folder: str, path: Path, certificate: "x509.Certificate") -> TrustEntry:
    subject = certificate.subject.rfc4514_string()
    return TrustEntry(
        folder, thumbprint(certificate), subject, _uris(certificate), certificate.not_valid_after_utc, path
    )


def _name(certificate: "x509.Certificate") -> str:
    return f"{thumbprint(certificate)[:16]} ({certificate.subject.rfc4514_string()})"


def _alternative_names(certificate: "x509.Certificate") -> Any:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _uris(certificate: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    return tuple(_alternative_names(certificate).get_values_for_type(x509.UniformResourceIdentifier))


def _names_host(certificate: "x509.Certificate", host: str) -> bool:
    from cryptography import x509

    names = _alternative_names(certificate)
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return host.lower() in [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def _issued(above: "x509.Certificate", below: "x509.Certificate") -> bool:
    from cryptography import x509

    try:
        below.verify_directly_issued_by(above)
        return bool(above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except Exception:  # a wrong issuer, a signature that does not fit, a key that cannot sign: not by this one
        return False


def _signed(revoked: "x509.CertificateRevocationList", above: "x509.Certificate") -> bool:
    key: Any = above.public_key()
    return bool(revoked.is_signature_valid(key))


def _read_list(path: Path) -> "x509.CertificateRevocationList":
    from cryptography import x509

    data = path.read_bytes()
    try:
        pem = data.lstrip().startswith(b"-----")
        return x509.load_pem_x509_crl(data) if pem else x509.load_der_x509_crl(data)
    except ValueError:
        raise SourceError(f"{path} is no certificate revocation list: replace or remove it") from None


def _require_valid(certificate: "x509.Certificate", name: str) -> None:
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        raise SourceError(f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: it must be renewed there")
    if certificate.not_valid_before_utc > now:
        begin = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise SourceError(f"{name} is valid from {begin} on: compare the clocks of both machines")


def _remarks(certificate: "x509.Certificate", name: str) -> list[str]:
    if certificate.not_valid_after_utc - datetime.now(UTC) < _EXPIRES_SOON:
        return [f"{name} expires on {certificate.not_valid_after_utc:%Y-%m-%d}"]
    return []


def expiry_remarks(path: Path, name: str) -> list[str]:
    """What is to be told of a certificate of ours that expires soon."""
    return _remarks(read_certificate(path.read_bytes(), str(path)), name)


def _make_own(certificate_file: Path, key_file: Path, application_uri: str, host: str) -> None:
    from asyncua.crypto.cert_gen import (
        dump_private_key_as_pem,
        generate_private_key,
        generate_self_signed_app_certificate,
    )
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = generate_private_key()
    names = [x509.UniformResourceIdentifier(application_uri), x509.DNSName(host)]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    made = generate_self_signed_app_certificate(
        key, f"IoTSense@{host}"[:64], {"organizationName": "IoTSense"}, names, usages, days=3650
    )
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(dump_private_key_as_pem(key))
    certificate_file.write_bytes(made.public_bytes(Encoding.DER))
