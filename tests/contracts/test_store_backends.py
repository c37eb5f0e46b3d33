"""What every backend of a store promises, wherever the files lie."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support import buckets

from resile.errors import StoreDamagedError, StoreError
from resile.store.backends import Backend, open_backend, put
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.testing import FakeClock

PACK = "packs/" + "3f" * 32
BIG = bytes(range(256)) * (20 << 12)
"""20 MiB."""

BAD_NAMES = (
    "",
    ".",
    "..",
    "/format",
    "/packs/a",
    "../packs",
    "packs/..",
    "packs/../format",
    "packs/.hidden",
    "packs/",
    "packs//a",
    "packs/a/b",
    "packs/A",
    "packs/a b",
    "packs/a\n",
    "packs/\u0661",
    "packs/a\0",
    "packs/" + "a" * 300,
    "packs",
    "lock",
    "tmp/a",
    "FORMAT",
)

KINDS = ("local", "memory", pytest.param("s3", marks=pytest.mark.xdist_group("moto")))


@pytest.fixture(params=KINDS)
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Backend:
    match request.param:
        case "local":
            return LocalBackend(tmp_path / "store")
        case "memory":
            return MemoryBackend()
    if reason := buckets.why_not():
        pytest.skip(reason)
    endpoint = request.getfixturevalue("aws_endpoint")
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return open_backend(f"s3://{buckets.new_bucket(endpoint)}/some/prefix?endpoint={endpoint}")


def names(backend: Backend, folder: str) -> list[str]:
    return sorted(file.name for file in backend.list(folder))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_everywhere(backend: Backend, name: str) -> None:
    put(backend, PACK, b"whole")

    for use in (
        lambda: put(backend, name, b"x"),
        lambda: backend.read(name),
        lambda: backend.remove(name),
        lambda: backend.copy(name, "quarantine/x"),
        lambda: backend.copy(PACK, name),
        lambda: backend.move(name, "quarantine/x"),
        lambda: backend.move(PACK, name),
    ):
        with pytest.raises(StoreDamagedError, match="is no name of a file"):
            use()
    assert names(backend, "packs") == [PACK]


@pytest.mark.parametrize("folder", ["..", "/", "packs/", "a/b", "tmp", "PACKS", "."])
def test_a_bad_folder_is_refused(backend: Backend, folder: str) -> None:
    with pytest.raises(StoreDamagedError, match="is no name of a folder"):
        list(backend.list(folder))


def test_a_missing_file_is_named(backend: Backend) -> None:
    with pytest.raises(StoreDamagedError, match="missing") as caught:
        backend.read(PACK)

    assert caught.value.name == PACK
    assert caught.value.hint


def test_what_is_empty_has_nothing(backend: Backend) -> None:
    assert names(backend, "") == []
    assert names(backend, "packs") == []
    assert backend.sweep() == 0
    backend.remove(PACK)
    backend.move(PACK, "quarantine/a")
    backend.copy(PACK, "quarantine/a")
    assert names(backend, "quarantine") == []


def test_a_file_is_read_as_it_was_written(backend: Backend) -> None:
    upload = backend.begin()
    for piece in (b"one", b"", b"two" * 1000):
        upload.write(piece)

    assert upload.publish(PACK)
    assert backend.read(PACK) == b"one" + b"two" * 1000


def test_an_empty_file_is_a_file(backend: Backend) -> None:
    assert put(backend, PACK, b"")
    assert not put(backend, PACK, b"")
    assert backend.read(PACK) == b""
    assert backend.read(PACK, 0, 10) == b""
    assert [file.size_bytes for file in backend.list("packs")] == [0]


def test_a_file_is_not_there_before_it_is_published(backend: Backend) -> None:
    upload = backend.begin()
    upload.write(b"x" * (2 << 20))

    assert names(backend, "packs") == []
    assert names(backend, "") == []
    upload.publish(PACK)
    assert names(backend, "packs") == [PACK]


def test_a_name_that_is_taken_keeps_its_file(backend: Backend) -> None:
    assert put(backend, "format", b"first")
    assert not put(backend, "format", b"second")
    assert backend.read("format") == b"first"
    assert not put(backend, "format", b"first")


def test_an_abandoned_upload_leaves_nothing(backend: Backend) -> None:
    upload = backend.begin()
    upload.write(b"x" * (3 << 20))
    upload.abandon()
    upload.abandon()

    assert names(backend, "") == []
    assert backend.sweep() == 0
    with pytest.raises(AssertionError, match="has ended"):
        upload.publish(PACK)
    with pytest.raises(AssertionError, match="has ended"):
        upload.write(b"more")
    assert names(backend, "packs") == []


def test_abandoning_what_is_published_does_nothing(backend: Backend) -> None:
    upload = backend.begin()
    upload.write(b"kept")
    upload.publish(PACK)
    upload.abandon()

    assert backend.read(PACK) == b"kept"
    assert backend.sweep() == 0
    with pytest.raises(AssertionError, match="has ended"):
        upload.publish(PACK)


@pytest.mark.parametrize(
    ("offset", "length", "wanted"),
    [
        (0, None, b"0123456789"),
        (4, None, b"456789"),
        (10, None, b""),
        (99, None, b""),
        (0, 0, b""),
        (0, 3, b"012"),
        (7, 3, b"789"),
        (7, 30, b"789"),
        (10, 1, b""),
        (99, 5, b""),
    ],
)
def test_a_range_ends_where_the_file_ends(
    backend: Backend, offset: int, length: int | None, wanted: bytes
) -> None:
    put(backend, PACK, b"0123456789")

    assert backend.read(PACK, offset, length) == wanted


@pytest.mark.parametrize(("offset", "length"), [(0, 5), (3, None), (0, 0)])
def test_a_range_of_a_missing_file_is_damage(
    backend: Backend, offset: int, length: int | None
) -> None:
    with pytest.raises(StoreDamagedError, match="missing"):
        backend.read(PACK, offset, length)


def test_a_big_file_keeps_every_byte(backend: Backend) -> None:
    upload = backend.begin()
    for start in range(0, len(BIG), 777_777):
        upload.write(BIG[start : start + 777_777])
    upload.publish(PACK)

    assert backend.read(PACK) == BIG
    assert backend.read(PACK, len(BIG) - 5) == BIG[-5:]
    assert backend.read(PACK, 10 << 20, 1000) == BIG[10 << 20 :][:1000]


def test_a_folder_lists_its_own_files(backend: Backend) -> None:
    put(backend, "format", b"f")
    put(backend, "packs/a", b"12")
    put(backend, "packs/b", b"123")
    put(backend, "packs-old/c", b"1234")
    put(backend, "snapshots/a", b"12345")

    assert {file.name: file.size_bytes for file in backend.list("packs")} == {
        "packs/a": 2,
        "packs/b": 3,
    }
    assert names(backend, "") == ["format"]
    assert names(backend, "marks") == []


def test_a_listing_tells_when_a_file_came(backend: Backend) -> None:
    put(backend, PACK, b"x")

    (file,) = backend.list("packs")

    assert file.modified_at.tzinfo is not None
    assert abs(file.modified_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_thousand_and_more_files_are_listed(backend: Backend) -> None:
    wanted = [f"marks/{number:04}" for number in range(1010)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: put(backend, name, b"m"), wanted))

    assert names(backend, "marks") == wanted


def test_removing_is_idempotent(backend: Backend) -> None:
    put(backend, "packs/a", b"a")
    put(backend, "packs/b", b"b")

    backend.remove("packs/a")
    backend.remove("packs/a")

    assert names(backend, "packs") == ["packs/b"]
    assert put(backend, "packs/a", b"again")


def test_a_move_takes_the_place_of_what_was_there(backend: Backend) -> None:
    put(backend, "packs/a", b"new")
    put(backend, "quarantine/a", b"old")

    backend.move("packs/a", "quarantine/a")
    backend.move("packs/a", "quarantine/a")

    assert names(backend, "packs") == []
    assert backend.read("quarantine/a") == b"new"


def test_a_copy_takes_the_place_of_what_was_there(backend: Backend) -> None:
    put(backend, "packs/a", b"new")
    put(backend, "quarantine/a", b"old")

    for _ in range(2):
        backend.copy("packs/a", "quarantine/a")

    assert backend.read("packs/a") == backend.read("quarantine/a") == b"new"


def test_what_was_copied_is_moved_and_replaced_as_any_other(backend: Backend) -> None:
    """Also where both names are one file, of which rename(2) says that nothing is to be done."""
    put(backend, "packs/a", b"old")
    backend.copy("packs/a", "quarantine/a")
    put(backend, "packs/b", b"new")

    backend.move("packs/b", "packs/a")
    assert backend.read("packs/a") == b"new"
    assert backend.read("quarantine/a") == b"old"
    backend.copy("packs/a", "quarantine/b")
    backend.move("packs/a", "quarantine/b")

    assert names(backend, "packs") == []
    assert backend.read("quarantine/b") == b"new"


def test_a_copy_to_itself_changes_nothing(backend: Backend) -> None:
    put(backend, PACK, b"here")

    backend.copy(PACK, PACK)

    assert backend.read(PACK) == b"here"


def test_a_move_to_itself_changes_nothing(backend: Backend) -> None:
    put(backend, PACK, b"here")

    backend.move(PACK, PACK)

    assert backend.read(PACK) == b"here"


def test_of_many_who_publish_a_name_one_succeeds(backend: Backend) -> None:
    count = 8
    barrier = threading.Barrier(count)

    def publish(number: int) -> bool:
        upload = backend.begin()
        upload.write(bytes([number]) * 100_000)
        barrier.wait(timeout=30)
        return upload.publish(PACK)

    with ThreadPoolExecutor(count) as pool:
        done = list(pool.map(publish, range(count)))

    assert done.count(True) == 1
    assert backend.read(PACK) == bytes([done.index(True)]) * 100_000
    assert backend.sweep() == 0


def test_a_sweep_leaves_what_is_being_written(backend: Backend) -> None:
    upload = backend.begin()
    upload.write(b"x" * (2 << 20))

    assert backend.sweep() == 0
    assert upload.publish(PACK)
    assert len(backend.read(PACK)) == 2 << 20


def test_shared_holds_go_together(backend: Backend) -> None:
    with backend.hold(is_exclusive=False), backend.hold(is_exclusive=False):
        put(backend, PACK, b"x")


def test_no_secret_is_shown(backend: Backend) -> None:
    with pytest.raises(StoreError) as caught:
        backend.read(PACK)
    upload = backend.begin()
    shown = [backend.url, repr(backend), repr(upload), str(caught.value), caught.value.hint]
    upload.abandon()

    for secret in (buckets.KEY_ID, buckets.SECRET):
        assert [text for text in shown if secret in text] == []


def test_a_url_opens_the_same_place(backend: Backend) -> None:
    put(backend, PACK, b"here")

    again = open_backend(backend.url)

    assert again.url == backend.url
    if backend.url != "memory:":
        assert again.read(PACK) == b"here"


def test_an_error_inside_a_hold_stays_as_it_is(backend: Backend) -> None:
    with pytest.raises(OSError, match=r"^mine$"), backend.hold(is_exclusive=True):
        raise OSError("mine")
    with backend.hold(is_exclusive=True):
        pass


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("kind", ["local", "memory"])
def test_an_exclusive_hold_is_waited_for_and_given_up(
    kind: str, first: bool, second: bool, tmp_path: Path
) -> None:
    clock = FakeClock()
    backend: Backend = MemoryBackend(clock=clock)
    if kind == "local":
        backend = LocalBackend(tmp_path, clock=clock)

    with backend.hold(is_exclusive=first):
        with (
            pytest.raises(StoreError, match="in use by") as caught,
            backend.hold(is_exclusive=second),
        ):
            pass

        assert caught.value.is_transient
        assert 10 <= clock.monotonic() < 11
    with backend.hold(is_exclusive=second):
        pass


def test_only_a_service_that_compares_sums_is_not_read_back(backend: Backend) -> None:
    assert backend.is_read_back is not backend.url.startswith("s3:")
