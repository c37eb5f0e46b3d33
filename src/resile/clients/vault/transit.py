"""Calls of the transit engine: it encrypts with keys that never leave it.

Source: https://openbao.org/api-docs/secret/transit/
"""

import base64
import binascii
from typing import Any

from resile.clients.vault.answers import odd_answer, part, text_of, whole_of
from resile.clients.vault.model import Call, Reply, TransitKey
from resile.clients.vault.paths import path_of


def key_info(key: str, *, mount: str) -> Call[TransitKey]:
    """Ask which versions a key has; it raises UnknownSecretError if there is no such key."""

    def taken(reply: Reply) -> TransitKey:
        data = part(reply, "data")
        return TransitKey(
            latest=whole_of(data, "latest_version"),
            min_decryption=whole_of(data, "min_decryption_version"),
            min_encryption=whole_of(data, "min_encryption_version"),
            can_encrypt=data.get("supports_encryption") is True,
        )

    return Call(method="GET", path=path_of(mount, "keys", key), what=_called(key), read=taken)


def rotate(key: str, *, mount: str) -> Call[None]:
    """Make a new version of a key, which encrypts from now on. The others still decrypt."""
    return _post(key, path_of(mount, "keys", key, "rotate"), {}, lambda _: None)


def configure(key: str, *, mount: str, min_decryption: int, min_encryption: int) -> Call[None]:
    """Say which versions of a key decrypt and encrypt; those below do not until this is undone."""
    body = {"min_decryption_version": min_decryption, "min_encryption_version": min_encryption}
    return _post(key, path_of(mount, "keys", key, "config"), body, lambda _: None)


def encrypt(key: str, plain: bytes, *, mount: str, version: int = 0) -> Call[str]:
    """Encrypt; gives the ciphertext, such as `vault:v2:...`. 0 is the newest version of the key.

    A server makes the key if there is none of this name, and its policy lets it.
    """
    body = {"plaintext": base64.b64encode(plain).decode(), "key_version": version}
    return _post(key, path_of(mount, "encrypt", key), body, _ciphertext_in)


def decrypt(key: str, ciphertext: str, *, mount: str) -> Call[bytes]:
    """Decrypt what `encrypt` gave."""

    def taken(reply: Reply) -> bytes:
        try:
            return base64.b64decode(text_of(part(reply, "data"), "plaintext"), validate=True)
        except binascii.Error:
            # Not chained: what it could not read is the plain text.
            raise odd_answer("data.plaintext") from None

    return _post(key, path_of(mount, "decrypt", key), {"ciphertext": ciphertext}, taken)


def rewrap(key: str, ciphertext: str, *, mount: str, version: int = 0) -> Call[str]:
    """Encrypt anew with another version of the key, 0 for the newest, without showing the plain text."""
    body = {"ciphertext": ciphertext, "key_version": version}
    return _post(key, path_of(mount, "rewrap", key), body, _ciphertext_in)


def _post(key: str, path: str, body: dict[str, Any], read: Any) -> Call[Any]:
    return Call(method="POST", path=path, what=_called(key), read=read, body=body)


def _ciphertext_in(reply: Reply) -> str:
    text = text_of(part(reply, "data"), "ciphertext")
    if not text:
        raise odd_answer("data.ciphertext")
    return text


def _called(key: str) -> str:
    return f"transit key {key!r}"
