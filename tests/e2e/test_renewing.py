"""A certificate that has expired is renewed on a real system, by the command that its service declares."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.e2e.running import System, free_port, system
from tests.e2e.test_remedies import events, plans

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SERVER = """
import contextlib, socket, ssl
with socket.create_server(("127.0.0.1", {port})) as listener:
    while True:
        connection, _ = listener.accept()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("served.pem")
        with contextlib.suppress(OSError), connection:
            connection.settimeout(5)
            with context.wrap_socket(connection, server_side=True) as spoken:
                spoken.recv(65536)
                spoken.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
"""


@pytest.fixture
def sut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """Have a system that trusts an authority, which has signed three certificates; one is over."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    authority = signed(key, by=key, name="authority", until=now + timedelta(days=99))
    (tmp_path / "trusted.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name, until in (
        ("served", now + timedelta(days=9)),
        ("expired", now - timedelta(minutes=1)),
        ("renewed", now + timedelta(days=90)),
    ):
        (tmp_path / f"{name}.pem").write_bytes(served(by=key, until=until))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    with system(tmp_path) as made:
        yield made


def served(*, by: ec.EllipticCurvePrivateKey, until: datetime) -> bytes:
    """Make a key and its certificate for localhost, as one text."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = signed(key, by=by, name="localhost", until=until)
    return secret + made.public_bytes(serialization.Encoding.PEM)


def signed(
    key: ec.EllipticCurvePrivateKey, *, by: ec.EllipticCurvePrivateKey, name: str, until: datetime
) -> x509.Certificate:
    """Sign a certificate; the one that signs itself is an authority."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=100))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=key is by, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(by, hashes.SHA256())
    )


def test_expired_certificate_is_renewed_and_its_service_started_again(sut: System) -> None:
    port = free_port()
    sut.command_service(
        "api",
        SERVER.format(port=port),
        f'ready = {{ http = "https://localhost:{port}/", interval = "1s", timeout = "1s", fall = 2, rise = 1 }}\n'
        'renew = ["cp", "renewed.pem", "served.pem"]\n',
    )
    sut.up()
    sut.wait_up("api")
    first_pid = sut.service("api")["pid"]

    (sut.folder / "served.pem").write_bytes((sut.folder / "expired.pem").read_bytes())

    sut.wait("it is renewed", lambda: "renew_certificate" in plans(sut))
    sut.wait("its end", lambda: events(sut, "fault.closed"))
    sut.wait_up("api")
    (fault,) = events(sut, "fault.opened")
    assert fault["evidence"]["cause"] == "certificate"
    assert (sut.folder / "served.pem").read_bytes() == (sut.folder / "renewed.pem").read_bytes()
    assert sut.service("api")["pid"] != first_pid
    assert not events(sut, "fault.escalated")
