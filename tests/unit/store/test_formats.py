"""Frames and packs: what is written is read again, and nothing else is taken for it."""

import contextlib
import dataclasses
from typing import Any

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from tests.support.formats import (
    KEYS,
    STORE_ID,
    assert_refused,
    flipped,
    frame_of,
    identity,
    write_pack,
)

from resile.errors import StoreDamagedError, StoreKeyError
from resile.store import open_store
from resile.store.backends import put
from resile.store.backends.memory import MemoryBackend
from resile.store.checking import check_pack, read_table
from resile.store.format.frames import (
    FRAME_RAW_BYTES_MAX,
    HEADER_BYTES,
    Coding,
    FileHeader,
    FileKind,
    Frame,
    FrameKind,
    check_frame,
    decode_header,
    frame_header,
)
from resile.store.format.keys import KEY_BYTES, Keys
from resile.store.format.packs import (
    BlobPlace,
    Coder,
    PackTable,
    decode_table,
    encode_table,
    open_frame,
)
from resile.store.format.records import (
    encode_identity,
)


def encode_frame(frame: Frame, stored: bytes) -> bytes:
    return frame_header(frame, stored) + stored


def checked_flaws(keys: Keys, name: str, data: bytes) -> tuple[Any, ...]:
    backend = MemoryBackend()
    put(backend, name, data)
    return check_pack(backend, name, len(data), keys=keys, coder=Coder()).flaws


# Headers and frames


@given(
    kind=st.sampled_from(FileKind),
    store_id=st.binary(min_size=16, max_size=16),
    salt=st.binary(min_size=32, max_size=32),
)
def test_a_header_is_read_as_it_was_written(kind: FileKind, store_id: bytes, salt: bytes) -> None:
    header = FileHeader(kind=kind, cipher=KEYS["plain"].cipher, store_id=store_id, salt=salt)

    assert decode_header(header.encode() + b"more", "packs/a") == header


def test_a_header_that_is_cut_or_damaged_where_it_has_a_meaning_is_refused() -> None:
    """The store's id, the salt and a kind that is another are found by the file's own hash."""
    data = FileHeader(
        kind=FileKind.MARK, cipher=KEYS["plain"].cipher, store_id=STORE_ID, salt=bytes(32)
    ).encode()

    for length in range(HEADER_BYTES):
        with pytest.raises(StoreDamagedError):
            decode_header(data[:length], "marks/a")
    for bit in (*range(10 * 8), *range(12 * 8, 16 * 8)):
        with pytest.raises(StoreDamagedError):
            decode_header(flipped(data, bit), "marks/a")
    with pytest.raises(StoreDamagedError):
        decode_header(flipped(data, 11 * 8 + 3), "marks/a")


def test_a_frame_is_refused_when_cut_or_damaged_anywhere() -> None:
    stored = b"what it stores"
    data = encode_frame(frame_of(stored=len(stored)), stored)

    assert bytes(check_frame(data + b"more", HEADER_BYTES, "packs/a")[1]) == stored
    assert_refused(data, lambda changed: check_frame(changed, HEADER_BYTES, "packs/a"))
    for bit in range(len(data) * 8):
        with pytest.raises(StoreDamagedError):
            check_frame(flipped(data, bit), HEADER_BYTES, "packs/a")


def hostile_zstd(raw: int) -> bytes:
    """A few bytes that claim to decode to very many: a frame header without its blocks."""
    return b"\x28\xb5\x2f\xfd\xe0" + raw.to_bytes(8, "little") + b"\x01\x00\x00"


@pytest.mark.parametrize("raw", [10, FRAME_RAW_BYTES_MAX, FRAME_RAW_BYTES_MAX + 1, 2**32 - 1])
def test_a_frame_never_decodes_to_more_than_it_says(raw: int) -> None:
    stored = hostile_zstd(1 << 50)
    frame = dataclasses.replace(frame_of(stored=len(stored), raw=raw), coding=Coding.ZSTD)
    data = encode_frame(frame, stored)

    with pytest.raises(StoreDamagedError):
        open_frame(
            data, HEADER_BYTES, box=KEYS["plain"].box(header(), "a"), coder=Coder(), name="a"
        )


