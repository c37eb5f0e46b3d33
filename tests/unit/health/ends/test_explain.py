"""Why a process ended: each kind, and what comes before what."""

from typing import Any

import pytest

from resile.core.vocabulary import EndKind
from resile.health.ends import Asked, ProcessEnd, explain
from resile.health.ends.explain import TEXT_LENGTH_MAX

MIB = 1 << 20
HUNG = Asked(is_kill=True, hang="api.live: no answer within 1s")


@pytest.mark.parametrize(
    ("known", "kind", "text"),
    [
        ({}, EndKind.UNKNOWN, "ended while nobody could see how"),
        ({"exit_code": 0, "is_lost": True}, EndKind.UNKNOWN, "ended while nobody could see how"),
        ({"exit_code": 1}, EndKind.EXIT, "ended with exit code 1"),
        (
            {"exit_code": 1, "error": "ValueError: boom"},
            EndKind.EXIT,
            "ended with exit code 1: ValueError: boom",
        ),
        (
            {"exit_code": 1, "is_early": True},
            EndKind.START_FAILED,
            "ended with exit code 1 before it was ready",
        ),
        (
            {"exit_code": 127, "is_early": True},
            EndKind.START_FAILED,
            "ended with exit code 127 before it was ready: its command is not there",
        ),
        ({"signal": "SIGKILL"}, EndKind.SIGNAL, "killed by SIGKILL, and not by resile"),
        (
            {"signal": "SIGTERM", "is_early": True},
            EndKind.SIGNAL,
            "killed by SIGTERM before it was ready, and not by resile",
        ),
        ({"signal": "SIG40"}, EndKind.SIGNAL, "killed by SIG40, and not by resile"),
        (
            {"signal": "SIGPIPE"},
            EndKind.SIGNAL,
            "killed by SIGPIPE: nobody reads any more what it wrote",
        ),
        (
            {"signal": "SIGSEGV", "place": "app.py:work"},
            EndKind.MEMORY_VIOLATION,
            "killed by SIGSEGV: it touched memory that is not its own, in app.py:work",
        ),
        (
            {"signal": "SIGBUS"},
            EndKind.MEMORY_VIOLATION,
            "killed by SIGBUS: it touched memory that is not there",
        ),
        (
            {"signal": "SIGILL", "is_early": True},
            EndKind.MEMORY_VIOLATION,
            "killed by SIGILL: it ran into what is no code before it was ready",
        ),
        (
            {"signal": "SIGABRT", "error": "double free or corruption (out)"},
            EndKind.ABORT,
            "killed by SIGABRT: it gave up by itself: double free or corruption (out)",
        ),
        (
            {"exit_code": 139},
            EndKind.MEMORY_VIOLATION,
            (
                "ended with exit code 139, the shell's word for SIGSEGV: it touched memory that is "
                "not its own"
            ),
        ),
        (
            {"exit_code": 137, "oom_kills": 0},
            EndKind.SIGNAL,
            "ended with exit code 137, the shell's word for SIGKILL, and not by resile",
        ),
        ({"exit_code": 255}, EndKind.EXIT, "ended with exit code 255"),
        (
            {"exit_code": 1, "refused_processes": 12, "processes_limit": 20},
            EndKind.PROCESSES,
            "ended with exit code 1: it was refused 12 processes, 20 allowed at once",
        ),
        (
            {"exit_code": 1, "refused_processes": 1},
            EndKind.EXIT,
            "ended with exit code 1",
        ),
    ],
)
def test_end_that_nobody_asked_for(known: dict[str, Any], kind: EndKind, text: str) -> None:
    explanation = explain(ProcessEnd(**known))

    assert (explanation.kind, explanation.text) == (kind, text)
    assert not explanation.is_graceful
    assert explanation.is_crash


def test_end_with_exit_code_0_is_graceful_and_was_not_asked_for() -> None:
    explanation = explain(ProcessEnd(exit_code=0))

    assert explanation.kind is EndKind.EXIT
    assert explanation.is_graceful
    assert explanation.is_crash


