"""What guards tell listeners, and that nobody has to wait for them."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest

import resile
from resile.errors import BreakerOpenError, BulkheadFullError, RateLimitedError
from resile.policies import signals
from resile.policies.registry import REGISTRY, Registry
from resile.policies.signals import Post, Signal, flush, listen
from resile.testing import FakeClock

WAIT_S = 20


@pytest.fixture(autouse=True)
def no_guards_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})


@pytest.fixture
def heard() -> Iterator[list[Signal]]:
    """What a listener has heard; `told` waits for it."""
    got: list[Signal] = []
    end = listen(got.append)
    yield got
    end()


def told(heard: list[Signal]) -> list[str]:
    assert flush(WAIT_S)
    return [signal.kind for signal in heard]


def fails() -> None:
    raise OSError("secret")


def test_a_breaker_tells_each_change_of_state_and_mode(heard: list[Signal]) -> None:
    clock = FakeClock()
    registry = Registry(clock=clock)
    guard = registry.guard("db", resile.Breaker(failures=1, open_for=5))
    breaker = registry.breaker("db")

    with pytest.raises(OSError):
        guard.call(fails)
    clock.advance(6)
    guard.call(len, "")
    breaker.force_open(why="INC-12", for_="5m")
    breaker.force_open(why="INC-13")
    breaker.automatic(why="over")

    assert told(heard) == ["opened", "half_open", "closed", "mode", "closed", "mode"]
    assert heard[0].guard == "db"
    assert heard[0].detail == {"mode": "automatic", "why": "too many bad calls", "left_s": 5}
    assert heard[0].at_s == heard[1].at_s - 6
    assert heard[3].detail == {"mode": "forced_open", "why": "INC-12", "left_s": 300}
    assert heard[5].detail == {"mode": "automatic", "why": "over", "left_s": None}


def test_a_retry_tells_its_attempts_and_that_it_gave_up(heard: list[Signal]) -> None:
    registry = Registry(clock=FakeClock())
    retry = resile.Retry(attempts=3, jitter=0, budget=resile.Budget(capacity=1))
    guard = registry.guard("db", retry)

    with resile.correlated("c-1"), pytest.raises(OSError):
        guard.call(fails)

    assert told(heard) == ["retry", "budget_exhausted", "gave_up"]
    assert heard[0].detail == {
        "attempt": 2,
        "wait_s": 0.1,
        "error": "OSError",
        "correlation_id": "c-1",
    }
    assert heard[2].detail["attempts"] == 2
    assert "secret" not in repr(heard)


def test_an_unwanted_result_has_no_error_to_tell_of(heard: list[Signal]) -> None:
    guard = Registry(clock=FakeClock()).guard(
        "db", resile.Retry(attempts=2, on_result=lambda result: result == "secret")
    )

    guard.call(str, "secret")

    assert told(heard) == ["retry", "gave_up"]
    assert heard[0].detail["error"] == ""
    assert "secret" not in repr(heard)


@pytest.mark.parametrize(
    ("policy", "error", "by"),
    [
        (resile.RateLimit(limit=1, per=3600), RateLimitedError, "rate_limit"),
        (resile.Bulkhead(limit=1), BulkheadFullError, "bulkhead"),
        (resile.AdaptiveLimit(initial=1, highest=1), BulkheadFullError, "bulkhead"),
        (resile.Breaker(), BreakerOpenError, "breaker"),
    ],
)
def test_rejections_are_told_together(
    heard: list[Signal], policy: resile.Policy, error: type[Exception], by: str
) -> None:
    clock = FakeClock()
    registry = Registry(clock=clock)
    guard = registry.guard("db", policy)
    guarded = guard(lambda: None)
    if by == "breaker":
        registry.breaker("db").force_open(why="test")

    with guard if by != "breaker" else signals_off():
        for _ in range(3):
            with pytest.raises(error):
                guarded()
        clock.advance(1)
        with pytest.raises(error):
            guarded()

    assert [kind for kind in told(heard) if kind != "mode"] == ["rejected", "rejected"]
    assert [one.detail for one in heard[-2:]] == [
        {"by": by, "count": 1},
        {"by": by, "count": 3},
    ]


class signals_off:  # noqa: N801 - stands where a guard's block stands
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_a_timeout_tells_of_calls_that_took_too_long(heard: list[Signal]) -> None:
    clock = FakeClock()
    guard = Registry(clock=clock).guard("db", resile.Timeout(total=1))

    with resile.deadline_after(0, clock=clock), pytest.raises(resile.TimeoutExceededError):
        guard.call(len, "")

    assert told(heard) == ["timed_out"]
    assert heard[0].detail == {"after_s": 0}


def test_a_listener_that_raises_is_let_go_and_the_others_go_on(
    heard: list[Signal], caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def bad(signal: Signal) -> None:
        calls.append(signal)
        raise RuntimeError

    before = signals.POST.failed
    end = listen(bad)
    breaker = Registry(clock=FakeClock()).guard("db", resile.Breaker()).layers[0]
    breaker.trip()  # type: ignore[attr-defined]
    breaker.trip()  # type: ignore[attr-defined]

    assert told(heard) == ["opened", "opened"]
    assert len(calls) == 1
    assert signals.POST.failed == before + 1
    assert [record.message for record in caplog.records] == ["policies.listener_dropped"]
    end()


def test_who_has_ended_hears_nothing_and_the_thread_ends_with_the_last() -> None:
    post, clock, heard = Post(), FakeClock(), list[Signal]()
    end, other = post.listen(heard.append), post.listen(heard.append)
    thread = post._thread
    post.tell("a", "opened", clock, {})

    end()
    end()
    post.tell("b", "opened", clock, {})
    assert post.flush(WAIT_S)
    other()
    post.tell("c", "opened", clock, {})

    assert [signal.guard for signal in heard].count("b") == 1
    assert not post.is_heard
    assert post.flush(0)
    assert thread is not None
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_a_slow_listener_costs_signals_not_memory_nor_time() -> None:
    post, clock, heard = Post(), FakeClock(), list[Signal]()
    started, go = threading.Event(), threading.Event()

    def slow(signal: Signal) -> None:
        started.set()
        go.wait(WAIT_S)
        heard.append(signal)

    end = post.listen(slow)
    post.tell("first", "retry", clock, {})
    assert started.wait(WAIT_S)

    for _ in range(signals.WAITING_MAX + 10):
        post.tell("db", "retry", clock, {})
    post.tell("db", "opened", clock, {})
    assert not post.flush(0)
    go.set()
    assert post.flush(WAIT_S)
    end()

    assert post.dropped == 10
    assert len(heard) == 1 + signals.WAITING_MAX + 1
    assert heard[-1].kind == "opened"


def test_who_comes_later_hears_nothing_of_before() -> None:
    post, clock, early, late = Post(), FakeClock(), list[str](), list[str]()
    go = threading.Event()

    def slow(signal: Signal) -> None:
        go.wait(WAIT_S)
        early.append(signal.guard)

    ends = [post.listen(slow)]
    post.tell("before", "opened", clock, {})
    ends.append(post.listen(lambda signal: late.append(signal.guard)))
    post.tell("after", "opened", clock, {})
    go.set()
    assert post.flush(WAIT_S)
    for end in ends:
        end()

    assert (early, late) == (["before", "after"], ["after"])


def test_a_listener_that_asks_for_a_flush_is_not_locked_up() -> None:
    post, answers = Post(), list[bool]()
    end = post.listen(lambda signal: answers.append(post.flush(WAIT_S)))

    post.tell("db", "opened", FakeClock(), {})
    post.flush(WAIT_S)
    end()

    assert len(answers) == 1


def test_a_call_is_guarded_though_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post = Post()
    end = post.listen(print)
    post.renew()

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    post.tell("db", "opened", FakeClock(), {})
    end()

    assert post.dropped == 1


def test_the_first_signal_after_a_fork_starts_the_thread() -> None:
    post, heard = Post(), list[Signal]()
    end = post.listen(heard.append)
    post.renew()

    post.tell("db", "opened", FakeClock(), {})
    assert post.flush(WAIT_S)
    end()

    assert [signal.kind for signal in heard] == ["opened"]


def test_of_two_threads_that_reject_at_once_one_tells(heard: list[Signal]) -> None:
    rejections = signals.Rejections("db", FakeClock(), "breaker")

    rejections._tell()
    rejections._tell()

    assert told(heard) == ["rejected"]


def in_child(check: Callable[[], bool]) -> int:
    """Fork, and give the child's exit code: 0 if the check held."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_listeners_hear_the_child_of_a_fork(heard: list[Signal]) -> None:
    breaker = Registry(clock=FakeClock()).guard("db", resile.Breaker()).layers[0]
    assert told(heard) == []

    def check() -> bool:
        breaker.trip()  # type: ignore[attr-defined]
        return told(heard) == ["opened"]

    assert in_child(check) == 0
    assert told(heard) == []
