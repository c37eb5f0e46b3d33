"""The file `format` that was lost or damaged comes back from what the other files tell."""

from pathlib import Path

import pytest
from tests.support.storing import contents, flip_in, made, opened

from resile.errors import NotAStoreError, StoreDamagedError, StoreError, StoreKeyError
from resile.store import Origin, create, mend_format, replicate, take_snapshot
from resile.store.backends import put
from resile.store.backends.memory import MemoryBackend
from resile.testing import Crash
from resile.testing.backend import FaultyBackend

KEY = bytes(range(32))
OTHER_KEY = bytes(32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"what is kept")
    return tmp_path / "source"


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def key(request: pytest.FixtureRequest) -> bytes | None:
    found: bytes | None = request.param
    return found


@pytest.fixture
def backend(source: Path, key: bytes | None, tmp_path: Path) -> MemoryBackend:
    backend = MemoryBackend()
    with made(backend, tmp_path / "cache", key=key) as store:
        take_snapshot(store, source)
    return backend


def is_whole(backend: MemoryBackend, key: bytes | None, cache: Path) -> bool:
    with opened(backend, cache, key=key) as store:
        return contents(store, store.find("latest").root) == {b"file": b"what is kept"}


def test_another_key_is_refused(backend: MemoryBackend, key: bytes | None) -> None:
    backend.remove("format")

    with pytest.raises(StoreKeyError):
        mend_format(backend, key=OTHER_KEY)
    if key is not None:
        with pytest.raises(StoreKeyError, match="is lost") as caught:
            mend_format(backend)
        assert "--key-file" in caught.value.hint

    assert list(backend.list("")) == []


def test_nothing_tells_what_it_was(tmp_path: Path) -> None:
    backend = MemoryBackend()
    with made(backend, tmp_path / "cache"):
        pass
    backend.remove("format")

    with pytest.raises(NotAStoreError, match="no store"):
        mend_format(backend)


def test_no_file_is_whole(backend: MemoryBackend, key: bytes | None) -> None:
    """A header that says something may say something wrong."""
    backend.remove("format")
    for folder in ("packs", "snapshots"):
        for file in backend.list(folder):
            flip_in(backend, file.name, 8 * 16)

    with pytest.raises(NotAStoreError, match="lost its file"):
        mend_format(backend, key=key)


def test_files_of_two_stores_are_left_to_a_person(
    backend: MemoryBackend, key: bytes | None, source: Path, tmp_path: Path
) -> None:
    other = MemoryBackend()
    with made(other, tmp_path / "other", key=key) as store:
        take_snapshot(store, source)
    for file in list(other.list("packs")):
        put(backend, file.name, other.read(file.name))
    backend.remove("format")

    with pytest.raises(StoreDamagedError, match="several stores"):
        mend_format(backend, key=key)


def test_a_version_to_come_is_left_alone(backend: MemoryBackend, key: bytes | None) -> None:
    import json

    from blake3 import blake3

    facts = json.loads(backend.read("format"))
    del facts["check"]
    facts["version"] = 2
    text = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    newer = json.dumps(facts | {"check": blake3(text).hexdigest()}).encode()
    backend.remove("format")
    put(backend, "format", newer)

    with pytest.raises(NotAStoreError, match="version 2"):
        mend_format(backend, key=key)

    assert backend.read("format") == newer


def test_a_store_that_lost_it_is_not_made_anew(
    backend: MemoryBackend, key: bytes | None, tmp_path: Path
) -> None:
    """In a bucket a new store would have been made over the old one."""
    backend.remove("format")

    for work in (
        lambda: create(backend, cache=tmp_path / "new", key=key).close(),
        lambda: opened(backend, tmp_path / "new", key=key).__enter__(),
    ):
        with pytest.raises(NotAStoreError, match="lost its file") as caught:
            work()
        assert "resile repair" in caught.value.hint


def test_only_the_same_store_gives_it_back(
    backend: MemoryBackend, key: bytes | None, tmp_path: Path
) -> None:
    """No key is needed then: it is the same file."""
    other, same = MemoryBackend(), MemoryBackend()
    with made(other, tmp_path / "other"), opened(backend, tmp_path / "cache", key=key) as store:
        replicate(store, same)
    backend.remove("format")

    done = mend_format(backend, [other, MemoryBackend(), same])

    assert done is not None
    assert (done.origin, done.detail) == (Origin.REPLICA, same.url)
    assert backend.read("format") == same.read("format")


def test_it_comes_back_without_a_second_store(
    backend: MemoryBackend, key: bytes | None, tmp_path: Path
) -> None:
    backend.remove("format")

    done = mend_format(backend, [MemoryBackend()], key=key)

    assert done is not None
    assert is_whole(backend, key, tmp_path / "cache")
    assert is_whole(backend, key, tmp_path / "fresh")
    assert mend_format(backend) is None


@pytest.mark.parametrize("at", [5, 30, 60, 120, 200])
def test_a_flipped_bit_in_it_needs_no_second_store(
    backend: MemoryBackend, key: bytes | None, tmp_path: Path, at: int
) -> None:
    """A damaged file of the store tells nothing, and is passed over."""
    packs = sorted(file.name for file in backend.list("packs"))
    flip_in(backend, packs[0], 8 * 17)
    flip_in(backend, "format", 8 * at)
    damaged = backend.read("format")

    mend_format(backend, key=key)

    with opened(backend, tmp_path / "fresh", key=key) as store:
        assert len(store.snapshots()) == 1
    assert backend.read("quarantine/format") == damaged


def test_whatever_it_dies_of_it_can_be_brought_back(
    backend: MemoryBackend, key: bytes | None, tmp_path: Path
) -> None:
    for damage in (lambda: backend.remove("format"), lambda: flip_in(backend, "format", 400)):
        damage()
        for number in range(1, 100):
            faulty = FaultyBackend(backend, crash_at=number)
            try:
                mend_format(faulty, key=key)
            except Crash:
                continue
            break
        assert number > 5
        assert is_whole(backend, key, tmp_path / "cache")
        with pytest.raises(StoreError):
            mend_format(FaultyBackend(backend, fail_at=1), key=key)
