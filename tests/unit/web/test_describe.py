import pytest
from tests.unit.web.scenes import killed

from resile.core.events import announce, payload_kinds
from resile.testing.view import FakeSystemView
from resile.web.describe import _WRITERS, TEXT_LENGTH_MAX, describe


def test_no_line_is_written_for_a_kind_that_is_gone() -> None:
    assert set(_WRITERS) <= set(payload_kinds())


def test_a_kill_reads_as_a_story() -> None:
    view = FakeSystemView()

    events = [announce(p, at=view.now, actor="brain") for p, _ in killed("scanner", view.now)]

    assert [describe(event.kind, event.body) for event in events] == [
        "pid 4319 killed by SIGKILL, after 51m58s",
        "UP → DOWN: killed by SIGKILL",
        "P1 crash: killed by SIGKILL",
        "P1 scanner crashed",
        "restart, attempt 1: start scanner",
        "start scanner",
        "done in 14ms",
        "UP → DOWN: connection refused",
    ]


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("process.exited", {"pid": 7, "exit_code": 0}, "pid 7 exit code 0"),
        (
            "process.exited",
            {"pid": 7, "is_lost": True},
            "pid 7 ended unseen, its exit code is lost",
        ),
        (
            "process.exited",
            {"pid": 7, "signal": "SIGKILL", "oom_kills": 1, "core_dumped": True},
            "pid 7 killed by SIGKILL, out of memory, core dumped",
        ),
        ("service.notified", {"is_ready": True, "status": "warm"}, "ready, warm"),
        (
            "operator.requested",
            {"verb": "stop", "services": [], "who": "ann"},
            "stop everything by ann",
        ),
        ("action.finished", {"is_ok": False, "detail": "no such file"}, "failed: no such file"),
        (
            "fault.closed",
            {"outcome": "recovered", "recovery_s": 1.3, "rto_s": 120, "is_within_rto": True},
            "recovered in 1.3s, within its 2m",
        ),
        (
            "incident.resolved",
            {"duration_s": 300, "rto_s": 120, "is_within_rto": False},
            "resolved after 5m, beyond its 2m",
        ),
    ],
)
def test_lines_say_what_counts(kind: str, body: dict[str, object], text: str) -> None:
    assert describe(kind, body) == text


@pytest.mark.parametrize("kind", payload_kinds())
@pytest.mark.parametrize(
    "body", [{}, {"steps": 1, "services": 3, "killed": 0, "adopted": 0, "status": 1}]
)
def test_a_body_of_another_version_never_fails(kind: str, body: dict[str, object]) -> None:
    assert isinstance(describe(kind, body), str)


def test_an_unknown_kind_and_a_long_text_are_bounded() -> None:
    assert describe("later.kind", {"free_bytes": 1, "note": "", "list": []}) == "free bytes 1"
    assert describe("brain.stopped", {"why": "x"}) == "why x"
    assert len(describe("brain.stopped", {"reason": "x" * 10_000})) == TEXT_LENGTH_MAX
