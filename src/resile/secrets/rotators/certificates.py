"""Keys and certificates as PEM blocks: made, read, and compared."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from resile.errors import OperationError
from resile.secrets.value import Secret

if TYPE_CHECKING:
    from cryptography import x509

_KEY: Final = re.compile(
    rb"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----.*?-----END (?P=kind)-----", re.DOTALL
)
_COMMON_NAME_LENGTH_MAX: Final = 64
"""RFC 5280, appendix A.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A private key, and its certificate.

    Args:
        key: The key.
        certificates: That of the key first, then those above it.
    """

    key: Any
    certificates: "tuple[x509.Certificate, ...]"

    def fits(self) -> bool:
        """Tell whether the first certificate is of this key."""
        return bool(self.key.public_key() == self.certificates[0].public_key())

    def between(self) -> "Iterator[x509.Certificate]":
        """Give the certificates that a server sends along: all but the root, which clients have."""
        return (one for one in self.certificates if one.subject != one.issuer)


def read_pair(secret: Secret) -> Pair:
    """Read the PEM blocks of a secret.

    Raises:
        OperationError: If there is no key, or no certificate, or they cannot be read. It holds nothing of
            them.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = secret.reveal_bytes()
    try:
        found = _KEY.search(text)
        if found is not None:
            key = load_pem_private_key(found[0], password=None)
            certificates = tuple(x509.load_pem_x509_certificates(text))
            return Pair(key=key, certificates=certificates)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass  # Said below, without what the library says: it may hold a part of the key.
    raise OperationError(
        f"secret {secret.name!r} is no key with its certificate",
        hint="it holds PEM blocks, the key without a passphrase",
    )


def make_pair(
    names: tuple[str, ...], *, begins_at: datetime, ends_at: datetime, signer: Pair | None
) -> bytes:
    """Make a key (EC, P-256) and its certificate, as PEM blocks with the certificates above it.

    Args:
        names: The names and addresses that it is for.
        begins_at: From when on it is valid; aware.
        ends_at: Until when at the most; never longer than the signer.
        signer: The authority; None: it signs itself.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    if signer is not None:
        ends_at = min(ends_at, signer.certificates[0].not_valid_after_utc)
    leaf = _signed(_unsigned(names, key, signer, begins_at, ends_at), key, signer)
    above = () if signer is None else tuple(signer.between())
    return b"".join(
        (
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            *(one.public_bytes(Encoding.PEM) for one in (leaf, *above)),
        )
    )


def is_authority(certificate: "x509.Certificate") -> bool:
    """Tell whether it may sign others."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return bool(found.value.ca)


def is_signed(certificate: "x509.Certificate", signer: "x509.Certificate") -> bool:
    """Tell whether another one has signed it, and is named as its issuer."""
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def normal(name: str) -> str:
    """Write a name as certificates have it: an address in its one form, a name in lower case."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def names_of(certificate: "x509.Certificate") -> set[str]:
    """Give the names and addresses that it is for."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {normal(str(one.value)) for one in found}


def _unsigned(
    names: tuple[str, ...], key: Any, signer: Pair | None, begins_at: datetime, ends_at: datetime
) -> "x509.CertificateBuilder":
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    common_name = names[0][:_COMMON_NAME_LENGTH_MAX]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    above = (key if signer is None else signer.key).public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer.certificates[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectAlternativeName(list(_general(names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )


def _signed(
    builder: "x509.CertificateBuilder", key: Any, signer: Pair | None
) -> "x509.Certificate":
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed448, ed25519

    by = key if signer is None else signer.key
    is_edwards = isinstance(by, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(by, None if is_edwards else hashes.SHA256())


def _general(names: Iterable[str]) -> "Iterator[x509.GeneralName]":
    from cryptography import x509

    for name in names:
        try:
            yield x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            yield x509.DNSName(name)
