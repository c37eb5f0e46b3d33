"""One file of a store, read whole and compared with everything that it says of itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blake3 import blake3

from resile.errors import StoreDamagedError, StoreError
from resile.store.backends.port import Backend
from resile.store.format.frames import (
    HEADER_BYTES,
    FileKind,
    Frame,
    check_frame,
    decode_header,
)
from resile.store.format.keys import Box, Keys
from resile.store.format.packs import (
    TAIL_BYTES,
    BlobPlace,
    Coder,
    PackTable,
    decode_table,
    decode_tail,
    open_frame,
    read_record,
)
from resile.store.format.records import decode_mark, decode_snapshot

WINDOW_BYTES = 8 << 20
"""Read at once: two threads with two windows stay far below the memory of one pack."""
_RUN_BYTES = 1 << 20
"""Frames that are read together: few calls, and what was hashed is decoded while it is in the
processor's cache."""
_PACK_KINDS = (FileKind.DATA_PACK, FileKind.TREE_PACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is wrong with a file of a store.

    Args:
        name: The file's.
        what: In a sentence without its name.
        start, end: The bytes of the file that are concerned; 0, 0: all of it, or none in particular.
        blobs: The blobs that cannot be read because of it.
        is_of_file: The file itself is damaged; else only what it leads to is.
    """

    name: str
    what: str
    start: int = 0
    end: int = 0
    blobs: tuple[bytes, ...] = ()
    is_of_file: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What reading a file showed.

    Args:
        size_bytes: So much was read.
        flaws: What is wrong; empty: nothing.
        table: Of a pack whose table can be read.
    """

    size_bytes: int
    flaws: tuple[Flaw, ...] = ()
    table: PackTable | None = None


def hashed_windows(
    backend: Backend, name: str, *, window_bytes: int = WINDOW_BYTES
) -> Iterator[bytes]:
    """Read a file in pieces, and compare its hash with its name at the end.

    Raises:
        StoreDamagedError: After the last piece, if it is not what its name says.
        StoreError: If it cannot be read.
    """
    hash_ = blake3()
    for window in _windows(backend, name, window_bytes):
        hash_.update(window)
        yield window
    if hash_.hexdigest() != name.rpartition("/")[2]:
        raise StoreDamagedError(f"{name} has another hash than its name", name=name)


def check_hash(backend: Backend, name: str) -> Checked:
    """Compare a file's hash with its name: the quickest way to find any flipped bit.

    Raises:
        StoreError: If it cannot be read for another reason than damage.
    """
    size = 0
    try:
        for window in hashed_windows(backend, name):
            size += len(window)
    except StoreDamagedError as exc:
        return Checked(size_bytes=size, flaws=(Flaw(name=name, what=_without(name, exc)),))
    return Checked(size_bytes=size)


def check_record(
    backend: Backend, name: str, kind: FileKind, *, keys: Keys, coder: Coder
) -> Checked:
    """Read a snapshot or a mark, whole.

    Raises:
        StoreError: If it cannot be read for another reason than damage.
    """
    try:
        data = backend.read(name)
        record = read_record(data, kind, keys=keys, coder=coder, name=name)
        if kind is FileKind.SNAPSHOT:
            decode_snapshot(record, name)
        else:
            decode_mark(record, name)
    except StoreDamagedError as exc:
        return Checked(size_bytes=0, flaws=(Flaw(name=name, what=_without(name, exc)),))
    return Checked(size_bytes=len(data))


def check_pack(backend: Backend, name: str, size: int, *, keys: Keys, coder: Coder) -> Checked:
    """Read a pack: its hash, its table, every frame, and every blob against its id.

    Where the hash holds, all of it is as it was written; the frames and blobs are read all the
    same, because what was written may have been wrong.

    Raises:
        StoreError: If it cannot be read for another reason than damage.
    """
    try:
        table = read_table(backend, name, size, keys=keys, coder=coder)
    except StoreDamagedError as exc:
        found = check_hash(backend, name)
        flaw = Flaw(name=name, what=_without(name, exc))
        return Checked(size_bytes=found.size_bytes, flaws=(flaw,))
    return _check_frames(backend, name, size, table, keys=keys, coder=coder)


def read_table(backend: Backend, name: str, size: int, *, keys: Keys, coder: Coder) -> PackTable:
    """Read what is in a pack, from the pack itself.

    Raises:
        StoreDamagedError: If its header, its table or its end is damaged.
    """
    header = decode_header(backend.read(name, 0, HEADER_BYTES), name)
    if header.kind not in _PACK_KINDS:
        raise StoreDamagedError(f"{name} is no pack", name=name)
    offset, length = decode_tail(backend.read(name, max(0, size - TAIL_BYTES), TAIL_BYTES), name)
    if offset + length + TAIL_BYTES != size:
        raise StoreDamagedError(f"{name} is cut, or its end is damaged", name=name)
    data = backend.read(name, offset, length)
    raw = open_frame(data, offset, box=keys.box(header, name), coder=coder, name=name)
    return decode_table(raw, name)


def _check_frames(
    backend: Backend, name: str, size: int, table: PackTable, *, keys: Keys, coder: Coder
) -> Checked:
    header = decode_header(backend.read(name, 0, HEADER_BYTES), name)
    box = keys.box(header, name)
    blobs: list[list[BlobPlace]] = [[] for _ in table.frames]
    for blob in table.blobs:
        blobs[blob.frame].append(blob)
    file = _Passage(backend, name)
    flaws = []
    for (frame, data), places in zip(file.framed(table.frames), blobs, strict=True):
        try:
            _check_blobs(data, frame, places, box=box, keys=keys, coder=coder, name=name)
        except StoreDamagedError as exc:
            flaws.append(
                Flaw(
                    name=name,
                    what=_without(name, exc),
                    start=frame.offset,
                    end=frame.offset + frame.length,
                    blobs=tuple(blob.blob_id for blob in places),
                )
            )
    if file.finish() != name.rpartition("/")[2] and not flaws:
        flaws.append(Flaw(name=name, what="has another hash than its name"))
    return Checked(size_bytes=size, flaws=tuple(flaws), table=table)


def _check_blobs(
    data: bytes | memoryview,
    frame: Frame,
    places: list[BlobPlace],
    *,
    box: Box,
    keys: Keys,
    coder: Coder,
    name: str,
) -> None:
    """Read a frame, and compare each of its blobs with its id.

    Raises:
        StoreDamagedError: If something differs.
    """
    there, stored = check_frame(data, frame.offset, name)
    if there != frame:
        raise StoreDamagedError(f"{name} has another frame at {frame.offset} than its table says")
    raw = memoryview(coder.decode(frame, box.open(frame, stored), name))
    for place in places:
        if not keys.is_id_of(raw[place.start : place.start + place.length], place.blob_id):
            raise StoreDamagedError(f"{name} holds other bytes than its table says")


class _Passage:
    """Reads a file once, from its beginning to its end, and hashes it. Not thread-safe."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._name = name
        self._hash = blake3()
        self._position = 0

    def framed(self, frames: Sequence[Frame]) -> Iterator[tuple[Frame, memoryview]]:
        """Give each frame with its bytes: fewer, or none, where the file ends before.

        A table whose frames overlap, or do not ascend, points to something that is no frame.
        """
        for run in _runs(frames):
            begin, last = run[0].offset, run[-1]
            self._pass_to(begin)
            is_there = self._position == begin
            data = memoryview(self._take(last.offset + last.length - begin) if is_there else b"")
            for frame in run:
                at = frame.offset - begin
                yield frame, data[at : at + frame.length]

    def finish(self) -> str:
        """Read the rest; give the hash of all of it."""
        while self._take(WINDOW_BYTES):
            pass
        return self._hash.hexdigest()

    def _pass_to(self, offset: int) -> None:
        while self._position < offset and self._take(min(offset - self._position, WINDOW_BYTES)):
            pass

    def _take(self, length: int) -> bytes:
        data = self._backend.read(self._name, self._position, length)
        self._hash.update(data)
        self._position += len(data)
        return data


def _runs(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Group frames that follow each other, so that they are read together."""
    run: list[Frame] = []
    for frame in frames:
        if run and (
            frame.offset != run[-1].offset + run[-1].length
            or frame.offset - run[0].offset >= _RUN_BYTES
        ):
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


def _windows(backend: Backend, name: str, window_bytes: int = WINDOW_BYTES) -> Iterator[bytes]:
    offset = 0
    while piece := backend.read(name, offset, window_bytes):
        yield piece
        offset += len(piece)


def _without(name: str, error: StoreError) -> str:
    """Say what an error says, without the name that stands before it."""
    return error.message.removeprefix(name).strip()
