"""Switches and the hold: what is off is refused or done in another way, never silently given up."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from resile.contain import Hold, Host, Runs, Switches, held, hold_runs, resume_runs
from resile.contain.host import default_host
from resile.contain.switches import check_hold, switches_of
from resile.errors import ConfigError, OperationError, RejectedError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs")


def test_everything_is_on_where_nothing_is_said() -> None:
    switches = switches_of({})

    switches.check()
    assert switches == Switches()
    assert (switches.warning, switches.environ) == ("", {})


@pytest.mark.parametrize("text", ["false", "FALSE", "0"])
def test_each_is_turned_off_by_its_variable(text: str) -> None:
    names = {"ENABLED": "is_enabled", "OBSERVER": "is_observed", "OVERLAY": "has_overlay"}
    for variable, name in names.items():
        switches = switches_of({f"RESILE_CONTAIN__{variable}": text})

        assert switches == Switches(**{name: False})
        assert switches_of(switches.environ) == switches, "other processes are told the same"


def test_a_word_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(ConfigError, match="RESILE_CONTAIN__ENABLED is 'nope'"):
        switches_of({"RESILE_CONTAIN__ENABLED": "nope"})


def test_the_observer_is_not_given_up_without_a_word() -> None:
    assert "nobody is told" in Switches(is_observed=False).warning


def test_nothing_is_run_where_runs_are_off(tmp_path: Path) -> None:
    host = default_host(
        {"RESILE_RUNS_DIR": str(tmp_path / "runs"), "RESILE_CONTAIN__ENABLED": "false"}
    )

    host.prepare()
    with pytest.raises(
        RejectedError, match="switched off, and nothing is run uncontained"
    ) as caught:
        host.take_berth()

    assert "RESILE_CONTAIN__ENABLED" in caught.value.hint
    assert not (tmp_path / "runs").exists()


def test_an_overlay_that_is_off_is_not_there(tmp_path: Path) -> None:
    host = Host(
        runs=Runs(tmp_path / "runs"),
        journal=tmp_path / "journal",
        switches=Switches(has_overlay=False),
    )

    assert not host.facts.has_overlay


def test_nobody_holds_runs_at_first(runs: Runs) -> None:
    check_hold(runs)
    assert held(runs) is None
    assert not resume_runs(runs)


def test_who_is_refused_learns_by_whom_and_why(runs: Runs, tmp_path: Path) -> None:
    hold = Hold(who="ann", why="agents run wild", at=NOW)
    hold_runs(runs, hold)

    host = Host(runs=runs, journal=tmp_path / "journal")
    with pytest.raises(RejectedError, match="held by ann: agents run wild") as caught:
        host.take_berth()

    assert "resile resume" in caught.value.hint
    assert held(Runs(runs.folder)) == hold, "another process sees it"
    assert runs.ids() == ()
    assert (runs.folder / "held").stat().st_mode & 0o777 == 0o600


def test_runs_begin_again_after_it(runs: Runs) -> None:
    hold_runs(runs, Hold(who="ann", at=NOW))

    assert resume_runs(runs)
    check_hold(runs)
    assert not resume_runs(runs)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b"\xff"])
def test_a_hold_that_cannot_be_read_holds(runs: Runs, content: bytes) -> None:
    runs.folder.mkdir()
    (runs.folder / "held").write_bytes(content)

    with pytest.raises(RejectedError, match=r"held by somebody: .* cannot be read"):
        check_hold(runs)


def test_a_folder_in_place_of_it_holds_too(runs: Runs) -> None:
    (runs.folder / "held").mkdir(parents=True)

    with pytest.raises(RejectedError, match="cannot be read"):
        check_hold(runs)


def test_a_hold_that_cannot_be_written_is_an_error(runs: Runs) -> None:
    (runs.folder / "held").mkdir(parents=True)

    with pytest.raises(OperationError):
        hold_runs(runs, Hold(who="ann"))
    with pytest.raises(OperationError, match="cannot be removed"):
        resume_runs(runs)
