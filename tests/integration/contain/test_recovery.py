"""What a crash or a hostile command leaves is brought to one of its two ends, whatever it is."""

import io
import json
import os
import shutil
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from resile.cli.pump import Pump
from resile.contain import Limits, StopRequest, kill_run, recover_runs
from resile.contain.api import _spec
from resile.contain.runner import Run
from resile.contain.transaction import Transaction, open_transaction
from resile.core.vocabulary import RunReason, RunState
from resile.errors import OperationError, TransactionError
from resile.store.writeahead.files import TreeFiles

pytestmark = pytest.mark.needs_cgroups

DEEP = "import os\nfor n in range(1500): os.mkdir('d' * 30); os.chdir('d' * 30)"


def aged(place, run_id):
    old = time.time() - 3600
    os.utime(place.host.runs.path(run_id), (old, old))


def orphan(place, run_id, **changes):
    """Let the record say that its supervisor is another process, which is gone."""
    path = place.host.runs.path(run_id) / "run.json"
    record = json.loads(path.read_text())
    record["supervisor"]["start_ticks"] += 1
    path.write_text(json.dumps(record | changes))


def test_folders_that_nest_deeper_than_the_interpreter_recurses_are_removed(place):
    with pytest.raises(TransactionError, match="deeper"):
        place.run("python3", "-S", "-c", DEEP, commit="ask", limits={"disk_files": 5000})

    assert place.host.runs.ids() == ()
    assert place.kinds() == ["run.begun", "run.rolled_back"]
    assert place.files() == {"notes.txt": "one\n"}


def test_one_run_that_cannot_be_recovered_does_not_hinder_the_others(place):
    for _ in range(2):
        place.sh("echo two >> notes.txt", commit="ask")
    first, second = place.host.runs.ids()
    for run_id in (first, second):
        orphan(place, run_id, state="running")
    (place.host.runs.path(first) / "tx.json").write_text("damaged")

    done = recover_runs(place.host)

    assert [(item.run_id, item.did) for item in done] == [(first, "failed"), (second, "undone")]
    assert place.files() == {"notes.txt": "one\n"}


@pytest.mark.parametrize("content", ["", "{}"])
def test_commit_that_was_decided_is_finished_although_the_record_is_lost(place, content):
    place.sh("echo two >> notes.txt; echo x > new", commit="ask")
    run_id = place.host.runs.ids()[0]
    cut_after_log(place, run_id)
    (place.host.runs.path(run_id) / "run.json").write_text(content)
    aged(place, run_id)

    done = recover_runs(place.host)

    assert [item.did for item in done] == ["finished"]
    assert place.files() == {"notes.txt": "one\ntwo\n", "new": "x\n"}
    assert not list(place.workspace.glob(".resile-tx-*"))


def cut_after_log(place, run_id, *, renames=0):
    """Commit in a child process that dies right after the write-ahead log, or so many renames."""

    class Cut:
        left = renames + 1

        def before(self, effect, name):
            if effect.startswith(("exchange", "add", "move", "take", "rename")):
                self.left -= 1
                if not self.left:
                    os._exit(0)

    folder = place.host.runs.path(run_id)
    pid = os.fork()
    if pid == 0:
        try:
            open_transaction(folder, files=TreeFiles(Cut())).commit()
        finally:
            os._exit(1)
    os.waitpid(pid, 0)
    assert (folder / "wal").exists()
    assert not (folder / "done").exists()


def without_stage(place, *, renames):
    """Cut a commit, and remove the folder that holds what is not yet in place."""
    place.sh("echo two >> notes.txt; echo x > new", commit="ask")
    run_id = place.host.runs.ids()[0]
    cut_after_log(place, run_id, renames=renames)
    (stage,) = place.workspace.glob(".resile-tx-*")
    shutil.rmtree(stage)
    return run_id, stage


@pytest.mark.parametrize("is_orphan", [False, True])
def test_commit_whose_stage_was_removed_is_closed_and_told(place, is_orphan):
    run_id, stage = without_stage(place, renames=1)
    if is_orphan:
        orphan(place, run_id, state="committing")

    done = recover_runs(place.host)
    again = recover_runs(place.host)

    assert [(item.run_id, item.did) for item in done] == [(run_id, "undone")]
    assert f"{stage} is missing; new is in place and stays" in done[0].detail
    assert place.files() == {"notes.txt": "one\n", "new": "x\n"}
    assert place.host.runs.ids() == ()
    assert again == ()
    assert place.kinds()[-1] == "run.rolled_back"


