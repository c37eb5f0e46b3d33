"""The file itself: what of a secret is in it, who shares it, and what is said when it cannot be used."""

import gc
import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.secret_providers import local_provider

from resile.core.vocabulary import SecretStage
from resile.errors import (
    ProviderDownError,
    SecretConflictError,
    SecretDamagedError,
    SecretError,
    SecretRevokedError,
)
from resile.secrets.providers import local_file
from resile.secrets.providers.local import LocalProvider
from resile.testing import FakeClock

SENTINEL = b"sentinel-80c2f1"
SIZES = (1, 40, 700, 3000, 4096, 9000, 65536)
PROCESSES = 3
WRITES = 10


def bytes_of(folder: Path) -> bytes:
    """Give all bytes that the store has in its files, but for its key."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("secrets.db*")))


def sealed(folder: Path) -> dict[tuple[str, int], tuple[bytes, bytes]]:
    """Give what is sealed of each version that has a value."""
    with closing(sqlite3.connect(folder / "secrets.db")) as sql:
        rows = sql.execute("select name, number, sealed_key, sealed_value from versions").fetchall()
    return {(name, number): (key, value) for name, number, key, value in rows if key}


# What is in it -----------------------------------------------------------------------------------


def test_no_value_is_in_its_files_at_any_time(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        for number in range(5):
            provider.write("a", SENTINEL + bytes([65 + number]) * 5000, token=f"{number}")
            assert SENTINEL not in bytes_of(place)
        provider.write("a", SENTINEL, stage=SecretStage.PENDING, token="candidate")
        provider.rekey()
        assert SENTINEL not in bytes_of(place)
    assert SENTINEL not in bytes_of(place)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["retired", "destroyed", "discarded", "replaced"])
def test_nothing_of_what_was_destroyed_is_left_in_its_files(
    place: Path, size: int, how: str
) -> None:
    """Not even sealed: whoever gets the master key later finds nothing to open with it."""
    with closing(local_provider(place)) as provider:
        for number in range(12):
            provider.write(f"other/{number}", os.urandom(size), token="x")
        stage = SecretStage.CURRENT if how in ("retired", "destroyed") else SecretStage.PENDING
        version = provider.write("a", os.urandom(size), stage=stage, token="1")
        key, value = sealed(place)["a", int(version.number)]
        assert key in bytes_of(place)

        match how:
            case "retired":
                provider.write("a", os.urandom(size), token="2")
                provider.write("a", os.urandom(size), token="3")
            case "destroyed":
                provider.destroy("a", version.number)
            case "discarded":
                provider.discard("a", token="1")
            case _:
                provider.write("a", os.urandom(size + 1)[:65536], stage=stage, token="1")

        left = bytes_of(place)
    assert key not in left
    assert key[-32:] not in left
    for at in range(0, len(value), 512):
        assert value[at : at + 512][:64] not in left or len(value) - at < 8
    assert len(sealed(place)) >= 12


def test_nothing_of_the_old_wrappings_is_left_after_a_change_of_the_master_key(
    place: Path,
) -> None:
    with closing(local_provider(place)) as provider:
        for number in range(40):
            provider.write(f"n{number}", os.urandom(100), token="1")
        before = sealed(place)

        provider.rekey()

        left = bytes_of(place)
        after = sealed(place)
    assert not [key for key, _ in before.values() if key in left]
    assert {where: value for where, (_, value) in before.items()} == {
        where: value for where, (_, value) in after.items()
    }


def test_equal_values_look_different(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        for name in ("a", "b"):
            provider.write(name, b"the same", token="1")

    one, two = sealed(place).values()
    assert not set(one) & set(two)
    assert one[1][12:] != two[1][12:]


def test_times_are_of_the_clock(place: Path) -> None:
    clock = FakeClock()
    with closing(local_provider(place, clock=clock)) as provider:
        clock.advance(90)
        version = provider.write("a", b"x", token="1")

        assert version.created_at == clock.now() == provider.read("a").created_at


# Who shares it -----------------------------------------------------------------------------------


def test_processes_that_write_at_once_lose_nothing_of_each_other(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        provider.write("shared", b"first", token="first")
        pids = [forked(lambda who=who: write_much(place, who)) for who in range(PROCESSES)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]

        provider.examine()
        won = [one.reveal() for one in (provider.read(f"won/{who}") for who in range(PROCESSES))]
        assert codes == [0] * PROCESSES
        assert len(provider.history("shared")) == 1 + sum(map(int, won))
        assert provider.read("shared").reveal().endswith(f"of {WRITES}")
        for who in range(PROCESSES):
            assert provider.read(f"own/{who}").reveal() == f"{who} {WRITES - 1}"


def forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def write_much(place: Path, who: int) -> None:
    """Write what is one's own, and race for what is shared."""
    won = 0
    with closing(local_provider(place)) as provider:
        for number in range(WRITES):
            provider.write(f"own/{who}", f"{who} {number}".encode(), token=f"{who} {number}")
            current = provider.read("shared").version
            value = f"{who}, {number} of {WRITES}"
            with suppress(SecretConflictError):
                provider.write("shared", value.encode(), expect=current, token=value)
                won += 1
        provider.write(f"won/{who}", str(won).encode(), token="1")


