"""Transactions of Python code."""

from pathlib import Path

import pytest
from tests.support.transactions import begin_copy, copied
from tests.support.trees import Crashed, CrashingGate

from resile.contain.transaction import Recovery, open_transaction, sweep, transaction
from resile.errors import ConflictError, TransactionError
from resile.store.writeahead.files import TreeFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("old")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def left(runs: Path) -> list[str]:
    return [path.name for path in runs.iterdir() if path.name != "locks"]


def test_an_exception_discards_and_passes_through(folder: Path, runs: Path) -> None:
    def fail() -> None:
        with transaction(folder, runs=runs) as copy:
            (copy / "file").write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert (folder / "file").read_text() == "old"
    assert left(runs) == []


def test_a_conflict_is_raised_and_theirs_stays(folder: Path, runs: Path) -> None:
    def meet() -> None:
        with transaction(folder, runs=runs) as copy:
            (copy / "file").write_text("ours")
            (folder / "file").write_text("theirs")

    with pytest.raises(ConflictError):
        meet()

    assert (folder / "file").read_text() == "theirs"
    assert left(runs) == []


def test_a_missing_folder_is_refused(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(TransactionError), transaction(tmp_path / "missing", runs=runs):
        pass

    assert left(runs) == []


def test_leaving_commits(folder: Path, runs: Path) -> None:
    with transaction(str(folder), runs=runs) as copy:
        (copy / "file").write_text("new")
        (copy / "other").mkdir()
        assert (folder / "file").read_text() == "old"

    assert (folder / "file").read_text() == "new"
    assert (folder / "other").is_dir()
    assert left(runs) == []


def test_runs_are_where_the_environment_says(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESILE_RUNS_DIR", str(runs))

    with transaction(folder) as copy:
        assert copy.is_relative_to(runs)


def test_a_sweep_ends_what_dead_processes_left(folder: Path, runs: Path) -> None:
    begin_copy(runs / "tx_open", folder)
    (runs / "tx_empty").mkdir()
    half = begin_copy(runs / "tx_half", folder)
    (copied(half) / "file").write_text("new")
    half.seal()
    crash_in_the_middle(half.folder)

    with transaction(folder, runs=runs / "live"):
        assert sweep(runs / "live") == {}
    done = sweep(runs)

    assert done == {
        "tx_empty": Recovery.CLEANED,
        "tx_half": Recovery.FINISHED,
        "tx_open": Recovery.NOTHING,
    }
    assert (folder / "file").read_text() == "new"
    assert left(runs) == ["live"]


def crash_in_the_middle(run: Path) -> None:
    """Crash right before the first rename in the workspace."""
    gate = CrashingGate()
    gate.before = lambda effect, name: crash_at(effect)  # type: ignore[method-assign]
    with pytest.raises(Crashed):
        open_transaction(run, files=TreeFiles(gate)).commit()


def crash_at(effect: str) -> None:
    if effect == "exchange":
        raise Crashed