@pytest.mark.parametrize(
    ("known", "kind", "text"),
    [
        (
            {
                "signal": "SIGKILL",
                "oom_kills": 1,
                "has_hit_limit": True,
                "memory_limit_bytes": 256 * MIB,
                "memory_max_bytes": 256 * MIB,
            },
            EndKind.OOM,
            "killed by SIGKILL for want of memory: reached 256MiB, 256MiB allowed",
        ),
        (
            {
                "exit_code": 1,
                "oom_kills": 1,
                "has_hit_limit": True,
                "memory_limit_bytes": 256 * MIB,
            },
            EndKind.OOM,
            "ended with exit code 1 for want of memory: 256MiB allowed",
        ),
        (
            {"signal": "SIGKILL", "oom_kills": 1, "memory_limit_bytes": 256 * MIB},
            EndKind.MACHINE_OOM,
            "killed by SIGKILL for want of memory: the machine had none left",
        ),
        (
            {"signal": "SIGKILL", "oom_kills": 0, "machine_oom_kills": 3},
            EndKind.SIGNAL,
            "killed by SIGKILL, and not by resile",
        ),
        (
            {"signal": "SIGKILL", "machine_oom_kills": 1},
            EndKind.MACHINE_OOM,
            "killed by SIGKILL for want of memory: the machine had none left",
        ),
        (
            {"signal": "SIGKILL", "machine_oom_kills": 1, "asked": Asked(is_kill=True)},
            EndKind.KILLED,
            "killed by resile",
        ),
        (
            {"signal": "SIGSEGV", "oom_kills": 1, "has_hit_limit": True},
            EndKind.MACHINE_OOM,
            "killed by SIGSEGV for want of memory: the machine had none left",
        ),
    ],
)
def test_want_of_memory_is_told_by_the_counters(
    known: dict[str, Any], kind: EndKind, text: str
) -> None:
    explanation = explain(ProcessEnd(**known))

    assert (explanation.kind, explanation.text) == (kind, text)


def test_worker_that_was_killed_for_want_of_memory_does_not_explain_a_good_end() -> None:
    explanation = explain(ProcessEnd(exit_code=0, oom_kills=1, asked=Asked()))

    assert explanation.kind is EndKind.STOPPED
    assert explanation.is_graceful


@pytest.mark.parametrize("how", [{"signal": "SIGKILL"}, {"signal": "SIGABRT"}, {"exit_code": 0}])
def test_hang_is_the_reason_whatever_ended_the_process(how: dict[str, Any]) -> None:
    explanation = explain(ProcessEnd(asked=HUNG, **how))

    assert explanation.kind is EndKind.HANG
    assert explanation.text == "killed by resile because it hung: api.live: no answer within 1s"
    assert explanation.is_crash


def test_silent_watchdog_is_told_from_a_live_check_that_is_down() -> None:
    asked = Asked(is_kill=True, hang="api.watchdog: silent for 6s", is_heartbeat=True)

    explanation = explain(ProcessEnd(signal="SIGKILL", asked=asked, place="app.py:loop"))

    assert explanation.kind is EndKind.WATCHDOG
    assert "it hung, in app.py:loop: api.watchdog: silent for 6s" in explanation.text


@pytest.mark.parametrize(
    ("known", "text", "is_graceful"),
    [
        ({"exit_code": 0}, "ended when asked", True),
        ({"signal": "SIGTERM"}, "ended when asked", True),
        ({"exit_code": 143}, "ended when asked", True),
        ({"exit_code": 3}, "ended when asked, ended with exit code 3", False),
        ({"signal": "SIGALRM"}, "ended when asked, killed by SIGALRM", False),
    ],
)
def test_end_when_asked(known: dict[str, Any], text: str, *, is_graceful: bool) -> None:
    explanation = explain(ProcessEnd(asked=Asked(), **known))

    assert explanation.kind is EndKind.STOPPED
    assert (explanation.text, explanation.is_graceful) == (text, is_graceful)
    assert not explanation.is_crash


def test_what_did_not_end_when_asked_was_killed() -> None:
    explanation = explain(ProcessEnd(signal="SIGKILL", asked=Asked()))

    assert explanation.kind is EndKind.KILLED
    assert explanation.text == "killed by resile, as it did not end when asked"
    assert not explanation.is_graceful
    assert not explanation.is_crash


def test_what_was_not_ready_in_time_failed_to_start() -> None:
    asked = Asked(because="it was not ready in time", is_start_failure=True)

    explanation = explain(ProcessEnd(exit_code=0, asked=asked))

    assert explanation.kind is EndKind.START_FAILED
    assert explanation.text == "ended when asked: it was not ready in time"
    assert explanation.is_crash


def test_crash_while_it_is_being_stopped_is_a_crash() -> None:
    explanation = explain(ProcessEnd(signal="SIGSEGV", asked=Asked()))

    assert explanation.kind is EndKind.MEMORY_VIOLATION
    assert explanation.text.endswith("not its own while it was being stopped")
    assert explanation.is_crash


def test_text_is_bounded() -> None:
    explanation = explain(ProcessEnd(exit_code=1, error="x" * 1000))

    assert len(explanation.text) == TEXT_LENGTH_MAX
