"""Guards by name, by key and by preset; what they explain; and functions of every form."""

import asyncio
import errno
import functools
import inspect
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

import resile
from resile.errors import BreakerOpenError, ConfigError
from resile.policies import Guard, Registry, presets
from resile.policies.breaking import BreakerLayer
from resile.policies.classify import Verdict
from resile.policies.registry import REGISTRY
from resile.testing import FakeClock


@pytest.fixture(autouse=True)
def no_guards_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})


def fails() -> None:
    raise OSError


def test_two_guards_with_one_name_and_other_options_are_refused() -> None:
    resile.guard("payments", retry=3)

    with pytest.raises(ConfigError, match="exists with other options") as caught:
        resile.guard("payments", retry=4)

    assert len(caught.value.problems) == 2


def test_a_name_shares_its_state() -> None:
    one = resile.guard("payments", retry=1, breaker=resile.Breaker(failures=1))
    two = resile.guard(
        "payments", retry=resile.Retry(attempts=1), breaker=resile.Breaker(failures=1)
    )

    with pytest.raises(OSError):
        one.call(fails)

    assert two is one is resile.guard("payments")
    assert resile.breaker("payments").state is resile.OPEN
    assert resile.guards() == (one,)


def test_a_guard_that_is_reset_begins_anew() -> None:
    budget = resile.Budget(capacity=1)
    retry = resile.Retry(attempts=2, initial=0, budget=budget)
    guard = resile.guard("payments", retry=retry, breaker=resile.Breaker(failures=2))
    with pytest.raises(OSError):
        guard.call(fails)

    guard.reset()

    assert resile.breaker("payments").state is resile.CLOSED
    assert resile.readings()[0].failures == 0
    with pytest.raises(OSError) as caught:
        guard.call(fails)
    assert len(getattr(caught.value, "attempts", ())) == 2


def test_an_unknown_name_shows_the_nearest() -> None:
    with pytest.raises(ConfigError) as nothing:
        resile.guard("x")
    resile.guard("payments", breaker=True)

    with pytest.raises(ConfigError) as caught:
        resile.breaker("payment")
    with pytest.raises(ConfigError) as far:
        resile.guard("x")

    assert caught.value.hint == "did you mean 'payments'?"
    assert nothing.value.hint == "none has been made yet"
    assert far.value.hint == "there is payments"


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        resile.guard(name, retry=True)


def test_a_guard_without_a_breaker_says_so() -> None:
    resile.Retry().named("r")

    with pytest.raises(ConfigError, match="has no breaker"):
        resile.breaker("r")


def test_too_many_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resile.policies.registry.GUARDS_MAX", 1)
    resile.guard("one", retry=True)

    with pytest.raises(ConfigError, match="1 guards already"):
        resile.guard("two", retry=True)


def test_a_registry_resets_all_or_some() -> None:
    registry = Registry(clock=FakeClock())
    registry.guard("no state to reset", resile.Timeout(1))
    names = ("a", "b")
    for name in names:
        registry.guard(name, resile.Breaker(failures=1) + resile.Retry(attempts=1))
        registry.breaker(name).trip()

    registry.reset(["a"])
    assert [registry.breaker(n).state for n in names] == [resile.CLOSED, resile.OPEN]
    registry.reset()

    assert registry.breaker("b").state is resile.CLOSED


def test_an_unknown_preset_shows_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        resile.guard("db", preset="databse")

    assert caught.value.hint == "did you mean 'database'?"


def test_a_preset_is_found_by_name() -> None:
    assert resile.guard("db", preset="database").policy.parts() == presets.DATABASE.parts()
    assert resile.presets is presets


def test_a_guard_of_a_plain_function_can_say_how_its_time_ends() -> None:
    guard = resile.guard("db", timeout=resile.Timeout("2s", by="deadline"), retry=2)

    assert guard.policy.parts() == (resile.Retry(attempts=2), resile.Timeout(2, by="deadline"))
    assert guard(resile.remaining_s)() <= 2


@pytest.mark.parametrize("policy", [resile.Fallback([]), resile.Retry() + resile.Cache()])
def test_what_answers_with_results_refuses_generators(policy: resile.Policy) -> None:
    def items() -> Iterator[int]:
        yield 1

    async def aitems() -> AsyncIterator[int]:
        yield 1

    for function in (items, aitems):
        for guard in (policy, resile.Guard(policy, name="g").per(lambda: 1)):
            with pytest.raises(ConfigError, match="cannot guard the generator"):
                guard(function)  # type: ignore[operator]


def test_a_guard_that_gets_a_cache_refuses_the_generators_that_it_has() -> None:
    guard = resile.Guard(resile.Retry(), name="g")

    @guard
    def items() -> Iterator[int]:
        yield 1

    @guard
    async def aitems() -> AsyncIterator[int]:
        yield 1

    assert list(items()) == [1]
    guard.change(resile.Cache())
    with pytest.raises(ConfigError, match="Cache cannot guard the generator"):
        next(items())
    with pytest.raises(ConfigError, match="Cache cannot guard the generator"):
        asyncio.run(anext(aitems()))  # type: ignore[arg-type]


