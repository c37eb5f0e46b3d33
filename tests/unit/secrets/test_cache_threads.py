"""The threads behind the cache: jobs that fail, threads that cannot be had, steps that go on."""

import threading

import pytest
from tests.support.keeping import wait_until

from resile.secrets.cache import threads
from resile.secrets.cache.threads import Crew, Ticker


def test_job_that_fails_is_logged_and_the_next_one_is_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crew, done = Crew(name="test", threads_max=1), threading.Event()

    def fail() -> None:
        raise RuntimeError("no")

    assert crew.submit(fail)
    assert crew.submit(done.set)

    assert done.wait(20)
    assert "secrets.job_failed" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_job_that_ends_its_thread_leaves_the_place_to_another() -> None:
    crew, done = Crew(name="test", threads_max=1), threading.Event()
    stopped: list[threading.Thread] = []

    def stop() -> None:
        stopped.append(threading.current_thread())
        raise SystemExit

    crew.submit(stop)
    wait_until("the thread has ended", lambda: crew._busy == 0)
    # Pytest tells of it when its very end is seen: here, where the warning is expected.
    stopped[0].join(20)
    crew.submit(done.set)

    assert done.wait(20)


def test_jobs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "JOBS_MAX", 1)
    crew, gate = Crew(name="test", threads_max=1), threading.Event()
    crew.submit(lambda: gate.wait(20))
    wait_until("it is being done", lambda: not crew._jobs)

    assert crew.submit(gate.set)
    assert not crew.submit(gate.set)

    gate.set()
    wait_until("all is done", lambda: crew._busy == 0)


def _no_more(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_job_that_no_thread_can_do_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew(name="test")
    monkeypatch.setattr(threading.Thread, "start", _no_more)

    assert not crew.submit(print)
    assert (crew._busy, len(crew._jobs)) == (0, 0)


def test_job_waits_for_a_thread_that_is_there_if_no_other_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crew, gate, done = Crew(name="test"), threading.Event(), threading.Event()
    crew.submit(lambda: gate.wait(20))
    wait_until("it is being done", lambda: not crew._jobs)
    monkeypatch.setattr(threading.Thread, "start", _no_more)

    assert crew.submit(done.set)

    gate.set()
    assert done.wait(20)


def test_step_that_fails_is_logged_and_called_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threads, "FAILED_PAUSE_S", 0.01)
    calls: list[int] = []

    def step() -> float:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("no")
        return 1000.0

    ticker = Ticker(step, name="test")
    ticker.wake()

    wait_until("it was called again", lambda: len(calls) == 3)
    assert "secrets.step_failed" in caplog.text
    ticker.close()


def test_many_wakes_are_few_steps() -> None:
    calls: list[int] = []
    gate = threading.Event()

    def step() -> float:
        calls.append(1)
        gate.wait(20)
        return 1000.0

    ticker = Ticker(step, name="test")
    for _ in range(100):
        ticker.wake()
    wait_until("it steps", lambda: calls)
    gate.set()
    wait_until("all wakes are seen", ticker._wakes.empty)
    ticker.close()

    assert len(calls) <= 3


def test_closed_ticker_starts_no_thread() -> None:
    ticker = Ticker(lambda: 1.0, name="test")
    ticker.close()

    ticker.wake()
    ticker.nudge()

    assert not ticker.is_running


def test_ticker_that_gets_no_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ticker = Ticker(lambda: 1.0, name="test")
    monkeypatch.setattr(threading.Thread, "start", _no_more)

    ticker.wake()

    assert not ticker.is_running
