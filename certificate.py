"""Until when certificates are good, read from their files (RFC 5280 in DER) without a library for them."""

import binascii
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_DAY = 86_400
WARN_S, URGENT_S = 30 * _DAY, 7 * _DAY
"""How long before its end a certificate is worth a notice, and a reason for concern [s]."""


class Validity(NamedTuple):
    """From when to when, in seconds since the epoch."""

    begins: float
    ends: float

    def notice(self, now: float) -> str | None:
        """What is to be said at a time: from 30 days before its end, those of short life from a third of it."""
        return self._words(now) if self.ends - now < min(WARN_S, (self.ends - self.begins) / 3) else None

    def concern(self, now: float) -> str | None:
        """What is to be worried about at a time: from 7 days before its end, those of short life from a tenth of it."""
        return self._words(now) if self.ends - now < min(URGENT_S, (self.ends - self.begins) / 10) else None

    def _words(self, now: float) -> str:
        day = datetime.fromtimestamp(self.ends, UTC).strftime("%Y-%m-%d %H:%MZ")
        if self.ends <= now:
            return f"the certificate has expired ({day}); clients refuse it"
        return f"the certificate expires in {max(0, int((self.ends - now) / _DAY))} days ({day})"


def validity(path: Path) -> Validity | None:
    """That of the certificates in a PEM file which ends first; None if none can be read."""
    try:
        found = [_validity(ssl.PEM_cert_to_DER_cert(pem)) for pem in _PEM.findall(path.read_text("latin-1"))]
    except (OSError, ValueError, IndexError, binascii.Error):
        return None
    return min(found, key=lambda each: each.ends, default=None)


def _validity(der: bytes) -> Validity:
    fields = _elements(_elements(_elements(der)[0][1])[0][1])
    # version [0], if it is there, then serial number, algorithm, issuer, validity
    at = 4 if fields[0][0] == 0xA0 else 3
    begins, ends = (_time(tag, value) for tag, value in _elements(fields[at][1]))
    return Validity(begins, ends)


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of what stands one after the other."""
    found, at = [], 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            more = length & 0x7F
            length = int.from_bytes(der[at : at + more])
            at += more
        found.append((tag, der[at : at + length]))
        at += length
    return found


def _time(tag: int, value: bytes) -> float:
    text = value.decode("ascii")
    if tag == 0x17:  # UTCTime: two digits of a year between 1950 and 2049
        text = ("20" if text[:2] < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
