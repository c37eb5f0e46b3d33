"""The keys of a store: ids of blobs, and the cipher of each file."""

import os
import stat
from pathlib import Path
from typing import Protocol

from blake3 import blake3

from resile.core.files import write_durable
from resile.errors import StoreError, StoreKeyError
from resile.store.format.frames import Cipher, FileHeader, Frame, damaged

KEY_BYTES = 32
_TAG_BYTES = 16
_KEY_ID_DIGITS = 16
_KEY_FILE_BYTES_MAX = 1024


class _Aead(Protocol):
    """What the library's cipher does; naming its type would load the library."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...


class Keys:
    """What is derived from a store's key; of an unencrypted store, nothing. Safe between threads.

    Never shown: its repr tells the key's id alone.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._id_key = _derive("blob id", key) if key else b""
        self.cipher = Cipher.AES_256_GCM if key else Cipher.NONE
        self.key_id = _derive("key id", key).hex()[:_KEY_ID_DIGITS] if key else ""

    def __repr__(self) -> str:
        return f"Keys({self.key_id or 'none'})"

    @property
    def secret(self) -> bytes | None:
        """The key itself, for a process of ours and nobody else; None if there is none."""
        return self._key

    def blob_id(self, data: bytes | memoryview) -> bytes:
        """Give the id of a blob."""
        if self._key is None:
            return blake3(data).digest()
        return blake3(data, key=self._id_key).digest()

    def is_id_of(self, data: bytes | memoryview, blob_id: bytes) -> bool:
        """Tell whether a blob has this id."""
        return self.blob_id(data) == blob_id

    def box(self, header: FileHeader, name: str) -> "Box":
        """Give what encrypts and decrypts the frames of the file with this name.

        Whether these are the store's keys was seen when it was opened: a file that they do not
        fit is damaged, or was put there by somebody.

        Raises:
            StoreDamagedError: If it is encrypted and its store is not, or the other way round.
        """
        if header.cipher is not self.cipher:
            raise damaged(name, "is not encrypted as its store is")
        key = _derive("file", self._key + header.salt) if self._key else None
        return Box(key, header.encode(), name)


class Box:
    """Encrypts and decrypts the frames of one file. Safe to share between threads."""

    def __init__(self, key: bytes | None, header: bytes, name: str) -> None:
        self._name = name
        self._cipher = _aes(key) if key else None
        self._header = header
        self.extra_bytes = _TAG_BYTES if key else 0

    def seal(self, frame: Frame, data: bytes) -> bytes:
        """Encrypt what a frame stores; the frame says its length with the tag."""
        if self._cipher is None:
            return data
        return self._cipher.encrypt(_nonce(frame), data, self._header + frame.checked_part())

    def open(self, frame: Frame, stored: bytes | memoryview) -> bytes | memoryview:
        """Decrypt what a frame stores.

        Raises:
            StoreDamagedError: If it does not open: the file is damaged, or the frame from elsewhere.
        """
        if self._cipher is None:
            return stored
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(
                _nonce(frame), bytes(stored), self._header + frame.checked_part()
            )
        except InvalidTag as exc:
            what = f"does not open in the frame at {frame.offset}, or it was moved here"
            raise damaged(self._name, what) from exc


def read_key(path: Path) -> bytes:
    """Read a key file: 64 hex digits, for its owner alone.

    Raises:
        StoreKeyError: If there is none, it holds no key, or others may read it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_KEY_FILE_BYTES_MAX)
    except OSError as exc:
        raise StoreKeyError(
            f"the key file {path} cannot be read: {exc.strerror}",
            hint="without the key nothing in the store can be read",
        ) from exc
    if stat.S_IMODE(mode) & 0o077:
        raise StoreKeyError(f"others may read the key file {path}", hint=f"chmod 600 {path}")
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreKeyError(
            f"{path} holds no key",
            hint="a key file has 64 hex digits, as `resile snapshot` made it",
        )
    return key


def make_key(path: Path) -> bytes:
    """Make a key file; durable when it returns. Whoever loses it loses the store.

    Raises:
        StoreError: If it is there already, or could not be written.
    """
    if path.exists() or path.is_symlink():
        raise StoreError(f"the key file {path} is there already", hint="give it, or another name")
    key = os.urandom(KEY_BYTES)
    write_durable(path, key.hex().encode() + b"\n")
    return key


def _derive(purpose: str, key: bytes) -> bytes:
    return blake3(key, derive_key_context=f"resile store v1 {purpose}").digest()


def _nonce(frame: Frame) -> bytes:
    return frame.offset.to_bytes(8, "little") + bytes(4)


def _aes(key: bytes) -> _Aead:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
