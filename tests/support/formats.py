"""Files of a store, made byte by byte, for the tests of their formats."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from resile.errors import NotAStoreError, StoreDamagedError
from resile.store.backends.memory import MemoryBackend
from resile.store.format.frames import (
    HEADER_BYTES,
    Coding,
    FileKind,
    Frame,
    FrameKind,
)
from resile.store.format.keys import KEY_BYTES, Keys
from resile.store.format.packs import (
    Coder,
    FileWriter,
    PackTable,
    PackWriter,
)
from resile.store.model import (
    Identity,
)

STORE_ID = bytes(range(16))
NOW = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
KEYS = {"plain": Keys(), "encrypted": Keys(b"k" * KEY_BYTES)}
REFUSED = (StoreDamagedError, NotAStoreError)


def frame_of(offset: int = HEADER_BYTES, *, stored: int, raw: int | None = None) -> Frame:
    return Frame(
        offset=offset,
        kind=FrameKind.DATA,
        coding=Coding.RAW,
        stored_bytes=stored,
        raw_bytes=stored if raw is None else raw,
    )


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def assert_refused(data: bytes, read: Callable[[bytes], object]) -> None:
    """Read every truncation, and one flip at every byte: each must be refused by name."""
    for length in range(len(data)):
        with pytest.raises(REFUSED):
            read(data[:length])
    for index in range(len(data)):
        with pytest.raises(REFUSED):
            read(flipped(data, index * 8 + index % 8))


def file_of(backend: MemoryBackend, folder: str) -> tuple[str, bytes]:
    (file,) = backend.list(folder)
    return file.name, backend.read(file.name)


def write_pack(
    keys: Keys, blobs: list[list[bytes]], *, kind: FileKind = FileKind.DATA_PACK
) -> tuple[str, bytes, PackTable]:
    backend = MemoryBackend()
    coder = Coder()
    file = FileWriter(backend.begin(), kind, keys=keys, store_id=STORE_ID, coder=coder)
    pack = PackWriter(file, FrameKind.DATA if kind is FileKind.DATA_PACK else FrameKind.TREE)
    for group in blobs:
        pack.add([(keys.blob_id(data), data) for data in group])
    pack.publish()
    name, data = file_of(backend, "packs")
    return name, data, pack.table()


def write_record(
    keys: Keys, record: bytes, kind: FileKind = FileKind.SNAPSHOT
) -> tuple[str, bytes]:
    backend = MemoryBackend()
    file = FileWriter(backend.begin(), kind, keys=keys, store_id=STORE_ID, coder=Coder())
    file.add_frame(FrameKind.RECORD, record)
    file.publish("snapshots")
    return file_of(backend, "snapshots")


def identity(keys: Keys = KEYS["plain"]) -> Identity:
    cipher = "aes-256-gcm" if keys.key_id else "none"
    return Identity(store_id=STORE_ID, created_at=NOW, cipher=cipher, key_id=keys.key_id)