def test_a_child_and_its_parent_use_it_side_by_side(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        provider.write("a", b"parent", token="1")

        def work() -> None:
            current = provider.read("a")
            provider.write("a", b"child", expect=current.version, token="2")

        _, status = os.waitpid(forked(work), 0)

        assert status == 0
        assert provider.read("a").reveal() == "child"
        provider.write("a", b"parent again", token="3")
        provider.examine()


@contextmanager
def held(place: Path, statement: str) -> Iterator[None]:
    """Let somebody else hold the file."""
    with closing(sqlite3.connect(place / "secrets.db", isolation_level=None)) as sql:
        sql.execute(statement)
        sql.execute("select count(*) from versions").fetchone()
        yield
        sql.execute("rollback")


def test_whoever_holds_the_file_for_too_long_makes_others_fail_for_now(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_file, "BUSY_WAIT_S", 0.01)
    with closing(local_provider(place)) as provider:
        provider.write("a", b"x", token="1")

        with held(place, "begin immediate"):
            assert provider.read("a").reveal() == "x"
            with pytest.raises(ProviderDownError) as caught:
                provider.write("a", b"y", token="2")
            assert caught.value.is_transient

        provider.write("a", b"y", token="2")


def test_a_reader_that_stays_for_long_puts_the_sweep_off_and_it_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local_file, "BUSY_WAIT_S", 0.01)
    with closing(local_provider(place)) as provider:
        provider.write("a", b"x", token="1")
        key, _ = sealed(place)["a", 1]
        with held(place, "begin"):
            provider.destroy("a", "1")

            assert "secrets.unswept" in caplog.text
            with pytest.raises(SecretRevokedError):
                provider.read("a")
            assert key in bytes_of(place)

        provider.write("b", b"x", token="1")
        provider.destroy("b", "1")

        assert key not in bytes_of(place)


