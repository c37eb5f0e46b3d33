"""What the brain shows of contained runs that other processes made, and decides about them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.held import Held, hold, swept, tell

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import RunViolated
from resile.core.journal import Query, SqliteJournal, open_journal
from resile.core.vocabulary import RunReason, RunState, ViolationKind
from resile.daemon import contained
from resile.daemon.contained import ContainedRuns
from resile.errors import ConflictError, RejectedError
from resile.web import run_models

ONE, TWO = "run_01ONE", "run_01TWO"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = open_journal(tmp_path / "state" / "journal")
    yield made
    made.close()


@pytest.fixture
def held(tmp_path: Path, journal: SqliteJournal) -> Held:
    return hold(tmp_path, journal=tmp_path / "state" / "journal")


Ask = Callable[[Callable[[ContainedRuns], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def ask(tmp_path: Path, journal: SqliteJournal, held: Held) -> Ask:
    """Ask the brain's runs something on an event loop."""
    view = ContainedRuns(
        state=tmp_path / "state",
        journal=journal,
        environ={"RESILE_RUNS_DIR": str(held.runs.folder)},
        clock=SYSTEM_CLOCK,
    )

    def run(question: Callable[[ContainedRuns], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run(question(view))

    return run


def kinds(journal: SqliteJournal, run_id: str) -> list[str]:
    return [r.event.kind for r in journal.read(Query(correlation_id=run_id))]


def test_open_and_closed_runs_are_shown_in_the_shape_of_the_api(
    held: Held, ask: Ask, journal: SqliteJournal
) -> None:
    held.put(ONE, {"new": b"1"})
    held.put(TWO, {}, state=RunState.RUNNING)
    held.runs.note_live(TWO, {"time_s": 1.0, "memory_bytes": 5 << 20, "cpu_share": 0.4})

    shown = ask(lambda runs: runs.runs())

    assert [run["id"] for run in shown] == [TWO, ONE]
    for run in shown:
        assert not run_models.Run.model_validate(run).model_extra
    assert shown[0]["usage"]["memory_bytes"] == 5 << 20
    assert (shown[1]["state"], shown[1]["changes"]) == ("ready", 1)


def test_a_closed_run_is_told_from_the_journal_as_it_goes_on(held: Held, ask: Ask) -> None:
    held.put(ONE, {"new": b"1"})
    assert ask(lambda runs: runs.runs())[0]["is_open"]

    assert ask(lambda runs: runs.commit(ONE, paths=(), who="ann")) == 1

    (shown,) = ask(lambda runs: runs.runs())
    assert (shown["is_open"], shown["state"], shown["settled_by"]) == (False, "committed", "ann")
    assert (held.workspace / "new").read_bytes() == b"1"


def test_a_run_has_its_violations_and_its_timeline(held: Held, ask: Ask) -> None:
    held.put(ONE, {})
    tell(
        held.journal,
        RunViolated(
            run_id=ONE,
            violation=ViolationKind.SYSCALL,
            detail="mount",
            decision="denied",
            source="seccomp",
            seen_at=SYSTEM_CLOCK.now(),
        ),
    )

    run = ask(lambda runs: runs.run(ONE))

    assert not run_models.RunStory.model_validate(run).model_extra
    assert [tried["detail"] for tried in run["tried"]] == ["mount"]
    assert [step["kind"] for step in run["timeline"]] == ["run.begun", "run.ended", "run.violated"]
    assert ask(lambda runs: runs.run("run_01NOBODY")) is None


def test_runs_of_another_system_are_neither_shown_nor_decided(
    held: Held, ask: Ask, tmp_path: Path
) -> None:
    held.put(ONE, {"new": b"1"}, journal=tmp_path / "other" / "journal")

    assert ask(lambda runs: runs.runs()) == []
    assert ask(lambda runs: runs.run(ONE)) is None
    for decide in (
        lambda runs: runs.commit(ONE, paths=(), who="eve"),
        lambda runs: runs.discard(ONE, who="eve"),
        lambda runs: runs.kill(ONE, who="eve"),
        lambda runs: runs.diff(ONE),
    ):
        with pytest.raises(RejectedError):
            ask(decide)
    assert not (held.workspace / "new").exists()
    assert held.runs.ids() == (ONE,)


def test_a_diff_tells_each_path_and_its_text(held: Held, ask: Ask) -> None:
    held.put(ONE, {"rules.yaml": b"allow: all\n", "made/x": b"\x00\x01"})

    diff = ask(lambda runs: runs.diff(ONE))

    fitted = run_models.RunDiff.model_validate(diff)
    (workspace,) = fitted.workspaces
    found = {change.path: change for change in workspace.changes}
    assert "-deny: all" in found["rules.yaml"].diff
    assert "+allow: all" in found["rules.yaml"].diff
    assert found["made/x"].kind == "created"
    assert not fitted.is_cut
    assert not fitted.model_extra


def test_a_diff_has_bounds(held: Held, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contained, "CHANGES_MAX", 5)
    monkeypatch.setattr(contained, "TEXTS_BYTES_MAX", 2000)
    held.put(ONE, {f"file{n}": b"line\n" * 200 for n in range(9)})

    diff = ask(lambda runs: runs.diff(ONE))

    changes = diff["workspaces"][0]["changes"]
    assert diff["is_cut"]
    assert len(changes) == 5
    assert sum(len(change["diff"]) for change in changes) < 4000


def test_names_that_are_no_text_are_shown_all_the_same(held: Held, ask: Ask) -> None:
    held.put(ONE, {"a\udcff": b"1"})

    (change,) = ask(lambda runs: runs.diff(ONE))["workspaces"][0]["changes"]

    assert change["path"] == "a\ufffd"


def test_some_paths_are_committed_and_the_rest_waits(held: Held, ask: Ask) -> None:
    held.put(ONE, {"a": b"1", "b": b"2"})

    assert ask(lambda runs: runs.commit(ONE, paths=("a",), who="ann")) == 1

    assert (held.workspace / "a").exists()
    assert not (held.workspace / "b").exists()
    (shown,) = ask(lambda runs: runs.runs())
    assert (shown["state"], shown["changes"]) == ("ready", 1)
    ask(lambda runs: runs.discard(ONE, who="ann"))
    assert not (held.workspace / "b").exists()


def test_a_conflict_is_refused_path_by_path_and_the_run_stays_open(held: Held, ask: Ask) -> None:
    held.put(ONE, {"rules.yaml": b"allow: all\n"})
    (held.workspace / "rules.yaml").write_bytes(b"somebody else\n")

    with pytest.raises(ConflictError) as caught:
        ask(lambda runs: runs.commit(ONE, paths=(), who="ann"))

    assert [path for path, _ in caught.value.paths] == ["rules.yaml"]
    assert (held.workspace / "rules.yaml").read_bytes() == b"somebody else\n"
    (shown,) = ask(lambda runs: runs.runs())
    assert (shown["is_open"], shown["reason"]) == (True, RunReason.COMMIT_CONFLICT)


def test_what_is_settled_cannot_be_settled_again(held: Held, ask: Ask) -> None:
    held.put(ONE, {"a": b"1"})
    ask(lambda runs: runs.discard(ONE, who="ann"))

    with pytest.raises(RejectedError, match="not open"):
        ask(lambda runs: runs.commit(ONE, paths=(), who="ann"))


def test_a_run_at_work_has_nothing_to_settle(held: Held, ask: Ask) -> None:
    held.put(ONE, {"a": b"1"}, state=RunState.RUNNING)

    with pytest.raises(RejectedError):
        ask(lambda runs: runs.diff(ONE))
    with pytest.raises(RejectedError):
        ask(lambda runs: runs.commit(ONE, paths=(), who="ann"))


def test_what_lost_its_supervisor_is_shown_lost_and_then_swept(
    held: Held, ask: Ask, journal: SqliteJournal
) -> None:
    held.put(ONE, {"a": b"1"}, state=RunState.RUNNING, is_orphan=True)
    assert ask(lambda runs: runs.runs())[0]["is_orphan"]

    (done,) = swept(held)

    assert (done.run_id, done.did) == (ONE, "undone")
    (shown,) = ask(lambda runs: runs.runs())
    assert (shown["is_open"], shown["reason"]) == (False, RunReason.SUPERVISOR_LOST)
    assert kinds(journal, ONE) == ["run.begun", "run.ended", "run.rolled_back"]
