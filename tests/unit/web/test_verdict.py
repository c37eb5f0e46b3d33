import pytest

from resile.core.vocabulary import CheckState, Phase
from resile.testing.view import FakeSystemView
from resile.web import verdict

DOWN, UP = CheckState.DOWN, CheckState.UP


@pytest.fixture
def view() -> FakeSystemView:
    view = FakeSystemView()
    view.put_service("api")
    view.put_service("scanner")
    view.put_check("disk")
    return view


def said(view: FakeSystemView) -> tuple[str, str]:
    answer = verdict(view.status())
    return answer["state"], answer["text"]


def test_all_well(view: FakeSystemView) -> None:
    assert said(view) == (UP, "All systems operational")


def test_a_service_that_is_down_is_named_with_its_reason_and_time(view: FakeSystemView) -> None:
    view.put_service("scanner", DOWN, reason="killed by SIGKILL", since="2025-01-01T12:00:00+00:00")

    answer = verdict(view.status())

    assert answer["text"] == "scanner is down: killed by SIGKILL"
    assert answer["since"] == "2025-01-01T12:00:00+00:00"


@pytest.mark.parametrize("phase", [Phase.BACKOFF, Phase.STARTING, Phase.STOPPING])
def test_a_service_on_its_way_back_is_being_recovered(view: FakeSystemView, phase: Phase) -> None:
    view.put_service("scanner", DOWN, phase=phase)

    assert said(view) == (DOWN, "Recovering scanner")


def test_a_service_in_quarantine_comes_with_the_command_that_helps(view: FakeSystemView) -> None:
    view.put_service("scanner", DOWN, phase=Phase.QUARANTINED, reason="5 crashes in 1m")

    assert verdict(view.status())["hint"] == "resile start scanner"


def test_only_the_root_is_named_not_what_it_suppresses(view: FakeSystemView) -> None:
    view.put_service("scanner", DOWN)
    view.put_service("api", CheckState.SUPPRESSED)

    assert said(view) == (DOWN, "scanner is down")


def test_several_are_named_together_and_many_are_counted(view: FakeSystemView) -> None:
    view.put_service("scanner", DOWN, since="2025-01-01T12:00:05+00:00")
    view.put_service("api", DOWN, since="2025-01-01T12:00:00+00:00")
    answer = verdict(view.status())
    assert answer["text"] == "api and scanner are down"
    assert answer["since"] == "2025-01-01T12:00:00+00:00"

    for number in range(4):
        view.put_service(f"worker{number}", DOWN)
    assert verdict(view.status())["text"] == "api, scanner, worker0 and 3 more are down"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (DOWN, "disk is down: full"),
        (CheckState.DEGRADED, "disk is degraded: full"),
        (CheckState.MAINTENANCE, "disk is in maintenance: full"),
        (CheckState.UNKNOWN, "No result yet from disk"),
    ],
)
def test_a_system_check_counts_too(view: FakeSystemView, state: CheckState, text: str) -> None:
    view.put_check("disk", state, reason="full")

    assert said(view) == (state, text)


def test_a_check_of_a_service_is_told_by_its_service_alone(view: FakeSystemView) -> None:
    view.put_check("api.live", DOWN, service="api")

    assert said(view)[0] == UP


def test_down_goes_before_degraded_before_unknown(view: FakeSystemView) -> None:
    view.put_check("disk", CheckState.UNKNOWN)
    view.put_service("api", CheckState.DEGRADED)
    assert said(view)[0] == CheckState.DEGRADED

    view.put_service("scanner", DOWN)
    assert said(view)[0] == DOWN


def test_a_journal_that_cannot_be_written_is_told(view: FakeSystemView) -> None:
    status = {**view.status(), "journal": {"seq": 7, "trouble": "disk full"}}

    answer = verdict(status)

    assert answer["state"] == CheckState.DEGRADED
    assert answer["text"] == "The journal cannot be written: disk full"


def test_a_first_start_is_told_as_such(view: FakeSystemView) -> None:
    view.put_service("api", CheckState.UNKNOWN, phase=Phase.STARTING)
    view.put_service("scanner", CheckState.UNKNOWN, phase=Phase.WAITING)

    assert said(view) == (CheckState.UNKNOWN, "Starting api and scanner")


def test_what_was_stopped_on_purpose_is_no_trouble(view: FakeSystemView) -> None:
    view.put_service("scanner", DOWN, phase=Phase.STOPPED)
    assert said(view) == (UP, "All systems operational, 1 stopped on purpose")

    view.put_service("api", CheckState.UNKNOWN, phase=Phase.STOPPED)
    assert said(view) == (CheckState.UNKNOWN, "Every service is stopped")
    assert verdict(view.status())["hint"] == "resile start api scanner"


def test_nothing_declared_is_not_called_good() -> None:
    answer = verdict(FakeSystemView().status())

    assert answer["state"] == CheckState.UNKNOWN
    assert answer["hint"] == "resile init"
