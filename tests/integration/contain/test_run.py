"""Contained runs on the real kernel: what they see, what becomes of their changes, what is told."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from resile.contain import (
    ChangeKind,
    StopRequest,
    arun,
    commit_run,
    diff_of,
    diff_text,
    discard_run,
    kill_run,
    recover_runs,
)
from resile.contain.api import _execute, _spec
from resile.contain.runner import Run
from resile.core.vocabulary import RunReason, RunState, ViolationKind
from resile.errors import ConfigError, ConflictError, JournalError, RejectedError, TransactionError

pytestmark = pytest.mark.needs_cgroups


def wait_until(condition, what):
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.005)


# What it sees -----------------------------------------------------------------------------------


def test_output_and_input_are_passed(place):
    outcome = place.sh("cat; echo oops >&2; exit 4", stdin=b"hello")

    assert (outcome.stdout, outcome.stderr, outcome.exit_code) == (b"hello", b"oops\n", 4)
    assert outcome.reason is RunReason.EXIT


def test_output_comes_while_it_runs(place):
    seen = []

    place.sh("echo a; sleep 0.1; echo b >&2", on_output=lambda *chunk: seen.append(chunk))

    assert ("stdout", b"a\n") in seen
    assert ("stderr", b"b\n") in seen


def test_environment_is_scrubbed(place):
    outcome = place.sh("env", env={"GIVEN": "1"})

    names = {line.partition("=")[0] for line in outcome.stdout.decode().splitlines()}
    assert "SECRET" not in names
    assert {"GIVEN", "PATH", "TMPDIR", "RESILE_CONTAINED"} <= names


def test_it_runs_in_its_workspace(place):
    assert place.sh("pwd").stdout.decode().strip() == str(place.workspace)


def test_state_of_resile_is_hidden(place):
    place.sh("true")

    outcome = place.sh(f"ls -A {place.host.runs.folder} {place.host.journal_folder} 2>&1; true")

    assert "run_" not in outcome.stdout.decode()
    assert ".db" not in outcome.stdout.decode()


def test_nothing_outside_of_the_workspace_can_be_written(place, tmp_path):
    outcome = place.sh(f"echo x > {tmp_path}/in-its-own-tmp; echo x > /etc/resile-was-here")

    assert outcome.exit_code != 0
    assert not (tmp_path / "in-its-own-tmp").exists()
    assert not Path("/etc/resile-was-here").exists()


def test_program_in_a_temporary_folder_is_found_with_what_is_around_it(place, tmp_path):
    tool = tmp_path / "tool"
    (tool / "bin").mkdir(parents=True)
    (tool / "data").write_text("its data")
    (tool / "bin" / "show").write_text("#!/bin/sh\ncat $(dirname $0)/../data\n")
    (tool / "bin" / "show").chmod(0o755)

    by_path = place.run(str(tool / "bin" / "show"))
    by_name = place.run("show", env={"PATH": f"{tool / 'bin'}:{os.environ['PATH']}"})

    assert by_path.stdout == by_name.stdout == b"its data", (by_path, by_name)


def test_file_that_is_named_by_its_whole_path_is_seen_and_nothing_beside_it(place, tmp_path):
    (tmp_path / "script.sh").write_text("echo from the script; ls $(dirname $0)")
    (tmp_path / "other").touch()

    outcome = place.run("sh", str(tmp_path / "script.sh"))

    assert outcome.stdout.decode().startswith("from the script"), outcome
    assert "other" not in outcome.stdout.decode()


# What becomes of its changes --------------------------------------------------------------------


def test_changes_of_what_ends_well_are_committed(place):
    outcome = place.sh("echo two >> notes.txt; echo new > more.txt; mkdir d; echo x > d/y")

    assert outcome.reason is RunReason.OK, outcome
    assert outcome.state is RunState.COMMITTED
    assert place.files() == {"notes.txt": "one\ntwo\n", "more.txt": "new\n", "d/y": "x\n"}
    changes = {change.path: change.kind for diff in outcome.diffs for change in diff.changes}
    assert changes["notes.txt"] is ChangeKind.MODIFIED
    assert changes["more.txt"] is ChangeKind.CREATED
    assert place.kinds() == ["run.begun", "run.ended", "run.committed"]
    assert outcome.usage.disk_bytes > 0


def test_changes_of_what_fails_are_undone(place):
    outcome = place.sh("echo two >> notes.txt; rm -rf ./*; exit 1")

    assert outcome.state is RunState.DISCARDED
    assert place.files() == {"notes.txt": "one\n"}
    assert place.kinds() == ["run.begun", "run.ended", "run.rolled_back"]


def test_changes_wait_where_somebody_is_to_be_asked(place):
    outcome = place.sh("echo two >> notes.txt; echo new > more.txt", commit="ask")

    assert outcome.state is RunState.READY
    assert place.files() == {"notes.txt": "one\n"}
    record = place.host.runs.find("last")
    transaction, diffs = diff_of(place.host, record)
    modified = next(change for change in diffs[0].changes if change.path == "notes.txt")
    text = diff_text(transaction, diffs[0].workspace, modified, bytes_max=10_000)
    assert "+two" in text

    assert commit_run(place.host, record, paths=["more.txt"], who="me") == 1
    assert place.files() == {"notes.txt": "one\n", "more.txt": "new\n"}
    assert place.host.runs.find("last").changes == 1
    assert commit_run(place.host, place.host.runs.find("last"), who="me") == 1
    assert place.files() == {"notes.txt": "one\ntwo\n", "more.txt": "new\n"}
    assert place.host.runs.ids() == ()


def test_changes_that_wait_can_be_discarded(place):
    place.sh("rm notes.txt", commit="ask")

    discard_run(place.host, place.host.runs.find("last"), who="me")

    assert place.files() == {"notes.txt": "one\n"}
    assert place.events("run.rolled_back")[-1]["who"] == "me"
    assert place.host.runs.ids() == ()


def test_nobody_is_asked_where_nothing_is_to_be_kept(place):
    outcome = place.sh("rm notes.txt", commit="never")

    assert outcome.state is RunState.DISCARDED
    assert outcome.diffs[0].changes[0].kind is ChangeKind.DELETED
    assert place.files() == {"notes.txt": "one\n"}


def test_changed_base_is_refused_and_the_changes_are_kept(place):
    def meddle(_stream, _chunk):
        (place.workspace / "notes.txt").write_text("somebody else\n")

    outcome = place.sh("echo two >> notes.txt; echo now; sleep 0.2", on_output=meddle)

    assert outcome.reason is RunReason.COMMIT_CONFLICT
    assert "notes.txt" in outcome.message
    assert outcome.state is RunState.READY
    assert place.files() == {"notes.txt": "somebody else\n"}
    with pytest.raises(ConflictError):
        commit_run(place.host, place.host.runs.find("last"), who="me")


def test_several_workspaces_are_one_transaction(place, tmp_path):
    other = tmp_path / "other"
    other.mkdir()

    outcome = place.sh(
        f"echo a > a.txt; echo b > {other}/b.txt", workspace=[place.workspace, other]
    )

    assert outcome.state is RunState.COMMITTED, outcome
    assert (other / "b.txt").read_text() == "b\n"
    assert (place.workspace / "a.txt").read_text() == "a\n"


def test_what_leaves_a_trap_waits_for_a_person(place):
    outcome = place.sh("mkdir -p .git/hooks; echo evil > .git/hooks/post-commit")

    assert outcome.reason is RunReason.OK
    assert outcome.state is RunState.READY
    assert {v.kind for v in outcome.violations} == {ViolationKind.PROTECTED_PATH}
    assert not (place.workspace / ".git").exists()


def test_who_runs_on_is_killed_and_told(place):
    outcome = place.sh("sleep 600 & echo x > f", limits={"time_s": 15.0})

    assert outcome.reason is RunReason.OK
    assert [v.kind for v in outcome.violations] == [ViolationKind.SURVIVOR]
    assert outcome.state is RunState.READY
    assert outcome.usage.time_s < 10


def test_escape_is_killed_audited_and_rolled_back(place):
    code = "import ctypes, time; ctypes.CDLL(None).unshare(0x10000000); time.sleep(60)"

    outcome = place.run(
        "python3", "-c", f"open('f', 'w').write('x')\n{code}", limits={"time_s": 50.0}
    )

    assert outcome.reason is RunReason.VIOLATION
    assert place.files() == {"notes.txt": "one\n"}
    violated = place.events("run.violated")
    assert violated[0]["violation"] == "syscall"
    assert "unshare" in violated[0]["detail"]
    assert place.events("run.breached")[0]["reason"] == "violation"


def test_escape_takes_everything_with_it_that_the_run_started(place):
    """Those of a session of their own, whose parent is gone, die too."""
    mark = f"9{os.getpid():06}"
    (place.workspace / "agent.py").write_text(
        "import ctypes, pathlib, subprocess, time\n"
        "for trap in ('', 'trap : TERM HUP;'):\n"
        f"    subprocess.run(['sh', '-c', f\"(setsid sh -c '{{trap}} sleep {mark}; :' &)\"])\n"
        "names = lambda: [p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')]\n"
        f"while sum(n.startswith(b'sleep\\0{mark}') for n in names()) < 2: time.sleep(0.01)\n"
        "ctypes.CDLL(None).unshare(0x10000000)\n"
        "time.sleep(60)\n"
    )

    outcome = place.run("python3", "agent.py", limits={"time_s": 50.0, "processes": 30})

    assert outcome.reason is RunReason.VIOLATION, outcome.stderr
    assert [p for p in Path("/proc").glob("[0-9]*/cmdline") if mark in _text(p)] == []


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def test_alerts_come_before_the_limit(place):
    place.sh("sleep 0.5", limits={"time_s": 0.6})

    alerts = place.events("run.alerted")
    assert [alert["limit"] for alert in alerts] in (["time"], ["cpu", "time"])


# Wrong input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["missing", "file"])
def test_workspace_that_is_no_folder_is_refused(place, tmp_path, name):
    (tmp_path / "file").touch()

    with pytest.raises((TransactionError, ConfigError)) as caught:
        place.sh("true", workspace=tmp_path / name)

    assert caught.value.hint
    assert place.host.runs.ids() == ()
    assert place.kinds() == ["run.begun", "run.rolled_back"]


def test_journal_that_cannot_be_written_runs_nothing(place, tmp_path):
    place.host.journal.close()

    with pytest.raises(JournalError):
        place.sh("touch f")

    assert "f" not in place.files()
    assert place.host.runs.ids() == ()


def test_cpu_that_is_not_there_is_refused(place):
    with pytest.raises(ConfigError, match="cores"):
        place.sh("true", limits={"cpu_share": 1000.0})


# Ends from outside ------------------------------------------------------------------------------


def start(place, script, **options):
    """Run in a thread; give the thread and where its outcome will be."""
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(place.sh(script, **options)))
    thread.start()
    wait_until(lambda: any(r.state is RunState.RUNNING for r in place.host.runs.records()), "a run")
    return thread, outcomes


def test_run_is_killed_from_outside(place):
    thread, outcomes = start(place, "echo x > f; (setsid sleep 600 &); trap '' TERM; sleep 600")

    assert kill_run(place.host.runs, place.host.runs.find("last"), who="somebody")
    thread.join(30)

    assert outcomes[0].reason is RunReason.KILLED
    assert "somebody" in outcomes[0].message
    assert place.files() == {"notes.txt": "one\n"}


def test_run_is_asked_first_where_there_is_grace(place):
    script = "trap 'echo bye; exit 0' TERM; echo ready > /tmp/x; while :; do sleep 0.02; done"
    thread, outcomes = start(place, script)
    time.sleep(0.2)

    kill_run(place.host.runs, place.host.runs.find("last"), who="somebody", grace_s=10)
    thread.join(30)

    assert outcomes[0].reason is RunReason.KILLED
    assert b"bye" in outcomes[0].stdout


def test_run_that_goes_on_cannot_be_settled(place):
    thread, _ = start(place, "sleep 600")
    record = place.host.runs.find("last")

    with pytest.raises(RejectedError):
        commit_run(place.host, record, who="me")
    with pytest.raises(RejectedError):
        discard_run(place.host, record, who="me")
    kill_run(place.host.runs, record, who="me")
    thread.join(30)


def test_stop_request_ends_a_run(place):
    stop = StopRequest()
    threading.Timer(0.3, stop.ask, ["enough"]).start()

    spec = _spec(("sleep", "600"), workspace=place.workspace)
    outcome = _execute(place.host, spec, stop)

    assert outcome.reason is RunReason.KILLED
    assert outcome.message == "enough"


def test_run_is_awaited_and_cancelled(place):
    async def both():
        fine = await arun(["echo", "hi"], host=place.host)
        task = asyncio.create_task(
            arun(["sh", "-c", "echo x > f; sleep 600"], host=place.host, workspace=place.workspace)
        )
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return fine

    assert asyncio.run(both()).stdout == b"hi\n"
    assert place.files() == {"notes.txt": "one\n"}
    assert place.host.runs.ids() == ()


def test_runs_go_side_by_side(place):
    results = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(place.sh(f"echo {i} > f{i}")))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [r.state for r in results] == [RunState.COMMITTED] * 6, results
    assert len(place.files()) == 7


# Crashes ----------------------------------------------------------------------------------------


def test_run_whose_supervisor_died_is_undone(place):
    """The child process runs a command and is killed by SIGKILL in the middle."""
    pid = os.fork()
    if pid == 0:
        Run(
            place.host,
            _spec(("sh", "-c", "echo x > f; sleep 600"), workspace=place.workspace),
            stop=StopRequest(),
        ).execute()
        os._exit(0)
    wait_until(lambda: any(r.state is RunState.RUNNING for r in place.host.runs.records()), "a run")
    record = place.host.runs.find("last")
    time.sleep(0.2)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    group = record.open_group()
    wait_until(lambda: not group.is_populated(), "the kernel to end what was supervised")

    done = recover_runs(place.host)

    assert [item.did for item in done] == ["undone"]
    assert place.files() == {"notes.txt": "one\n"}
    assert place.host.runs.ids() == ()
    assert [e["reason"] for e in place.events("run.ended")] == ["supervisor_lost"]
    assert recover_runs(place.host) == ()