@pytest.mark.parametrize(
    "stored",
    [b"no zstd at all", zstandard.compress(b"x" * 100)[:-3], zstandard.compress(b"x" * 99), b""],
    ids=["noise", "cut", "another length", "nothing"],
)
def test_a_frame_that_cannot_be_decoded_is_refused(stored: bytes) -> None:
    frame = dataclasses.replace(frame_of(stored=len(stored), raw=100), coding=Coding.ZSTD)

    with pytest.raises(StoreDamagedError):
        Coder().decode(frame, stored, "packs/a")


def test_a_frame_that_stores_more_than_any_cipher_adds_is_refused() -> None:
    stored = bytes(100)
    data = encode_frame(frame_of(stored=100, raw=83), stored)

    with pytest.raises(StoreDamagedError, match="no sense"):
        check_frame(data, HEADER_BYTES, "packs/a")


def header(salt: bytes = bytes(32), *, keys: Keys = KEYS["plain"], **more: Any) -> FileHeader:
    facts = {"kind": FileKind.DATA_PACK, "store_id": STORE_ID, "salt": salt, **more}
    return FileHeader(cipher=keys.cipher, **facts)


# Encryption


def sealed(frame: Frame, data: bytes, home: FileHeader) -> tuple[Frame, bytes]:
    frame = dataclasses.replace(frame, stored_bytes=len(data) + 16, raw_bytes=len(data))
    return frame, KEYS["encrypted"].box(home, "packs/a").seal(frame, data)


@pytest.mark.parametrize(
    "elsewhere",
    [{"salt": b"s" * 32}, {"store_id": b"o" * 16}, {"kind": FileKind.SNAPSHOT}],
    ids=["file", "store", "kind"],
)
def test_an_encrypted_frame_does_not_open_elsewhere(elsewhere: dict[str, Any]) -> None:
    keys = KEYS["encrypted"]
    frame, stored = sealed(frame_of(stored=0), b"secret", header(keys=keys))
    assert keys.box(header(keys=keys), "packs/a").open(frame, stored) == b"secret"

    with pytest.raises(StoreDamagedError, match="packs/b does not open"):
        keys.box(header(keys=keys, **elsewhere), "packs/b").open(frame, stored)


@pytest.mark.parametrize(
    "change",
    [{"offset": 65}, {"kind": FrameKind.TREE}, {"coding": Coding.ZSTD}, {"raw_bytes": 7}],
    ids=["place", "kind", "coding", "length"],
)
def test_an_encrypted_frame_does_not_open_as_another(change: dict[str, Any]) -> None:
    keys = KEYS["encrypted"]
    frame, stored = sealed(frame_of(stored=0), b"secret", header(keys=keys))

    with pytest.raises(StoreDamagedError):
        keys.box(header(keys=keys), "packs/a").open(dataclasses.replace(frame, **change), stored)


def test_another_key_opens_nothing_and_is_told_when_the_store_is_opened(tmp_path: Any) -> None:
    frame, stored = sealed(frame_of(stored=0), b"secret", header(keys=KEYS["encrypted"]))
    other = Keys(b"o" * KEY_BYTES)
    with pytest.raises(StoreDamagedError):
        other.box(header(keys=other), "packs/a").open(frame, stored)

    backend = MemoryBackend()
    put(backend, "format", encode_identity(identity(KEYS["encrypted"])))
    for key in (None, b"o" * KEY_BYTES):
        with pytest.raises(StoreKeyError, match="is encrypted with the key"):
            open_store(backend, cache=tmp_path, key=key)


def test_a_file_that_is_not_encrypted_as_its_store_is_damaged() -> None:
    plain, encrypted = KEYS["plain"], KEYS["encrypted"]

    for keys, other in ((plain, encrypted), (encrypted, plain)):
        with pytest.raises(StoreDamagedError, match="not encrypted as its store"):
            keys.box(header(keys=other), "packs/a")


def test_an_encrypted_pack_shows_nothing_of_its_content() -> None:
    secret = b"the secret that nobody may see" * 10
    _, data, _ = write_pack(KEYS["encrypted"], [[secret]])

    assert b"secret" not in data
    assert blake3(secret).digest() not in data
    assert KEYS["encrypted"].blob_id(secret) != KEYS["plain"].blob_id(secret)
    assert "k" * 4 not in repr(KEYS["encrypted"])


