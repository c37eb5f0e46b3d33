"""What people are told, once, and what becomes of their answers."""

import io
import os
import sys

import pytest
from tests.unit.degradation.kit import Dependency, fail, manager

from resile.degradation import Notice, NoticeChoice, Service, ServiceState, Terminal, ask
from resile.degradation.workers import JOBS_MAX, Worker
from resile.errors import ConfigError
from resile.testing import FakeClock
from resile.testing.clock import START

HEALTHY, DEGRADED, FAILED, CRITICAL = ServiceState
TEXT = "Database connection lost. Using cached security policies. Some features unavailable."
NOTICE = Notice(id="ntc_1", service="database", state=FAILED, text=TEXT, at=START)


class Tty(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_box_is_that_of_the_requirements() -> None:
    stream = Tty()

    Terminal(stream=stream, title="Sentinel")(NOTICE)

    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("┌─")
    assert "⚠️  Sentinel: Operating in Degraded Mode" in lines[1]
    assert " ".join(line.strip("│ ") for line in lines[3:-3]) == TEXT
    assert "[Retry]  [Continue]" in lines[-2]
    assert lines[-1].startswith("└─")
    # The picture in the first line is two columns wide, in one letter and a mark without width.
    assert {len(line) for line in lines} == {len(lines[0])}


def test_a_program_that_reads_gets_a_plain_line() -> None:
    stream = io.StringIO()

    Terminal(stream=stream)(NOTICE)

    assert stream.getvalue() == f"FAILED: database: {TEXT}\n"


def test_a_terminal_without_unicode_gets_ascii() -> None:
    text = Terminal().written(NOTICE, is_for_people=True, encoding="latin-1")

    assert text.isascii()
    assert text.startswith("+--")


def test_the_end_is_one_line() -> None:
    over = Notice(id="n", service="a", state=HEALTHY, text="a works again.", at=START, choices=())

    assert Terminal().written(over, is_for_people=True, encoding="utf-8") == "✓ a works again."


@pytest.mark.parametrize("is_for_people", [True, False])
def test_a_reason_gives_the_terminal_no_orders(is_for_people: bool) -> None:
    evil = Notice(
        id="n", service="a", state=FAILED, text="\x1b]0;title\x07\x1b[2Jgone\r\n\tok", at=START
    )

    text = Terminal(title="\x1b[31mred").written(
        evil, is_for_people=is_for_people, encoding="utf-8"
    )

    assert {letter for letter in text if not letter.isprintable()} <= {"\n", "\ufe0f"}
    assert "gone" in text


def test_wide_letters_keep_the_box_straight() -> None:
    wide = Notice(id="n", service="a", state=CRITICAL, text="数据库连接失败 é e\u0301", at=START)

    lines = Terminal().written(wide, is_for_people=True, encoding="utf-8").splitlines()

    extra = {
        line: sum(letter > "\u2e80" and letter < "\ufe00" for letter in line) for line in lines
    }
    marks = {line: line.count("\u0301") for line in lines}
    assert len({len(line) + extra[line] - marks[line] for line in lines}) == 1


def test_a_closed_stream_is_left_alone() -> None:
    stream = Tty()
    stream.close()

    Terminal(stream=stream)(NOTICE)


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("retry\n"))

    assert ask(manager(), NOTICE) is None


@pytest.mark.parametrize(
    ("typed", "chosen"), [(b"r\n", NoticeChoice.RETRY), (b"continue\n", "continue"), (b"x\n", None)]
)
def test_a_person_chooses_at_the_terminal(
    typed: bytes, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = manager(Service("a", fallbacks=["f"]))
    fail(services, "a", Dependency())
    own, other = os.openpty()
    try:
        os.write(own, typed)
        with os.fdopen(os.dup(other)) as terminal:
            monkeypatch.setattr(sys, "stdin", terminal)
            monkeypatch.setattr(sys, "stderr", Tty())
            assert ask(services, services.notices()[0], timeout_s=5) == chosen
    finally:
        os.close(own)
        os.close(other)
    assert (services.notices() == ()) == (chosen == "continue")


def test_it_is_told_once_and_again_when_it_gets_worse() -> None:
    told: list[Notice] = []
    fallback = Dependency()
    services = manager(Service("a", fallbacks=[fallback.ask]), notify=[told.append])
    fail(services, "a", Dependency(), times=10)
    assert [notice.state for notice in told] == [FAILED]

    services.choose(told[0].id, "continue")
    assert services.notices() == ()
    fallback.error = LookupError()
    with pytest.raises(Exception, match="a is FAILED"):
        services.call("a", Dependency().ask)

    assert [notice.state for notice in told] == [FAILED, CRITICAL]
    assert services.notices() == (told[1],)
    services.set_state("a", HEALTHY)
    assert told[-1].is_over
    assert services.notices() == ()


def test_a_service_on_its_way_back_is_not_told_again() -> None:
    clock = FakeClock()
    told: list[Notice] = []
    dependency = Dependency()
    services = manager(
        Service("a", fallbacks=["f"], probe=dependency.probe), clock=clock, notify=[told.append]
    )
    fail(services, "a", dependency)
    for error in (None, OSError(), None, OSError()):
        dependency.error = error
        clock.advance(13)
        services.step()

    assert [notice.state for notice in told] == [FAILED]


def test_wrong_answers_are_refused() -> None:
    services = manager(Service("a", fallbacks=["f"]))
    with pytest.raises(ConfigError, match="is open"):
        services.choose("ntc_gone", "retry")
    fail(services, "a", Dependency())

    with pytest.raises(ConfigError, match="none of retry, continue"):
        services.choose(services.notices()[0].id, "panic")


def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise ValueError("broken")

    states = []
    services = manager(Service("a", fallbacks=["f"]), notify=[broken])
    services.on_change(broken)
    end = services.on_change(lambda status: states.append(status.state))

    fail(services, "a", Dependency())
    end()
    services.set_state("a", HEALTHY)

    assert states == [FAILED]
    assert "degradation.listener_failed" in caplog.messages


def test_a_worker_has_a_limit_and_goes_on_after_an_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr("resile.degradation.workers.IDLE_S", 0.01)
    ended = threading.Event()
    worker = Worker("test", idle=ended.set)
    begun, go, done = threading.Event(), threading.Event(), threading.Event()
    worker.submit(lambda: (begun.set(), go.wait(20), 1 / 0))
    assert begun.wait(10)
    taken = [worker.submit(done.set) for _ in range(JOBS_MAX + 5)]
    go.set()

    assert (taken.count(True), worker.dropped) == (JOBS_MAX, 5)
    assert done.wait(10)
    assert "degradation.job_failed worker=test" in caplog.messages
    assert worker.wait_until_idle(10)
    assert ended.is_set()
    assert worker.submit(done.set)
