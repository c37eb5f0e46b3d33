"""The folder of runs: records, and what is told of commands."""

import os
import threading
from datetime import UTC, datetime

import pytest

from resile.contain import RunRecord, Runs, runs_folder
from resile.contain.runs import shown
from resile.core.process import identity_of
from resile.core.vocabulary import RunReason, RunState
from resile.errors import ConfigError, TransactionError

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def record(run_id, **more):
    fields = {
        "run_id": run_id,
        "command": ("true",),
        "workspaces": ("/w",),
        "commit": "auto",
        "state": RunState.RUNNING,
        "began_at": NOON,
        "supervisor": identity_of(os.getpid()),
        "journal": "/j",
    }
    return RunRecord(**fields | more)


def made(runs, run_id, **more):
    runs.create(run_id)
    runs.write(record(run_id, **more))


def test_record_that_is_written_is_read(runs):
    made(runs, "run_01A", reason=RunReason.OOM, limits={"time_s": 10.0})

    assert runs.read("run_01A") == record("run_01A", reason=RunReason.OOM, limits={"time_s": 10.0})
    assert runs.path("run_01A").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"run_id": 3}', b"\xff"])
def test_broken_record_is_an_error_with_a_hint(runs, content):
    runs.create("run_01A")
    (runs.path("run_01A") / "run.json").write_bytes(content)

    with pytest.raises(TransactionError) as caught:
        runs.read("run_01A")
    assert caught.value.hint
    assert list(runs.records()) == []


def test_run_is_found_by_the_begin_or_the_end_of_its_id(runs):
    made(runs, "run_01ABCD")
    made(runs, "run_01AXYZ")

    assert runs.find("run_01AB").run_id == "run_01ABCD"
    assert runs.find("01ax").run_id == "run_01AXYZ"
    assert runs.find("xyz").run_id == "run_01AXYZ"
    assert runs.find("last").run_id == "run_01AXYZ"


@pytest.mark.parametrize("prefix", ["01A", "nothing", "last", "../run_01ABCD"])
def test_run_that_is_not_exactly_one_is_refused(runs, prefix):
    if prefix != "last":
        made(runs, "run_01ABCD")
        made(runs, "run_01AXYZ")

    with pytest.raises(ConfigError):
        runs.find(prefix)


def test_run_without_a_living_supervisor_is_an_orphan_unless_it_waits(runs):
    mine = identity_of(os.getpid())
    dead = type(mine)(boot_id=mine.boot_id, pid=mine.pid, start_ticks=mine.start_ticks + 1)

    assert not record("run_1").is_orphan
    assert record("run_1", supervisor=dead).is_orphan
    assert not record("run_1", supervisor=dead, state=RunState.READY).is_orphan


def test_removal_takes_folders_without_permissions_and_is_idempotent(runs):
    made(runs, "run_1")
    closed = runs.path("run_1") / "work" / "work"
    closed.mkdir(parents=True)
    closed.chmod(0)

    runs.remove("run_1")
    runs.remove("run_1")

    assert runs.ids() == ()


def test_kill_is_noted_with_who(runs):
    made(runs, "run_1")
    assert runs.killed_by("run_1") == ""

    runs.note_kill("run_1", "root")

    assert runs.killed_by("run_1") == "root"


def test_live_figures_are_read_or_empty(runs):
    made(runs, "run_1")
    assert runs.live("run_1") == {}

    runs.note_live("run_1", {"cpu_s": 1.5})
    assert runs.live("run_1") == {"cpu_s": 1.5}

    (runs.path("run_1") / "live.json").write_bytes(b"[")
    assert runs.live("run_1") == {}


def test_secrets_in_a_command_are_not_shown():
    argv = ("tool", "--password", "hunter2", "API_TOKEN=abc", "--api-key=k", "--tokens-max", "file")

    words = shown(argv)

    assert words == (
        "tool",
        "--password",
        "***",
        "API_TOKEN=***",
        "--api-key=***",
        "--tokens-max",
        "***",
    )


def test_long_command_is_shortened():
    words = shown(("x" * 1000, *["y"] * 100))

    assert len(words[0]) == 200
    assert words[-1] == "... 37 more"


def test_folder_of_runs_can_be_chosen(tmp_path):
    assert runs_folder({"RESILE_RUNS_DIR": str(tmp_path)}) == tmp_path


def test_run_that_is_retired_is_off_the_list_and_cleared_later(runs):
    made(runs, "run_1")

    runs.retire("run_1")
    runs.retire("run_1")
    assert runs.ids() == ()
    assert list(runs.folder.iterdir())

    runs.clear()
    assert list(runs.folder.iterdir()) == []


def test_several_clear_at_once(runs):
    for number in range(20):
        made(runs, f"run_{number}")
        closed = runs.path(f"run_{number}") / "work" / "work"
        closed.mkdir(parents=True)
        closed.chmod(0)
        runs.retire(f"run_{number}")
    errors = []

    def clear():
        try:
            runs.clear()
        except OSError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=clear) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert list(runs.folder.iterdir()) == []
