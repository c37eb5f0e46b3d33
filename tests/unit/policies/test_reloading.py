"""`resile.load`: guards and all that they decorate follow a file, and keep their state."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.reloads import Calls, attempts_of, without_guards, writer

import resile
from resile.core.vocabulary import CONFIG_BYTES_MAX
from resile.errors import ConfigError
from resile.policies import compiled
from resile.policies.readings import readings
from resile.policies.reloading import Loaded, load
from resile.testing import FakeClock

WAIT_S = 20


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    return without_guards(monkeypatch)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    return writer(tmp_path)


def test_a_guard_and_what_it_decorates_follow_the_file(write: Callable[[str], Path]) -> None:
    calls = Calls()
    guard = resile.guard("db", retry=resile.Retry(attempts=2, initial=0))

    @guard
    def query() -> None:
        calls()

    loaded = load(write("[policy.db]\nretry = 5"))
    assert attempts_of(query, calls) == 5
    assert attempts_of(lambda: guard.call(calls), calls) == 5
    assert compiled.wrappers().count(query) == 1  # type: ignore[arg-type]

    write("[policy.db.breaker]\nfailures = 3")
    assert loaded.reload()
    assert attempts_of(query, calls) == 2
    assert attempts_of(query, calls) == 1
    assert resile.breaker("db").state is resile.OPEN

    write("")
    assert loaded.reload()
    assert attempts_of(query, calls) == 2
    assert compiled.wrappers().count(query) == 1  # type: ignore[arg-type]
    assert query.__code__.co_filename != "<resile: changed>"


def test_every_form_of_function_follows(write: Callable[[str], Path]) -> None:
    guard = resile.guard("db", retry=resile.Retry(attempts=2, initial=0))
    count = 0

    def fail() -> None:
        nonlocal count
        count += 1
        raise OSError

    @guard
    def plain(a: int, /, *b: int, c: int = 3, **d: int) -> object:
        if a < 0:
            fail()
        return a, b, c, d

    @guard
    async def coroutine(a: int) -> int:
        if a < 0:
            fail()
        return a

    @guard
    def generator(a: int) -> Iterator[int]:
        if a < 0:
            fail()
        yield a

    class Owner:
        @guard
        def method(self, a: int) -> int:
            if a < 0:
                fail()
            return a

    forms: list[Callable[[int], object]] = [
        plain,
        lambda a: asyncio.run(coroutine(a)),
        lambda a: next(generator(a)),
        Owner().method,
    ]
    for text, attempts in (
        ("retry = 3", 3),
        ("retry = 4\nbreaker.failures = 1000", 4),
        ('retry = 5\nbreaker = {failures = 1000, slow = "1h"}', 5),
        ("retry = 2\nbulkhead = 1", 2),
        ("enabled = false", 1),
        ("retry = 3", 3),
    ):
        load(write(f"[policy.db]\n{text}"))
        for form in forms:
            count = 0
            with pytest.raises(OSError):
                form(-1)
            assert count == attempts, (text, form)
            form(1)
    assert plain(1, 2, c=4, e=5) == (1, (2,), 4, {"e": 5})


def test_guards_of_keys_follow(write: Callable[[str], Path]) -> None:
    calls = Calls()
    guard = resile.guard("db", retry=resile.Retry(attempts=2, initial=0))
    guarded = guard.per(lambda key: key)(lambda key: calls())
    assert attempts_of(lambda: guarded("a"), calls) == 2

    load(write("[policy.db]\nretry = 4"))

    assert attempts_of(lambda: guarded("a"), calls) == 4
    assert attempts_of(lambda: guarded("b"), calls) == 4


def test_a_guard_that_is_made_later_begins_as_the_file_says(write: Callable[[str], Path]) -> None:
    loaded = load(write("[policy.db]\nretry = 4\n[policy.never]\nretry = 1"))
    guard = resile.guard("db", retry=2)
    same = resile.guard("db", retry=2)

    assert guard is same
    assert guard.policy.parts() == (resile.Retry(attempts=4),)
    assert loaded.unused == ("never",)
    with pytest.raises(ConfigError, match="exists with other options"):
        resile.guard("db", retry=4)


def test_a_guard_may_stand_in_the_file_alone(write: Callable[[str], Path]) -> None:
    load(write('[policy.db]\npreset = "database"'))
    guard = resile.guard("db")
    assert guard.policy == resile.presets.DATABASE

    assert resile.guard("db", retry=9) is guard
    assert len(guard.policy.parts()) == 2
    load(write(""))
    assert guard.policy.parts() == (resile.Retry(attempts=9),)
    with pytest.raises(ConfigError, match="there is no guard"):
        resile.guard("other")


def test_a_broken_file_leaves_all_as_it_was(
    write: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    guard = resile.guard("db", retry=2)
    loaded = load(write("[policy.db]\nretry = 4"))

    for text, problem in (
        ("[policy.db]\nretry = 0\nbreaker.failures = 0", "policy.db.breaker.failures: 0 is not"),
        ("[policy.db", "resile.toml: Expected"),
        ("policy = 3", "policy: is no table"),
        ("[policy.db]\nbreaker.slow_ratio = 0.5", "policy.db.breaker.slow_ratio: needs a window"),
    ):
        write(text)
        assert not loaded.look()
        caplog.clear()
        assert loaded.look()
        assert loaded.error is not None
        assert problem in "\n".join(loaded.error.problems)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.message.startswith(f"policies.reload_refused path={loaded.path} problems=")
        assert problem in record.message
        assert not loaded.look()
        assert guard.policy.parts() == (resile.Retry(attempts=4),)
        assert loaded.sections.keys() == {"db"}

    write("[policy.db]\nretry = 5")
    assert (loaded.look(), loaded.look()) == (False, True)
    assert loaded.error is None
    assert guard.policy.parts() == (resile.Retry(attempts=5),)


def test_one_guard_that_cannot_follow_keeps_all_from_it(write: Callable[[str], Path]) -> None:
    one = resile.guard("a", retry=2)
    resile.guard("b", resile.stack(resile.Retry()))
    loaded = load(write(""))

    write("[policy.a]\nretry = 4\n[policy.b]\nbreaker = true\n[policy.c]\nretry = 4")
    assert not loaded.reload()

    later = resile.guard("c", retry=2)
    assert one.policy.parts() == later.policy.parts() == (resile.Retry(attempts=2),)
    assert loaded.error is not None
    assert "policy.b.breaker" in str(loaded.error)


def test_a_file_that_is_still_being_written_is_not_read(write: Callable[[str], Path]) -> None:
    guard = resile.guard("db", retry=2)
    loaded = load(write("[policy.db]\nretry = 4"))

    write("")
    assert not loaded.look()
    write("[policy.db]\nretry = 6")
    assert not loaded.look()
    assert guard.policy.parts() == (resile.Retry(attempts=4),)
    assert loaded.look()
    assert guard.policy.parts() == (resile.Retry(attempts=6),)


def test_a_file_that_goes_and_comes_back(write: Callable[[str], Path]) -> None:
    guard = resile.guard("db", retry=2)
    path = write("[policy.db]\nretry = 4")
    loaded = load(path)

    path.unlink()
    assert (loaded.look(), loaded.look()) == (False, True)
    assert "cannot be read: No such file" in str(loaded.error)
    assert guard.policy.parts() == (resile.Retry(attempts=4),)
    write("[policy.db]\nretry = 3")
    assert (loaded.look(), loaded.look()) == (False, True)
    assert guard.policy.parts() == (resile.Retry(attempts=3),)


def test_a_first_file_that_is_wrong_is_an_error(
    write: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="2 settings are wrong"):
        load(write("[policy.db]\nretry = 0\nbulkhead = 0"))
    path = write("")
    path.write_bytes(b"#" * (CONFIG_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is no TOML"):
        load(path)


@pytest.mark.parametrize("every", ["0s", "2h", "soon", None])
def test_a_wrong_pace_is_refused(every: str, write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError):
        load(write(""), watch=True, every=every)


def test_other_tables_are_for_others(write: Callable[[str], Path]) -> None:
    assert load(write("[service.web]\ncommand = 3")).sections == {}


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads change at every moment."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def until(condition: Callable[[], bool]) -> bool:
    done = threading.Event()
    for _ in range(int(WAIT_S / 0.02)):
        if condition():
            return True
        done.wait(0.02)
    return False


def watching() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "resile-load"]


def test_a_watched_file_is_followed_until_the_watch_is_closed(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    guard = resile.guard("db", retry=2)
    with load(write(""), watch=True, every="50ms") as first:
        write("[policy.db]\nretry = 4")
        assert until(lambda: guard.policy.parts() == (resile.Retry(attempts=4),))

        monkeypatch.setattr(first, "look", lambda: 1 / 0)
        second = load(write("[policy.db]\nretry = 5"), watch=True, every="50ms")
        assert until(lambda: len(watching()) == 1)
        second.close()
    assert until(lambda: not watching())


def test_a_watch_survives_what_one_look_comes_to(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def look(self: Loaded) -> bool:
        looks.append(1)
        raise RuntimeError

    monkeypatch.setattr(Loaded, "look", look)
    with load(write(""), watch=True, every="50ms"):
        assert until(lambda: len(looks) > 1)


def test_a_watch_goes_on_in_the_child_of_a_fork(write: Callable[[str], Path]) -> None:
    guard = resile.guard("db", retry=2)
    with load(write(""), watch=True, every="50ms"):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                write("[policy.db]\nretry = 4")
                seen = until(lambda: guard.policy.parts() == (resile.Retry(attempts=4),))
                code = 0 if seen else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    loaded = load(write(""))
    loaded.renew()
    assert until(lambda: not watching())


def test_guards_can_be_changed_while_they_are_called(
    write: Callable[[str], Path], restless: None
) -> None:
    """No call is lost or unguarded, whatever moment it has while its wrapper changes."""
    guard = resile.guard("db", retry=resile.Retry(attempts=2, initial=0), breaker=True)
    results: set[object] = set()
    failures: list[BaseException] = []
    end = threading.Event()

    @guard
    def double(x: int) -> int:
        return 2 * x

    def call() -> None:
        try:
            while not end.is_set():
                results.add(double(21))
        except BaseException as error:  # noqa: BLE001 - any of them is a fault
            failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    loaded = load(write(""))
    for number in range(40):
        write(
            f"[policy.db]\nretry = {number % 5 + 1}\n"
            + ("breaker = false\n", "", "bulkhead = 50\n", "enabled = false\n")[number % 4]
        )
        assert loaded.reload()
    end.set()
    thread.join(WAIT_S)

    assert failures == []
    assert results == {42}


def test_explain_and_readings_tell_what_is_in_force(write: Callable[[str], Path]) -> None:
    resile.guard("db", retry=2)
    load(write('[policy.db]\nretry = 7\ntimeout = {each = "1s", by = "deadline"}'))

    assert resile.explain("db").attempts_max == 7
    assert [one.policy for one in readings()] == [
        "Retry(attempts=7) + Timeout(each=1.0, by=deadline)"
    ]
    load(write("[policy.db]\nenabled = false"))
    assert resile.explain("db").attempts_max == 1
    assert resile.explain("db").order == ()
