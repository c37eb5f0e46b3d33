"""Equal crashes are one problem: counted over incidents and restarts, and told."""

from datetime import timedelta

import pytest
from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import IncidentOpened, ProcessExited
from resile.core.vocabulary import EndKind
from resile.incidents import IncidentBook, incident_view
from resile.incidents.model import CRASHES_MAX, PROBLEMS_MAX

ONE = system(service("a"))


def crash(shell: Shell, fingerprint: str, *, name: str = "a", text: str = "boom") -> None:
    process = shell.running.pop(name)
    shell.tell(
        ProcessExited(
            service=name,
            generation=process.generation,
            pid=process.pid,
            exit_code=1,
            end=EndKind.EXIT,
            explanation=text,
            fingerprint=fingerprint,
            place="app.py:work",
            bundle=f"{fingerprint}.json",
        )
    )


def up() -> Shell:
    shell = Shell(ONE).begin()
    shell.run(5)
    return shell


def test_first_crash_of_its_kind_says_nothing_of_others() -> None:
    shell = up()

    crash(shell, "f1")

    (opened,) = shell.payloads(IncidentOpened)
    assert opened.title == "a crashed: boom"
    problem = shell.book.problem("a", "f1")
    assert problem is not None
    assert (problem.count, problem.first_at, problem.place) == (1, shell.now, "app.py:work")
    assert problem.bundle == "f1.json"


def test_later_incident_of_an_equal_crash_says_so() -> None:
    shell = up()
    crash(shell, "f1")
    shell.run(7200)

    crash(shell, "f1")

    title = shell.payloads(IncidentOpened)[-1].title
    assert title == "a crashed: boom (crash 2 of this kind since 2026-01-01 00:00 UTC)"
    problem = shell.book.problem("a", "f1")
    assert problem is not None
    assert problem.first_at == EPOCH + timedelta(seconds=5)
    assert problem.last_at == shell.now


def test_different_crash_is_another_problem() -> None:
    shell = up()
    crash(shell, "f1")
    shell.run(7200)

    crash(shell, "f2")

    assert "of this kind" not in shell.payloads(IncidentOpened)[-1].title


def test_incident_lists_what_crashed_in_it() -> None:
    shell = up()
    crash(shell, "f1")
    shell.run(2)
    crash(shell, "f2", text="bang")
    shell.run(2)
    crash(shell, "f1")

    (incident,) = shell.book.active()
    crashes = shell.book.crashes_of(incident)
    assert [(c.fingerprint, c.count, c.text) for c in crashes] == [
        ("f2", 1, "bang"),
        ("f1", 2, "boom"),
    ]
    view = incident_view(incident, (), shell.now, crashes=crashes)
    assert [c["fingerprint"] for c in view["crashes"]] == ["f2", "f1"]


def test_hang_that_is_killed_is_counted_in_the_incident_that_it_opened() -> None:
    """Its end comes after its incident: no fault names its fingerprint."""
    shell = Shell(system(service("a"), checks="a.live")).begin()
    shell.run(5)
    shell.programs["a"].is_hung = True
    shell.run(1)
    (incident,) = shell.book.active()

    shell.tell(ProcessExited(service="a", generation=99, pid=1, signal="SIGKILL", fingerprint="f1"))

    assert shell.book.incidents[incident.incident_id].crashes == ("a/f1",)


def test_ordinary_end_is_no_problem() -> None:
    shell = up()

    shell.tell(ProcessExited(service="a", generation=1, pid=1, exit_code=0))

    assert shell.book.problems == {}


def test_count_outlives_the_brain() -> None:
    shell = up()
    crash(shell, "f1")

    again = IncidentBook.restore(ONE, shell.book.snapshot())

    assert again == shell.book
    assert again.problem("a", "f1") == shell.book.problem("a", "f1")


def test_checkpoint_of_an_older_version_has_no_problems() -> None:
    snapshot = {k: v for k, v in up().book.snapshot().items() if k != "problems"}

    assert IncidentBook.restore(ONE, snapshot).problems == {}


@pytest.mark.parametrize("count", [PROBLEMS_MAX + 5])
def test_what_has_not_been_seen_for_longest_is_forgotten_first(count: int) -> None:
    book = IncidentBook(ONE)
    for number in range(count):
        for fingerprint in ("often", f"f{number}"):
            book.fold(
                ProcessExited(service="a", generation=number, pid=1, fingerprint=fingerprint), EPOCH
            )

    assert len(book.problems) == PROBLEMS_MAX
    assert book.problem("a", "f0") is None
    often = book.problem("a", "often")
    assert often is not None
    assert often.count == count


def test_crashes_of_an_incident_are_bounded() -> None:
    shell = up()
    for number in range(CRASHES_MAX + 3):
        crash(shell, f"f{number}")
        shell.run(30)

    incident = shell.book.newest_first()[0]
    assert len(incident.crashes) <= CRASHES_MAX