# Packs


@given(groups=st.lists(st.lists(st.binary(min_size=1, max_size=300), min_size=1), min_size=1))
@pytest.mark.parametrize("how", KEYS)
def test_a_pack_is_read_as_it_was_written(how: str, groups: list[list[bytes]]) -> None:
    keys = KEYS[how]
    name, data, table = write_pack(keys, groups)
    backend = MemoryBackend()
    put(backend, name, data)

    assert read_table(backend, name, len(data), keys=keys, coder=Coder()) == table
    assert checked_flaws(keys, name, data) == ()
    box = keys.box(decode_header(data, name), name)
    raws = [
        open_frame(data[f.offset :], f.offset, box=box, coder=Coder(), name=name)
        for f in table.frames
    ]
    read = [raws[b.frame][b.start : b.start + b.length] for b in table.blobs]
    assert read == [blob for group in groups for blob in group]


@pytest.mark.parametrize("how", KEYS)
def test_whatever_is_cut_or_flipped_in_a_pack_is_found(how: str) -> None:
    keys = KEYS[how]
    name, data, _ = write_pack(keys, [[b"one", b"two" * 40], [bytes(range(200))]])

    for length in range(len(data)):
        assert checked_flaws(keys, name, data[:length])
    for bit in range(0, len(data) * 8, 11):
        assert checked_flaws(keys, name, flipped(data, bit)), f"bit {bit}"


@pytest.mark.parametrize("how", KEYS)
def test_a_damaged_pack_gives_no_table_or_the_right_one(how: str) -> None:
    """What the table's own frame does not cover, the whole file's hash does."""
    keys = KEYS[how]
    name, data, table = write_pack(keys, [[b"one", b"two" * 40]])

    for bit in range(len(data) * 8):
        backend = MemoryBackend()
        put(backend, name, flipped(data, bit))
        with contextlib.suppress(StoreDamagedError):
            assert read_table(backend, name, len(data), keys=keys, coder=Coder()) == table


HOSTILE_TABLES = {
    "beyond its frame": ([frame_of(stored=10)], [(0, 5, 6)]),
    "no such frame": ([frame_of(stored=10)], [(1, 0, 1)]),
    "a frame of another kind": (
        [dataclasses.replace(frame_of(stored=10), kind=FrameKind.RECORD)],
        [(0, 0, 1)],
    ),
    "a frame that is too big": ([frame_of(stored=FRAME_RAW_BYTES_MAX + 1)], []),
    "a frame that stores too much": ([frame_of(stored=1000, raw=10)], []),
}


@pytest.mark.parametrize("name", HOSTILE_TABLES)
def test_a_table_that_no_pack_has_is_refused(name: str) -> None:
    frames, places = HOSTILE_TABLES[name]
    blobs = tuple(
        BlobPlace(blob_id=bytes(32), frame=frame, start=start, length=length)
        for frame, start, length in places
    )
    raw = encode_table(PackTable(frames=tuple(frames), blobs=blobs))

    with pytest.raises(StoreDamagedError):
        decode_table(raw, "packs/a")


@given(raw=st.binary(max_size=200))
def test_no_table_makes_another_exception(raw: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        decode_table(b"\xff" + raw, "packs/a")


def test_frames_that_overlap_or_lie_beyond_the_end_are_flaws() -> None:
    keys = KEYS["plain"]
    _name, data, table = write_pack(keys, [[b"one"], [b"two"]])
    for shift in (-1, 1 << 20):
        second = dataclasses.replace(table.frames[1], offset=table.frames[1].offset + shift)
        changed = with_table(data, dataclasses.replace(table, frames=(table.frames[0], second)))
        assert checked_flaws(keys, f"packs/{blake3(changed).hexdigest()}", changed)


def with_table(data: bytes, table: PackTable) -> bytes:
    """Put another table at the end of an unencrypted pack, with the hashes that belong to it."""
    start = int.from_bytes(data[-16:-8], "little")
    raw = encode_table(table)
    frame = dataclasses.replace(frame_of(start, stored=len(raw)), kind=FrameKind.TABLE)
    tail = start.to_bytes(8, "little") + frame.length.to_bytes(4, "little") + b"RSLE"
    return data[:start] + encode_frame(frame, raw) + tail
