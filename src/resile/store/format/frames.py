"""The header of a store's file and its frames, as docs/reference/store-format.md has them."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from blake3 import blake3

from resile.errors import NotAStoreError, StoreDamagedError

VERSION = 1
HEADER_BYTES = 64
FRAME_BYTES = 48
FRAME_RAW_BYTES_MAX = 64 << 20
"""No reader needs more memory than this for one frame."""
STORED_EXTRA_BYTES_MAX = 16
"""A frame stores at most so much more than its raw bytes: the cipher's tag."""
SALT_BYTES = 32
STORE_ID_BYTES = 16

_MAGIC = b"RSLSTORE"
_FRAME_MAGIC = b"RFRM"
_HEADER = struct.Struct("<8sHBBI16s32s")
_FRAME = struct.Struct("<4sBBHII")
_CHECKED_BYTES = _FRAME.size


class FileKind(IntEnum):
    """What a file of a store holds."""

    DATA_PACK = 1
    TREE_PACK = 2
    SNAPSHOT = 3
    MARK = 4
    PARITY = 5


class Cipher(IntEnum):
    """How frames are encrypted."""

    NONE = 0
    AES_256_GCM = 1


CIPHER_NAMES = {Cipher.NONE: "none", Cipher.AES_256_GCM: "aes-256-gcm"}
"""What the file `format` calls them."""


class FrameKind(IntEnum):
    """What a frame holds."""

    DATA = 1
    TREE = 2
    TABLE = 3
    RECORD = 4


class Coding(IntEnum):
    """How a frame's bytes are coded."""

    RAW = 0
    ZSTD = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHeader:
    """The first 64 bytes of a file.

    Args:
        kind: What the file holds.
        cipher: How its frames are encrypted.
        store_id: 16 bytes: the store that it belongs to.
        salt: 32 random bytes.
    """

    kind: FileKind
    cipher: Cipher
    store_id: bytes
    salt: bytes

    def encode(self) -> bytes:
        """Write it."""
        return _HEADER.pack(_MAGIC, VERSION, self.kind, self.cipher, 0, self.store_id, self.salt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame's header, and where it stands.

    Args:
        offset: Of the header, in the file.
        kind: What it holds.
        coding: How its bytes are coded.
        stored_bytes: What follows the header.
        raw_bytes: After decrypting and decoding.
    """

    offset: int
    kind: FrameKind
    coding: Coding
    stored_bytes: int
    raw_bytes: int

    @property
    def length(self) -> int:
        """Bytes with the header."""
        return FRAME_BYTES + self.stored_bytes

    @property
    def is_possible(self) -> bool:
        """Tell whether its lengths are within the format's limits."""
        return (
            self.raw_bytes <= FRAME_RAW_BYTES_MAX
            and self.stored_bytes <= self.raw_bytes + STORED_EXTRA_BYTES_MAX
        )

    def checked_part(self) -> bytes:
        """Write what the hash and the cipher cover of the header."""
        return _FRAME.pack(
            _FRAME_MAGIC, self.kind, self.coding, 0, self.stored_bytes, self.raw_bytes
        )


def frame_header(frame: Frame, stored: bytes) -> bytes:
    """Write a frame's header, behind which comes what it stores."""
    checked = frame.checked_part()
    return checked + frame_hash(checked, stored)


def frame_hash(checked: bytes, stored: bytes | memoryview) -> bytes:
    """Hash a frame."""
    return blake3(checked).update(stored).digest()


def decode_header(data: bytes, name: str) -> FileHeader:
    """Read a file's header.

    The store's file `format` says which version the others have: another one here is damage.

    Raises:
        StoreDamagedError: If it is none.
    """
    if len(data) < HEADER_BYTES or data[:8] != _MAGIC:
        raise damaged(name, "does not begin as a file of a store")
    _, version, kind, cipher, zero, store_id, salt = _HEADER.unpack_from(data)
    if version != VERSION:
        raise damaged(name, f"has a header of version {version}, unlike its store")
    try:
        header = FileHeader(
            kind=FileKind(kind), cipher=Cipher(cipher), store_id=store_id, salt=salt
        )
    except ValueError as exc:
        raise damaged(name, f"has a header that makes no sense ({exc})") from exc
    if zero:
        raise damaged(name, "has a header that makes no sense")
    return header


def decode_frame(data: bytes | memoryview, offset: int, name: str) -> tuple[Frame, bytes]:
    """Read a frame's header, found at an offset of the file; give it with its hash.

    Raises:
        StoreDamagedError: If it is none.
    """
    if len(data) < FRAME_BYTES or bytes(data[:4]) != _FRAME_MAGIC:
        raise damaged(name, f"has no frame at {offset}")
    _, kind, coding, zero, stored_bytes, raw_bytes = _FRAME.unpack_from(data)
    try:
        frame = Frame(
            offset=offset,
            kind=FrameKind(kind),
            coding=Coding(coding),
            stored_bytes=stored_bytes,
            raw_bytes=raw_bytes,
        )
    except ValueError as exc:
        raise damaged(name, f"has a frame at {offset} that makes no sense ({exc})") from exc
    if zero or not frame.is_possible:
        raise damaged(name, f"has a frame at {offset} that makes no sense")
    return frame, bytes(data[_CHECKED_BYTES:FRAME_BYTES])


def check_frame(data: bytes | memoryview, offset: int, name: str) -> tuple[Frame, memoryview]:
    """Read a whole frame and compare its hash; give it and what it stores.

    Raises:
        StoreDamagedError: If it is damaged or cut.
    """
    frame, wanted = decode_frame(data, offset, name)
    stored = memoryview(data)[FRAME_BYTES : frame.length]
    if len(stored) != frame.stored_bytes or frame_hash(frame.checked_part(), stored) != wanted:
        raise damaged(name, f"is damaged in the frame at {offset}")
    return frame, stored


def damaged(name: str, what: str) -> StoreDamagedError:
    """Make the error for a file that is not what was stored."""
    return StoreDamagedError(f"{name} {what}", name=name)


def newer_version(name: str, version: int) -> NotAStoreError:
    """Make the error for a format that is not known yet."""
    return NotAStoreError(
        f"{name} has version {version} of the store's format; this resile knows {VERSION}",
        hint="a newer resile reads it: pip install -U resile",
    )