def test_a_guard_may_switch_a_part_off() -> None:
    guard = resile.guard("db", resile.Timeout(1), retry=False, breaker=False)

    assert guard.policy.parts() == (resile.Timeout(1),)


def sqlite_error(code: int) -> Exception:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code  # type: ignore[misc]
    return error


class StateError(Exception):
    def __init__(self, state: str) -> None:
        self.sqlstate = state


class OperationalError(Exception):
    """As a driver raises it when the connection is gone."""


@pytest.mark.parametrize(
    ("judge", "error", "verdict"),
    [
        (presets.database_verdict, ConnectionResetError(), Verdict.TRANSIENT),
        (presets.database_verdict, OperationalError(), Verdict.TRANSIENT),
        (presets.database_verdict, StateError("55P03"), Verdict.TRANSIENT),
        (presets.database_verdict, StateError("40001"), Verdict.TRANSIENT),
        (presets.database_verdict, StateError("23505"), Verdict.IGNORED),
        (presets.database_verdict, StateError("42601"), Verdict.IGNORED),
        (presets.database_verdict, StateError("XX000"), Verdict.PERMANENT),
        (presets.database_verdict, sqlite_error(sqlite3.SQLITE_BUSY), Verdict.TRANSIENT),
        (presets.database_verdict, sqlite_error(sqlite3.SQLITE_ERROR), Verdict.IGNORED),
        (presets.database_verdict, sqlite_error(2067), Verdict.IGNORED),  # CONSTRAINT_UNIQUE
        (presets.database_verdict, sqlite_error(sqlite3.SQLITE_CORRUPT), Verdict.PERMANENT),
        (presets.ipc_verdict, ConnectionRefusedError(), Verdict.TRANSIENT),
        (presets.ipc_verdict, TimeoutError(), Verdict.TRANSIENT),
        (presets.ipc_verdict, ValueError("protocol"), Verdict.PERMANENT),
        (presets.file_verdict, OSError(errno.EBUSY, "x"), Verdict.TRANSIENT),
        (presets.file_verdict, OSError(errno.EAGAIN, "x"), Verdict.TRANSIENT),
        (presets.file_verdict, OSError(errno.ENOENT, "x"), Verdict.PERMANENT),
        (presets.file_verdict, OSError(errno.EACCES, "x"), Verdict.PERMANENT),
        (presets.file_verdict, OSError(errno.ENOSPC, "x"), Verdict.PERMANENT),
        (presets.scan_verdict, MemoryError(), Verdict.TRANSIENT),
        (presets.scan_verdict, OSError(errno.ENOMEM, "no memory"), Verdict.TRANSIENT),
        (presets.scan_verdict, ValueError("rules"), Verdict.PERMANENT),
    ],
)
def test_presets_know_what_passes(
    judge: Callable[[Exception], Verdict], error: Exception, verdict: Verdict
) -> None:
    assert judge(error) is verdict


def test_presets_have_the_figures_of_the_requirements() -> None:
    def retry(policy: resile.Policy) -> tuple[object, ...]:
        one = next(part for part in policy.parts() if isinstance(part, resile.Retry))
        return one.attempts, one.initial, one.max, one.multiplier

    def breaker(policy: resile.Policy) -> tuple[object, ...]:
        one = next(part for part in policy.parts() if isinstance(part, resile.Breaker))
        return one.failures, one.open_for, one.successes

    assert retry(presets.DATABASE) == (3, 0.1, 1.0, 2.0)
    assert retry(presets.IPC) == (5, 0.05, 2.0, 1.5)
    assert retry(presets.FILE) == (3, 0.2, 5.0, 2.0)
    assert retry(presets.SCAN) == (2, 1.0, 5.0, 3.0)
    assert breaker(presets.DATABASE) == (5, 30, 2)
    assert breaker(presets.SCAN) == (3, 60, 3)
    assert breaker(presets.IPC) == (10, 10, 1)
    assert breaker(presets.EXTERNAL_API) == (3, 60, 2)
    assert retry(resile.Retry()) == (3, 0.1, 10.0, 2.0)
    assert resile.Retry().jitter == 0.1


