"""Packs: frames of blobs with a table at the end."""

import os
import struct
from dataclasses import dataclass

import zstandard
from blake3 import blake3

from resile.store.backends.port import Upload
from resile.store.format.frames import (
    FRAME_BYTES,
    FRAME_RAW_BYTES_MAX,
    HEADER_BYTES,
    SALT_BYTES,
    Coding,
    FileHeader,
    FileKind,
    Frame,
    FrameKind,
    check_frame,
    damaged,
    decode_header,
    frame_header,
)
from resile.store.format.keys import Box, Keys

TAIL_BYTES = 16
_TAIL = struct.Struct("<QI4s")
_TAIL_MAGIC = b"RSLE"
_COUNTS = struct.Struct("<II")
_FRAME_ROW = struct.Struct("<IIIBBH")
_BLOB_ROW = struct.Struct("<32sIII")
_BLOB_KINDS = (FrameKind.DATA, FrameKind.TREE)
_WORTH = 0.97
"""Compressed to more than this is stored as it is: it would only cost time when read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobPlace:
    """Where a blob stands in a pack.

    Args:
        blob_id: 32 bytes.
        frame: Its frame's index in the table.
        start: In the raw frame.
        length: Bytes.
    """

    blob_id: bytes
    frame: int
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackTable:
    """What is in a pack."""

    frames: tuple[Frame, ...]
    blobs: tuple[BlobPlace, ...]


class Coder:
    """Codes and decodes raw bytes, and keeps its contexts. Not thread-safe: one for each thread.

    Args:
        level: zstd's, 1 to 19. Default 1: 3 saves 8 % of space for twice the time (measured).
    """

    def __init__(self, level: int = 1) -> None:
        self._compressor = zstandard.ZstdCompressor(level=level)
        self._decompressor = zstandard.ZstdDecompressor()

    def encode(self, raw: bytes) -> tuple[Coding, bytes]:
        """Compress, if that is worth it."""
        data = self._compressor.compress(raw)
        return (Coding.ZSTD, data) if len(data) < len(raw) * _WORTH else (Coding.RAW, raw)

    def decode(self, frame: Frame, data: bytes | memoryview, name: str) -> bytes:
        """Decompress; never to more than the frame says.

        Raises:
            StoreDamagedError: If that cannot be, although the hash holds.
        """
        if frame.coding is Coding.RAW:
            raw = bytes(data)
        else:
            try:
                if zstandard.frame_content_size(data) != frame.raw_bytes:
                    raise damaged(name, f"decodes to another length at {frame.offset}")
                raw = self._decompressor.decompress(data)
            except zstandard.ZstdError as exc:
                raise damaged(name, f"cannot be decoded at {frame.offset}: {exc}") from exc
        if len(raw) != frame.raw_bytes:
            raise damaged(name, f"decodes to another length at {frame.offset}")
        return raw


class FileWriter:
    """Writes a file of a store into an upload: the header, then frames. Not thread-safe.

    Args:
        upload: Where to; the caller abandons it in the end.
        kind: What the file holds.
        keys: Those of the store.
        store_id: The store's.
        coder: Codes the frames.
    """

    def __init__(
        self, upload: Upload, kind: FileKind, *, keys: Keys, store_id: bytes, coder: Coder
    ) -> None:
        header = FileHeader(
            kind=kind, cipher=keys.cipher, store_id=store_id, salt=os.urandom(SALT_BYTES)
        )
        self._upload = upload
        self._box = keys.box(header, "a new file")
        self._coder = coder
        self._hash = blake3()
        self.length = 0
        self._write(header.encode())

    def add_frame(self, kind: FrameKind, raw: bytes) -> Frame:
        """Append a frame.

        Raises:
            StoreError: If it could not be written.
        """
        if len(raw) > FRAME_RAW_BYTES_MAX:
            raise AssertionError(f"a frame of {len(raw)} bytes")
        coding, data = self._coder.encode(raw)
        frame = Frame(
            offset=self.length,
            kind=kind,
            coding=coding,
            stored_bytes=len(data) + self._box.extra_bytes,
            raw_bytes=len(raw),
        )
        stored = self._box.seal(frame, data)
        self._write(frame_header(frame, stored))
        self._write(stored)
        return frame

    def add_tail(self, data: bytes) -> None:
        """Append what is no frame."""
        self._write(data)

    def publish(self, folder: str) -> tuple[str, bool]:
        """Give the file its name; tell it, and whether it is new there."""
        name = f"{folder}/{self._hash.hexdigest()}"
        return name, self._upload.publish(name)

    def _write(self, data: bytes) -> None:
        self._upload.write(data)
        self._hash.update(data)
        self.length += len(data)


class PackWriter:
    """Builds one pack. Not thread-safe."""

    def __init__(self, file: FileWriter, kind: FrameKind) -> None:
        self._file = file
        self._kind = kind
        self._frames: list[Frame] = []
        self._blobs: list[BlobPlace] = []

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self._file.length

    def add(self, blobs: list[tuple[bytes, bytes]]) -> None:
        """Append blobs (id, bytes) that share a frame."""
        start = 0
        for blob_id, data in blobs:
            self._blobs.append(
                BlobPlace(blob_id=blob_id, frame=len(self._frames), start=start, length=len(data))
            )
            start += len(data)
        raw = blobs[0][1] if len(blobs) == 1 else b"".join(data for _, data in blobs)
        self._frames.append(self._file.add_frame(self._kind, raw))

    def table(self) -> PackTable:
        """Give what is in it."""
        return PackTable(frames=tuple(self._frames), blobs=tuple(self._blobs))

    def publish(self) -> str:
        """Write the table and give the pack its name; durable when it returns."""
        frame = self._file.add_frame(FrameKind.TABLE, encode_table(self.table()))
        self._file.add_tail(_TAIL.pack(frame.offset, frame.length, _TAIL_MAGIC))
        name, _ = self._file.publish("packs")
        return name


def encode_table(table: PackTable) -> bytes:
    """Write a table."""
    return b"".join(
        (
            _COUNTS.pack(len(table.frames), len(table.blobs)),
            *(
                _FRAME_ROW.pack(f.offset, f.stored_bytes, f.raw_bytes, f.kind, f.coding, 0)
                for f in table.frames
            ),
            *(_BLOB_ROW.pack(b.blob_id, b.frame, b.start, b.length) for b in table.blobs),
        )
    )


def decode_table(raw: bytes, name: str) -> PackTable:
    """Read a table.

    Raises:
        StoreDamagedError: If it is none.
    """
    try:
        frame_count, blob_count = _COUNTS.unpack_from(raw)
        blobs_at = _COUNTS.size + frame_count * _FRAME_ROW.size
        if len(raw) != blobs_at + blob_count * _BLOB_ROW.size:
            raise damaged(name, "has a table of a wrong length")
        frames = tuple(
            Frame(
                offset=offset,
                kind=FrameKind(kind),
                coding=Coding(coding),
                stored_bytes=stored_bytes,
                raw_bytes=raw_bytes,
            )
            for offset, stored_bytes, raw_bytes, kind, coding, _ in _FRAME_ROW.iter_unpack(
                raw[_COUNTS.size : blobs_at]
            )
        )
    except (struct.error, ValueError) as exc:
        raise damaged(name, f"has a table that makes no sense ({exc})") from exc
    if any(f.kind not in _BLOB_KINDS or not f.is_possible for f in frames):
        raise damaged(name, "has a table of frames that no pack has")
    blobs = tuple(
        BlobPlace(blob_id=blob_id, frame=frame, start=start, length=length)
        for blob_id, frame, start, length in _BLOB_ROW.iter_unpack(raw[blobs_at:])
    )
    if any(b.frame >= frame_count or b.start + b.length > frames[b.frame].raw_bytes for b in blobs):
        raise damaged(name, "has a table that points beyond its frames")
    return PackTable(frames=frames, blobs=blobs)


def decode_tail(data: bytes, name: str) -> tuple[int, int]:
    """Read a pack's last 16 bytes: the offset and the length of the table's frame.

    Raises:
        StoreDamagedError: If it is none.
    """
    try:
        offset, length, magic = _TAIL.unpack(data[-TAIL_BYTES:])
    except struct.error as exc:
        raise damaged(name, "is cut") from exc
    if magic != _TAIL_MAGIC or length < FRAME_BYTES or offset < HEADER_BYTES:
        raise damaged(name, "has no table at its end")
    return offset, length


def open_frame(
    data: bytes | memoryview, offset: int, *, box: Box, coder: Coder, name: str
) -> bytes:
    """Check a frame that begins `data`, decrypt and decode it.

    Raises:
        StoreDamagedError: If it is damaged, or does not open.
    """
    frame, stored = check_frame(data, offset, name)
    opened = box.open(frame, stored)
    return coder.decode(frame, opened, name)


def read_record(data: bytes, kind: FileKind, *, keys: Keys, coder: Coder, name: str) -> bytes:
    """Read a file that is a header and one record frame, whole.

    Raises:
        StoreDamagedError: If it is damaged, is of another kind, or has another name.
    """
    if blake3(data).hexdigest() != name.rpartition("/")[2]:
        raise damaged(name, "does not have the hash that its name tells")
    header = decode_header(data, name)
    if header.kind is not kind:
        raise damaged(name, f"is a {header.kind.name.lower()}, not a {kind.name.lower()}")
    return open_frame(
        memoryview(data)[HEADER_BYTES:],
        HEADER_BYTES,
        box=keys.box(header, name),
        coder=coder,
        name=name,
    )