def test_commit_whose_stage_was_removed_before_anything_was_in_place_can_be_made_again(place):
    run_id, stage = without_stage(place, renames=0)

    done = recover_runs(place.host)

    assert [(item.did, item.detail) for item in done] == [("undone", f"{stage} is missing")]
    assert place.files() == {"notes.txt": "one\n"}
    open_transaction(place.host.runs.path(run_id)).commit()
    assert place.files() == {"notes.txt": "one\ntwo\n", "new": "x\n"}


def test_workspace_that_is_not_mounted_keeps_what_is_to_come(place):
    place.sh("echo two >> notes.txt; echo x > new", commit="ask")
    run_id = place.host.runs.ids()[0]
    cut_after_log(place, run_id, renames=1)
    elsewhere = place.workspace.with_name("elsewhere")
    place.workspace.rename(elsewhere)
    place.workspace.mkdir()

    first = recover_runs(place.host)
    place.workspace.rmdir()
    elsewhere.rename(place.workspace)
    second = recover_runs(place.host)

    assert [item.did for item in first] == ["failed"]
    assert "is another folder than it was" in first[0].detail
    assert [item.did for item in second] == ["finished"]
    assert place.files() == {"notes.txt": "one\ntwo\n", "new": "x\n"}


def test_run_that_died_before_its_commit_began_is_undone(place):
    place.sh("echo two >> notes.txt", commit="ask")
    run_id = place.host.runs.ids()[0]
    orphan(place, run_id, state="committing", commit="auto")

    done = recover_runs(place.host)

    assert [item.did for item in done] == ["undone"]
    assert place.files() == {"notes.txt": "one\n"}
    assert place.host.runs.ids() == ()


def test_run_that_died_before_its_transaction_was_noted_is_undone(place):
    place.sh("echo two >> notes.txt", commit="ask")
    run_id = place.host.runs.ids()[0]
    orphan(place, run_id, state="running")
    for name in ("tx.json", "ready.json"):
        (place.host.runs.path(run_id) / name).unlink()

    done = recover_runs(place.host)

    assert [item.did for item in done] == ["undone"]
    assert place.files() == {"notes.txt": "one\n"}
    assert place.host.runs.ids() == ()


def test_command_whose_transaction_cannot_be_noted_is_killed_and_undone(place, monkeypatch):
    def refuse(*_, **__):
        raise TransactionError("the disk is full")

    monkeypatch.setattr(Transaction, "note", refuse)

    with pytest.raises(TransactionError, match="full"):
        place.sh("echo two >> notes.txt; sleep 600")

    assert place.kinds() == ["run.begun", "run.rolled_back"]
    assert place.files() == {"notes.txt": "one\n"}
    assert place.host.runs.ids() == ()


def test_kill_comes_although_it_cannot_be_noted(place, monkeypatch):
    def refuse(*_):
        raise OperationError("the disk is full")

    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(place.sh("sleep 600")))
    thread.start()
    deadline_s = time.monotonic() + 30
    while not any(r.state is RunState.RUNNING for r in place.host.runs.records()):
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    monkeypatch.setattr(place.host.runs, "note_kill", refuse)

    assert kill_run(place.host.runs, place.host.runs.find("last"), who="me")
    thread.join(30)

    assert outcomes[0].reason is not RunReason.OK


def test_reader_that_does_not_read_holds_no_limit_up(place):
    spec = _spec(("yes",), limits=Limits(time_s=0.5, grace_s=0.1), workspace=place.workspace)
    with_reader = replace(spec, on_output=lambda *_: None, has_room=lambda: False)
    stop = StopRequest()

    outcome = Run(place.host, with_reader, stop=stop).execute()

    stop.close()
    assert outcome.reason is RunReason.TIMEOUT
    assert outcome.usage.time_s < 20


def test_output_that_cannot_be_printed_is_told_once(monkeypatch):
    class Full(io.BytesIO):
        def write(self, _chunk):
            raise OSError(28, "No space left on device")

    told = []
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=Full()))

    with Pump(told.append) as pump:
        pump.put("stdout", b"a")
        pump.put("stdout", b"b")

    assert len(told) == 1
    assert "No space left" in told[0]