def test_each_key_has_a_state_of_its_own_and_the_oldest_goes() -> None:
    guard = Guard(resile.Breaker(failures=1), name="http", clock=FakeClock())
    keyed = guard.per(lambda host, *_: host, keys_max=2)

    @keyed
    def fetch(host: str, is_down: bool = False) -> str:
        if is_down:
            raise OSError
        return host

    with pytest.raises(OSError):
        fetch("a", True)
    with pytest.raises(BreakerOpenError, match=r"http\[a\]"):
        fetch("a")
    assert fetch("b") == "b"
    assert fetch("c") == "c"

    assert len(keyed) == 2
    assert fetch("a") == "a"  # It was the least recently used, and is forgotten.
    assert keyed.of("a") is keyed.of("a")
    with pytest.raises(ConfigError):
        guard.per(lambda host: host, keys_max=0)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (3, "not callable"),
        (FakeClock, "is a class"),
        (classmethod(lambda cls: None), "above @classmethod"),
        (staticmethod(fails), "above @staticmethod"),
    ],
)
def test_what_cannot_be_guarded_is_refused(thing: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resile.Retry()(thing)


RETRY = resile.Retry(attempts=3, initial=0)


def test_generators_are_tried_again_until_their_first_item() -> None:
    begun = 0

    @RETRY
    def numbers(last: int) -> Generator[int, str, str]:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise OSError
        word = yield 1
        try:
            yield last
        except KeyError:
            yield 99
        return word

    stream = numbers(7)
    assert next(stream) == 1
    assert stream.send("hello") == 7
    assert stream.throw(KeyError()) == 99
    with pytest.raises(StopIteration) as stop:
        next(stream)

    assert stop.value.value == "hello"
    assert begun == 3
    closed = numbers(1)
    next(closed)
    closed.close()


def test_a_generator_that_gives_nothing_ends_at_once() -> None:
    @RETRY
    def nothing() -> Generator[int, None, str]:
        return "done"
        yield 1

    with pytest.raises(StopIteration) as stop:
        next(nothing())
    assert stop.value.value == "done"


def test_async_generators_are_tried_again_until_their_first_item() -> None:
    begun = 0

    @RETRY
    async def numbers(count: int) -> AsyncIterator[int]:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise OSError
        for number in range(count):
            try:
                yield number
            except KeyError:
                yield -1

    async def work() -> list[int]:
        seen = [number async for number in numbers(3)]
        seen += [number async for number in numbers(0)]
        stream: Any = numbers(2)
        await anext(stream)
        seen.append(await stream.athrow(KeyError()))
        await stream.aclose()
        return seen

    assert asyncio.run(work()) == [0, 1, 2, -1]
    assert begun == 5


def test_what_fails_late_in_an_async_generator_counts() -> None:
    guard = Guard(resile.Breaker(failures=1), name="g")

    @guard
    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise OSError

    async def work() -> None:
        async for _ in numbers():
            pass

    with pytest.raises(OSError):
        asyncio.run(work())
    layer = guard.layers[0]
    assert isinstance(layer, BreakerLayer)
    assert layer.state is resile.OPEN


class Service:
    """Has methods of every kind."""

    name = "s"

    @RETRY
    def plain(self, number: int, *, more: int = 1) -> int:
        """Add."""
        return number + more

    @RETRY
    async def later(self) -> str:
        return self.name

    @classmethod
    @RETRY
    def of_class(cls) -> str:
        return cls.name

    @staticmethod
    @RETRY
    def static() -> int:
        return 3

    def __call__(self) -> str:
        return "called"


def test_methods_of_every_kind_keep_their_signature() -> None:
    service = Service()

    assert service.plain(1, more=2) == 3
    assert asyncio.run(service.later()) == "s"
    assert Service.of_class() == "s"
    assert Service.static() == 3
    assert RETRY(service)() == "called"
    assert RETRY(functools.partial(service.plain, 4))() == 5
    assert RETRY(len)([1]) == 1
    assert Service.plain.__doc__ == "Add."
    assert list(inspect.signature(Service.plain).parameters) == ["self", "number", "more"]
    assert inspect.iscoroutinefunction(Service.later)


def test_a_policy_object_has_a_state_of_its_own_for_ad_hoc_calls() -> None:
    policy = resile.Breaker(failures=1)

    with pytest.raises(OSError):
        policy.call(fails)
    with pytest.raises(BreakerOpenError), policy:
        pass

    assert resile.Breaker(failures=1).call(int, "3") == 3


def test_attempts_without_a_retry_are_refused() -> None:
    with pytest.raises(ConfigError, match="no retry"):
        iter(resile.Breaker()).__next__()


def test_a_child_of_a_fork_begins_with_free_locks_and_permits() -> None:
    guard = Guard(
        resile.Breaker(failures=1, open_for=0.001), name="f", clock=(clock := FakeClock())
    )
    layer = guard.layers[0]
    assert isinstance(layer, BreakerLayer)
    layer.trip()
    clock.advance(1)
    held = layer.start()
    with layer._lock:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if layer.run(lambda: 7) == 7 and layer.state is resile.CLOSED else 1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    held.close()


def test_iterators_that_are_no_generators_are_plain_results() -> None:
    @RETRY
    def numbers() -> Iterator[int]:
        return iter((1, 2))

    assert list(numbers()) == [1, 2]
