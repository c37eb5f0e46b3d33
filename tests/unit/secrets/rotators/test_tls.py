"""Certificates that are signed by an authority, and those that do not fit."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.support.rotators import shakes_hands

from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationReason
from resile.errors import ConfigError, OperationError
from resile.secrets import Secret, Turn
from resile.secrets.rotators.certificates import normal, read_pair
from resile.secrets.rotators.tls import TlsRotator
from resile.testing.secrets import FakeProvider

CA = "tls/ca"
TURN = Turn(rotation_id="r", name="tls/web", reason=RotationReason.MANUAL, before=None)
DAY_S = 86_400.0


def authority(*, key: Any = None, days: float = 365, is_ca: bool = True) -> str:
    """Make the authority of a company, as PEM."""
    key = key or ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the company")])
    now = SYSTEM_CLOCK.now()
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, None if is_edwards else hashes.SHA256())
    )
    blocks = (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    return b"".join(blocks).decode()


def certificates(pem: str) -> str:
    end = "-----END CERTIFICATE-----\n"
    return pem[: pem.index(end) + len(end)]


def rotator(ca: str = "", **options: Any) -> TlsRotator:
    provider = FakeProvider({CA: ca} if ca else {})
    usual: dict[str, Any] = {
        "ca": CA if ca else "",
        "names": ("localhost", "127.0.0.1", "0:0::1"),
        "lifetime_s": 90 * DAY_S,
    }
    return TlsRotator(provider=provider, clock=SYSTEM_CLOCK, **usual | options)


def made(by: TlsRotator) -> Turn:
    return replace(TURN, after=Secret("tls/web", "1", by.prepare(TURN)))


@pytest.mark.parametrize(
    "ca", ["no PEM at all", authority(is_ca=False), authority(days=-1), authority()[:600]]
)
def test_secret_that_is_no_authority_is_refused(ca: str) -> None:
    with pytest.raises(OperationError) as caught:
        rotator(ca).prepare(TURN)

    assert not caught.value.is_transient
    assert "BEGIN" not in str(caught.value)


def test_authority_with_the_key_of_another_is_refused() -> None:
    one, other = authority(), authority()
    mixed = certificates(one) + other.replace(certificates(other), "")

    with pytest.raises(OperationError, match="no certificate authority"):
        rotator(mixed).prepare(TURN)


def test_certificate_for_nobody_is_refused() -> None:
    with pytest.raises(ConfigError):
        rotator(names=())


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"names": ("localhost",)}, "lacks a name"),
        ({"ca": authority()}, "has not signed"),
        ({"ca": ""}, "has not signed"),
    ],
)
def test_certificate_that_does_not_fit_is_not_verified(other: dict[str, Any], fault: str) -> None:
    ca = authority()
    turn = made(rotator(**{"ca": ca} | other))

    with pytest.raises(OperationError, match=fault):
        rotator(ca).verify(turn)


def test_certificate_with_another_key_is_not_verified() -> None:
    by = rotator()
    one, other = (by.prepare(TURN).decode() for _ in range(2))
    key_end = "-----END PRIVATE KEY-----\n"
    mixed = one[: one.index(key_end)] + other[other.index(key_end) :]
    mixed = mixed.replace(one[: one.index(key_end)], other[: other.index(key_end)])
    swapped = other[: other.index(key_end)] + one[one.index(key_end) :]

    by.verify(replace(TURN, after=Secret("tls/web", "1", mixed.encode())))
    with pytest.raises(OperationError, match="another one's"):
        by.verify(replace(TURN, after=Secret("tls/web", "1", swapped.encode())))


def test_certificate_out_of_its_time_is_not_verified() -> None:
    turn = made(rotator())

    class Later:
        def now(self) -> datetime:
            return SYSTEM_CLOCK.now() + timedelta(days=91)

    late = rotator()
    late._clock = Later()  # type: ignore[assignment]

    with pytest.raises(OperationError, match="not valid now"):
        late.verify(turn)


@pytest.mark.parametrize("key", [None, ed25519.Ed25519PrivateKey.generate()])
def test_client_that_trusts_the_authority_trusts_the_server(key: Any) -> None:
    ca = authority(key=key)
    by = rotator(ca)
    turn = made(by)

    by.verify(turn)

    assert turn.after is not None
    for name in ("localhost", "127.0.0.1", "::1"):
        assert shakes_hands(turn.after, trusted=certificates(ca), name=name)
    assert not shakes_hands(turn.after, trusted=certificates(ca), name="elsewhere")
    assert not shakes_hands(turn.after, trusted=certificates(authority()))


def test_certificate_does_not_outlive_its_authority() -> None:
    ca = authority(days=3)
    turn = made(rotator(ca))

    rotator(ca).verify(turn)

    assert turn.after is not None
    leaf = read_pair(turn.after).certificates[0]
    assert leaf.not_valid_after_utc <= SYSTEM_CLOCK.now() + timedelta(days=3)


def test_names_are_compared_in_one_form() -> None:
    assert [normal(name) for name in ("Example.COM", "0:0::1", "127.0.0.1")] == [
        "example.com",
        "::1",
        "127.0.0.1",
    ]
