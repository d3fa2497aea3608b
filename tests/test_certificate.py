"""Certificates that come to their end: when that is, who is told, and from when on."""

import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import servers
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from service_fixtures import process
from test_tls import certificate, until

from iotsense.certificate import Validity, validity

DAY = 86_400


def signed(folder: Path, name: str, days: int) -> tuple[Path, Path]:
    """A certificate for so many days, and its key."""
    files = folder / f"{name}.pem", folder / f"{name}.key"
    request = f"req -x509 -newkey rsa:2048 -nodes -days {days} -subj /CN=plant -addext subjectAltName=IP:127.0.0.1"
    command = [servers.program("openssl"), *request.split(), "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


def expired(folder: Path) -> tuple[Path, Path]:
    """One whose end was yesterday, which openssl does not make."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plant")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=100)).not_valid_after(now - timedelta(days=1))
    files = folder / "expired.pem", folder / "expired.key"
    files[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@pytest.mark.needs("openssl")
def test_the_end_is_read_from_the_file(tmp_path: Path) -> None:
    for days in (1, 400, 10_000):  # the last ends after 2049, in another notation
        file, key = signed(tmp_path, f"days_{days}", days)
        found = validity(file)
        assert found is not None
        assert abs(found.begins - time.time()) < 60 and round((found.ends - found.begins) / DAY) == days
        command = [servers.program("openssl"), "x509", "-in", file, "-noout", "-enddate"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().partition("=")[2]
        said = datetime.strptime(told, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        assert found.ends == said.timestamp()
        assert validity(key) is None
    chain = tmp_path / "chain.pem"
    chain.write_text("".join((tmp_path / f"days_{days}.pem").read_text() for days in (400, 1, 10_000)))
    assert validity(chain) == validity(tmp_path / "days_1.pem"), "whichever ends first"
    (tmp_path / "torn.pem").write_text(f"{chain.read_text()[:400]}\n-----END CERTIFICATE-----\n")
    assert validity(tmp_path / "torn.pem") is None and validity(tmp_path / "nowhere.pem") is None


def test_it_is_said_in_time() -> None:
    end = datetime(2027, 3, 1, tzinfo=UTC)
    year = Validity((end - timedelta(days=365)).timestamp(), end.timestamp())
    week = Validity((end - timedelta(days=6)).timestamp(), end.timestamp())
    for each, days, notice, concern in (
        (year, 31, False, False),
        (year, 29, True, False),
        (year, 6, True, True),
        (year, -1, True, True),
        (week, 3, False, False),
        (week, 1.5, True, False),
        (week, 0.5, True, True),
    ):
        now = (end - timedelta(days=days)).timestamp()
        assert (each.notice(now) is not None, each.concern(now) is not None) == (notice, concern), days
    assert year.notice(end.timestamp() - 29.5 * DAY) == "the certificate expires in 29 days (2027-03-01 00:00Z)"
    assert "has expired" in str(year.concern(end.timestamp() + 1))


@pytest.mark.needs("openssl")
def test_the_service_says_so(tmp_path: Path) -> None:
    shown, key = certificate(tmp_path)
    with process(tmp_path / "data", "--tls-cert", str(shown), "--tls-key", str(key)) as running:
        with httpx.Client(base_url=running.url, verify=False) as http:

            def left() -> float:
                lines = http.get("/metrics").text.splitlines()
                return float(next(x for x in lines if x.startswith("iotsense_certificate_expiry_seconds ")).split()[1])

            assert 0 < left() <= 2 * DAY
            health = http.get("/health").json()
            assert health["status"] == "ok" and not any("expire" in each for each in health["notices"])
            for days in (100, -1):
                renewed = signed(tmp_path, "renewed", 100) if days > 0 else expired(tmp_path)
                key.write_bytes(renewed[1].read_bytes())
                shown.write_bytes(renewed[0].read_bytes())
                until(lambda days=days: abs(left() - days * DAY) < DAY / 2)  # type: ignore[misc]
            health = http.get("/health").json()
            assert health["status"] == "degraded"
            assert any("task tls: the certificate has expired" in each for each in health["reasons"])
            assert any("has expired" in each for each in health["notices"])
        until(lambda: "server.pem: the certificate has expired" in running.log)
    with process(tmp_path / "data") as running:
        assert "certificate_expiry" not in httpx.get(f"{running.url}/metrics").text
