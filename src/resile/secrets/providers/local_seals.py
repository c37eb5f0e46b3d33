"""The cryptography of the local store: AES-256-GCM for what is kept, HMAC-SHA-256 for what stands beside it.

From the master key three keys are derived for each store: one wraps, one authenticates rows, and one is
the check value that tells a wrong master key. Each version has a random key of its own, which seals its value
once and is wrapped by the first of the three. All nonces are random: a version's key is used once, and the
wrapping key far less often than the 2^32 times that random nonces allow. Both seals bind the place, which is
store, name, number and format, so nothing opens anywhere else.

Source: NIST SP 800-38D, 8.2.2 and 8.3 (random nonces); RFC 5869, 2.3 (derivation; the master key is uniform).
"""

import hashlib
import hmac
import os
from typing import Protocol

from resile.errors import MissingExtraError, SecretDamagedError

FORMAT = 1
KEY_BYTES = 32
NONCE_BYTES = 12
CHECK_BYTES = 16
Part = str | bytes | int | None


class _Aead(Protocol):
    """What the library's cipher does; naming its type would load the library."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...


class Seals:
    """What is derived from a master key for one store. Immutable. Safe to share between threads.

    Never shown: its repr tells nothing.

    Args:
        master: The master key, 32 uniform bytes.
        store_id: The store.
    """

    def __init__(self, master: bytes, store_id: bytes) -> None:
        self._store_id = store_id
        self._wrapping = _aes(_derive(master, "wrap", store_id))
        self._rows = _derive(master, "rows", store_id)
        self.check = _derive(master, "check", store_id)[:CHECK_BYTES]

    def __repr__(self) -> str:
        return "Seals()"

    def place(self, name: str, number: int) -> bytes:
        """Give what a seal binds in: where in which store it stands."""
        return encoded(self._store_id, name, number, FORMAT)

    def seal(self, place: bytes, value: bytes) -> tuple[bytes, bytes]:
        """Seal a value with a key of its own; give that key, wrapped, and the sealed value."""
        key = os.urandom(KEY_BYTES)
        return self.wrap(place, key), _closed(_aes(key), value, place)

    def open(self, place: bytes, sealed_key: bytes, sealed_value: bytes) -> bytes:
        """Open a value.

        Raises:
            SecretDamagedError: If either seal is broken, or from another place.
        """
        return _opened(_aes(self._unwrapped(place, sealed_key)), sealed_value, place)

    def rewrap(self, place: bytes, sealed_key: bytes, target: "Seals") -> bytes:
        """Wrap a version's key anew, with another master key.

        Raises:
            SecretDamagedError: If it does not open.
        """
        return target.wrap(place, self._unwrapped(place, sealed_key))

    def wrap(self, place: bytes, key: bytes) -> bytes:
        """Wrap the key of a version."""
        return _closed(self._wrapping, key, place + b"key")

    def mac(self, *parts: Part) -> bytes:
        """Give the authentication code of some parts; no two lists of parts are alike to it."""
        return hmac.digest(self._rows, encoded(*parts), "sha256")

    def _unwrapped(self, place: bytes, sealed_key: bytes) -> bytes:
        return _opened(self._wrapping, sealed_key, place + b"key")


def encoded(*parts: Part) -> bytes:
    """Write parts as bytes, each with its type and length, so that no two lists look alike."""
    return b"".join(map(_encoded, parts))


def checksum(*parts: Part) -> bytes:
    """Sum up parts without a key."""
    return hashlib.sha256(encoded(*parts)).digest()


def _encoded(part: Part) -> bytes:
    data = part if isinstance(part, bytes) else b"" if part is None else str(part).encode()
    return f"{type(part).__name__}:{len(data)}:".encode() + data


def _derive(master: bytes, purpose: str, store_id: bytes) -> bytes:
    return hmac.digest(master, encoded("resile secrets v1", purpose, store_id), "sha256")


def _closed(cipher: _Aead, data: bytes, place: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, place)


def _opened(cipher: _Aead, sealed: bytes, place: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except (InvalidTag, TypeError, ValueError) as exc:
        # A nonce that is too short is a ValueError; what is no bytes at all a TypeError.
        raise SecretDamagedError("a seal is broken, or from another place") from exc


def _aes(key: bytes) -> _Aead:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as exc:
        raise MissingExtraError(
            "cryptography is not installed", hint="pip install 'resile[daemon]'"
        ) from exc
    return AESGCM(key)
