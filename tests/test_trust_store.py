"""The trust store: who is believed, and the verbs that say so."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from iotsense.cli import run_cli
from iotsense.ingest.trust_store import TrustStore, thumbprint
from iotsense.twin.errors import InvalidValueError, NotFoundError, SourceError

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
KEY = rsa.generate_private_key(65537, 2048)
CA_KEY = rsa.generate_private_key(65537, 2048)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: str = "plc", issuer: str | None = None, ca: bool = False, begin=NOW - DAY, end=NOW + 100 * DAY, key=KEY
) -> x509.Certificate:
    names = [x509.UniformResourceIdentifier(f"urn:{subject}"), x509.DNSName("plc.local")]
    made = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer or subject))
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(begin).not_valid_after(end)
    made = made.add_extension(x509.SubjectAlternativeName(names), False)
    made = made.add_extension(x509.BasicConstraints(ca, None), True)
    return made.sign(CA_KEY if issuer or ca else key, hashes.SHA256())


def der(made: x509.Certificate) -> bytes:
    return made.public_bytes(Encoding.DER)


def file(place: Path, made: x509.Certificate) -> str:
    path = place / f"{thumbprint(made)}.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return str(path)


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "data" / "trust")


def test_a_stranger_is_rejected_until_somebody_trusts_it(store: TrustStore) -> None:
    plc = certificate()
    with pytest.raises(SourceError, match=f"is not trusted.*iotsense trust add {thumbprint(plc)[:16]}"):
        store.require_trusted(der(plc), "10.0.0.1", "urn:plc")
    assert [(e.folder, e.uris) for e in store.entries()] == [("rejected", ("urn:plc",))]
    store.add(thumbprint(plc)[:10])
    assert store.require_trusted(der(plc), "10.0.0.1", "urn:plc") == []
    assert [e.folder for e in store.entries()] == ["trusted"]
    store.reject(thumbprint(plc))
    with pytest.raises(SourceError, match="is not trusted"):
        store.require_trusted(der(plc), "10.0.0.1", "urn:plc")


def test_an_authority_vouches_for_servers_under_their_names(store: TrustStore, tmp_path: Path) -> None:
    ca, plc = certificate("ca", ca=True, key=CA_KEY), certificate("plc", "ca")
    store.add(file(tmp_path, ca))
    assert store.require_trusted(der(plc), "plc.local", "urn:plc") == []
    with pytest.raises(SourceError, match=r"does not name the host 10\.0\.0\.1"):
        store.require_trusted(der(plc), "10.0.0.1", "urn:plc")
    with pytest.raises(SourceError, match="is not trusted"):
        store.require_trusted(der(certificate("other")), "plc.local", "urn:other")


def test_an_issuer_alone_vouches_for_nobody(store: TrustStore, tmp_path: Path) -> None:
    ca, plc = certificate("ca", ca=True, key=CA_KEY), certificate("plc", "ca")
    store.add(file(tmp_path, ca), "issuers")
    with pytest.raises(SourceError, match="is not trusted"):
        store.require_trusted(der(plc), "plc.local", "urn:plc")


def test_what_is_revoked_is_not_believed(store: TrustStore, tmp_path: Path) -> None:
    ca, plc = certificate("ca", ca=True, key=CA_KEY), certificate("plc", "ca")
    store.add(file(tmp_path, ca))
    revoked = x509.RevokedCertificateBuilder().serial_number(plc.serial_number).revocation_date(NOW).build()
    listed = x509.CertificateRevocationListBuilder().issuer_name(name("ca")).last_update(NOW).next_update(NOW + DAY)
    (store.directory / "crl").mkdir()
    crl = store.directory / "crl" / "ca.crl"
    crl.write_bytes(listed.add_revoked_certificate(revoked).sign(CA_KEY, hashes.SHA256()).public_bytes(Encoding.DER))
    with pytest.raises(SourceError, match="is revoked"):
        store.require_trusted(der(plc), "plc.local", "urn:plc")
    # A list that somebody else has signed revokes nothing, and must not look as if it did.
    crl.write_bytes(listed.add_revoked_certificate(revoked).sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER))
    with pytest.raises(SourceError, match="not signed by"):
        store.require_trusted(der(plc), "plc.local", "urn:plc")
    crl.write_bytes(b"rubbish")
    with pytest.raises(SourceError, match="no certificate revocation list"):
        store.require_trusted(der(plc), "plc.local", "urn:plc")


def test_time_and_name_must_fit(store: TrustStore, tmp_path: Path) -> None:
    for made, words in (
        (certificate(begin=NOW - 9 * DAY, end=NOW - DAY), "expired on"),
        (certificate(begin=NOW + DAY), "compare the clocks"),
    ):
        store.add(file(tmp_path, made))
        with pytest.raises(SourceError, match=words):
            store.require_trusted(der(made), "plc.local", "urn:plc")
    plc = certificate(end=NOW + 20 * DAY)
    store.add(file(tmp_path, plc))
    with pytest.raises(SourceError, match="belongs to urn:plc, but the server is urn:other"):
        store.require_trusted(der(plc), "plc.local", "urn:other")
    (remark,) = store.require_trusted(der(plc), "plc.local", "urn:plc")
    assert "expires on" in remark


def test_rejected_certificates_do_not_pile_up(store: TrustStore) -> None:
    for number in range(3):
        with pytest.raises(SourceError):
            store.require_trusted(der(certificate(f"plc{number}")), "h", None)
    assert len(store.entries()) == 3


def test_our_own_is_made_once(store: TrustStore) -> None:
    made, key = store.own("urn:us", "host")
    assert key.stat().st_mode & 0o777 == 0o600
    before = made.read_bytes()
    assert store.own("urn:us", "host")[0].read_bytes() == before
    # Another application of this directory has another one, and neither takes the other's place.
    other, _ = store.own("urn:others", "host")
    assert other != made and store.own("urn:others", "host")[0] == other
    assert store.own("urn:us", "host")[0].read_bytes() == before
    assert [(e.folder, e.uris) for e in store.entries()] == [("own", ("urn:us",)), ("own", ("urn:others",))]


def test_what_is_none_is_told(store: TrustStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no certificate's thumbprint begins with 'abc'"):
        store.add("abc")
    rubbish = tmp_path / "x.pem"
    rubbish.write_text("-----BEGIN nonsense")
    with pytest.raises(InvalidValueError, match="is no certificate"):
        store.add(str(rubbish))


def test_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert run_cli(["trust", "list", "--data", str(data)]) != 0
    data.mkdir()
    assert run_cli(["trust", "list", "--data", str(data)]) == 0
    plc = certificate()
    assert run_cli(["trust", "add", "--data", str(data), file(tmp_path, plc)]) == 0
    assert run_cli(["trust", "list", "--data", str(data)]) == 0
    out = capsys.readouterr().out
    assert "no certificate is known yet" in out and f"trusted now: {thumbprint(plc)}" in out and "urn:plc" in out
    assert run_cli(["trust", "reject", "--data", str(data), thumbprint(plc)[:8]]) == 0
    assert run_cli(["trust", "list", "--data", str(data), "--json"]) == 0
    assert '"folder": "rejected"' in capsys.readouterr().out