def test_a_store_that_was_left_unswept_is_swept_when_it_is_opened(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        provider.write("a", b"x", token="1")
        key, _ = sealed(place)["a", 1]
        copy = place / "copy"
        copy.mkdir(mode=0o700)
        with held(place, "begin"):
            # As after a crash between the two steps: what is destroyed is still in the log.
            connection = provider._file._opened()
            connection.execute("pragma busy_timeout = 1")
            provider.destroy("a", "1")
            for path in place.glob("secrets.db*"):
                (copy / path.name).write_bytes(path.read_bytes())
        (copy / "master.key").touch(0o600)
        (copy / "master.key").write_bytes((place / "master.key").read_bytes())
    (copy / "secrets.db-shm").unlink()
    assert key in bytes_of(copy)

    with closing(local_provider(copy)):
        assert key not in bytes_of(copy)


def test_threads_that_race_for_a_busy_file_do_not_wait_for_ever(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_file, "BUSY_WAIT_S", 0.01)
    with closing(local_provider(place)) as provider:
        provider.write("a", b"x", token="1")
        with provider._file._guarded.lock:
            found: list[type[BaseException]] = []

            def read() -> None:
                try:
                    provider.read("a")
                except SecretError as exc:
                    found.append(type(exc))

            thread = threading.Thread(target=read)
            thread.start()
            thread.join(timeout=30)

        assert found == [ProviderDownError]


# When it cannot be used --------------------------------------------------------------------------


def test_a_closed_provider_gives_nothing(place: Path) -> None:
    provider = local_provider(place)
    provider.write("a", b"x", token="1")
    provider.close()

    for use in (provider.names, provider.check, lambda: provider.read("a"), provider.rekey):
        with pytest.raises(SecretError, match="was closed"):
            use()


def test_a_folder_that_others_may_write_to_is_refused(place: Path) -> None:
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    with pytest.raises(SecretError, match="others may write to"):
        local_provider(shared)

    assert list(shared.iterdir()) == []


def test_a_link_in_the_place_of_the_file_is_not_followed(place: Path) -> None:
    (place / "elsewhere").touch()
    (place / "secrets.db").symlink_to(place / "elsewhere")

    with pytest.raises(SecretError):
        local_provider(place)

    assert (place / "elsewhere").read_bytes() == b""


def test_a_file_that_others_may_read_is_closed_to_them(place: Path) -> None:
    local_provider(place).close()
    (place / "secrets.db").chmod(0o644)

    local_provider(place).close()

    assert stat.S_IMODE((place / "secrets.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
def test_nothing_is_written_to_a_file_that_is_not_there_any_more(
    place: Path, *, is_replaced: bool
) -> None:
    path = place / "secrets.db"
    with closing(local_provider(place)) as provider:
        provider.write("a", b"one", token="1")
        moved = path.rename(place / "moved")
        if is_replaced:
            path.write_bytes(moved.read_bytes())

        with pytest.raises(SecretDamagedError, match="removed or replaced"):
            provider.write("a", b"two", token="2")
        with pytest.raises(SecretDamagedError, match="removed or replaced"):
            provider.check()

        moved.replace(path)
        assert provider.read("a").reveal_bytes() == b"one"


def test_a_missing_folder_is_made_for_this_user_alone(place: Path) -> None:
    folder = place / "new" / "folder"
    key = place / "master.key"
    with closing(
        LocalProvider.open(
            {"file": str(folder / "s.db"), "key_file": str(key)}, state=None, environ={}
        )
    ):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_place_that_cannot_be_made_is_told(place: Path) -> None:
    (place / "file").touch()

    with pytest.raises(SecretError) as caught:
        local_provider(place / "file" / "below")

    assert caught.value.hint


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_nothing_is_lost(place: Path) -> None:
    with closing(local_provider(place)) as provider:
        provider.write("a", b"x", token="1")
        provider.write("b", b"x" * 60_000, token="1")

        with file_size_limit(70_000), pytest.raises(ProviderDownError) as caught:
            provider.write("c", b"y" * 60_000, token="1")

        assert caught.value.hint
        assert provider.read("a").reveal() == "x"
        provider.write("a", b"y", token="2")
        provider.examine()


ERRORS: tuple[tuple[int, type[SecretError]], ...] = (
    (sqlite3.SQLITE_BUSY, ProviderDownError),
    (sqlite3.SQLITE_FULL, ProviderDownError),
    (sqlite3.SQLITE_IOERR | (3 << 8), ProviderDownError),
    (sqlite3.SQLITE_READONLY, SecretError),
    (sqlite3.SQLITE_CORRUPT, SecretDamagedError),
    (0, SecretDamagedError),
)


@pytest.mark.parametrize(("code", "kind"), ERRORS)
def test_errors_of_the_database_are_told_in_our_words(code: int, kind: type[SecretError]) -> None:
    error = sqlite3.OperationalError("it failed")
    if code:
        error.sqlite_errorcode = code

    found = local_file.storage_error(error, Path("/s.db"))

    assert type(found) is kind
    assert found.hint
    assert found.message == "/s.db: it failed"


def test_no_value_lingers_in_an_error(place: Path) -> None:
    """An error is kept by whoever logs it; what it refers to must not be the value."""
    with closing(local_provider(place)) as provider:
        provider.write("a", SENTINEL, token="1")
        uses: tuple[Callable[[], object], ...] = (
            lambda: provider.write("a", SENTINEL + b"2", expect="9", token="2"),
            lambda: provider.read("a", version="9"),
        )
        for use in uses:
            with pytest.raises((SecretConflictError, SecretError)) as caught:
                use()
            error: BaseException | None = caught.value
            while error is not None:
                assert SENTINEL.decode() not in repr(error) + str(vars(error))
                error = error.__cause__ or error.__context__
    gc.collect()
