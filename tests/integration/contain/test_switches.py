"""Parts of contained runs that are switched off, on the real kernel."""

from contextlib import closing

import pytest

from resile.contain import Hold, Host, Limits, Switches, hold_runs, resume_runs, run
from resile.core.vocabulary import RunReason, RunState
from resile.errors import RejectedError

pytestmark = pytest.mark.needs_cgroups

UNSHARE = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) == 0)"


def with_switches(place, **switches):
    environ, runs = place.host.environ, place.host.runs
    return Host(
        runs=runs,
        journal=place.host.journal_folder,
        environ=environ,
        switches=Switches(**switches),
    )


def test_nothing_is_run_where_runs_are_off(place):
    off = closing(with_switches(place, is_enabled=False))
    with off as host, pytest.raises(RejectedError, match="nothing is run uncontained"):
        run(["sh", "-c", "echo x > f"], workspace=place.workspace, host=host)

    assert place.files() == {"notes.txt": "one\n"}
    assert place.kinds() == []


def test_what_is_forbidden_is_refused_without_the_observer_too(place):
    with closing(with_switches(place, is_observed=False)) as host:
        outcome = run(
            ["python3", "-c", UNSHARE],
            workspace=place.workspace,
            host=host,
            limits=Limits(time_s=30.0, cpu_share=2.0, processes=30),
        )

    assert (outcome.reason, outcome.violations) == (RunReason.OK, ()), outcome.stderr
    assert any("observer is switched off" in warning for warning in outcome.warnings)


def test_a_copy_is_the_same_transaction(place):
    with closing(with_switches(place, has_overlay=False)) as host:
        script = "echo two >> notes.txt; echo x > f"
        outcome = run(["sh", "-c", script], workspace=place.workspace, host=host)
        failed = run(["sh", "-c", "rm notes.txt; exit 1"], workspace=place.workspace, host=host)

    assert outcome.state is RunState.COMMITTED
    assert failed.state is RunState.DISCARDED
    assert place.files() == {"notes.txt": "one\ntwo\n", "f": "x\n"}
    assert any("copied" in warning for warning in outcome.warnings)


def test_a_run_that_was_about_to_begin_sees_the_hold(place, monkeypatch):
    """It had looked before the hold was there; its record stands before it looks again."""

    def hold_meanwhile(runs):
        hold_runs(runs, Hold(who="ann"))

    monkeypatch.setattr("resile.contain.host.check_hold", hold_meanwhile)

    with pytest.raises(RejectedError, match="held by ann"):
        place.sh("echo x > f")

    assert place.files() == {"notes.txt": "one\n"}
    assert place.host.runs.ids() == ()
    assert place.kinds() == []
    monkeypatch.undo()
    resume_runs(place.host.runs)
    assert place.sh("true").is_ok
