"""What whole contained runs must do on pure v2, and how their changes are staged."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.stubborn import STUBBORN, live_marks
from tests.vm.boxes import boxed
from tests.vm.checks_groups import LEADERLESS, PYTHON, group_of
from tests.vm.guest import Check, Scene

from resile.contain import Host, Limits, Outcome, Runs, discard_run, run
from resile.contain.transaction import Staging, begin
from resile.core.journal import Query
from resile.core.vocabulary import RunReason, RunState, ViolationKind

MIB = 1 << 20
_LIMITS = {
    "time_s": 30.0,
    "cpu_share": 2.0,
    "memory": 128 * MIB,
    "processes": 8,
    "disk_bytes": 8 * MIB,
    "grace_s": 0.1,
}
_SHORT_S = 1.0
_CHANGES = (
    "echo more >> kept; echo new > made; rm gone; rm -r replaced; mkdir replaced; "
    "echo inner > replaced/new; mv moved target; ln -s made link; chmod 600 mode"
)
_CHANGED = {
    "kept": "keep\nmore\n",
    "made": "new\n",
    "link": "new\n",
    "mode": "mode\n",
    "replaced/new": "inner\n",
    "target/inner": "inner\n",
}
_HOG_IN_CHILD = (
    "import os\nopen('kept', 'w').write('x')\npid = os.fork()\n"
    "if pid == 0: held = bytearray(400 << 20)\nos.waitpid(pid, 0)\nos._exit(0)"
)


def changes_are_staged_on_a_disk(scene: Scene) -> str:
    return stage_and_commit(scene, scene.folder)


def changes_are_staged_in_memory(scene: Scene) -> str:
    return stage_and_commit(scene, scene.memory)


def stage_and_commit(scene: Scene, folder: Path) -> str:
    """Change a workspace by an overlay in a box, and commit that: without a whole run."""
    workspace = make_workspace(folder / "staged")
    before = contents(workspace)
    staging = Staging.OVERLAY if scene.is_root else Staging.OVERLAY_USER
    transaction = begin(folder / "transactions" / "one", [workspace], staging=staging)
    command = ("sh", "-e", "-c", _CHANGES)
    with group_of(scene) as group, boxed(group, *command, mounts=transaction.mounts) as box:
        ended = box.wait_end()
    assert ended is not None, "it was killed"
    assert ended.exit_code == 0, ended
    assert contents(workspace) == before
    changes = transaction.seal()[0].changes
    transaction.commit()
    assert contents(workspace) == _CHANGED, contents(workspace)
    assert stat.S_IMODE((workspace / "mode").stat().st_mode) == 0o600
    return f"{len(changes)} changes, by {staging}"


def run_that_ends_well_is_committed(scene: Scene) -> str:
    with place(scene) as here:
        outcome = here.run("sh", "-e", "-c", _CHANGES)
        assert outcome.reason is RunReason.OK, outcome
        assert outcome.state is RunState.COMMITTED, outcome
        assert outcome.warnings == (), outcome.warnings
        assert contents(here.workspace) == _CHANGED, contents(here.workspace)
        assert here.kinds() == ["run.begun", "run.ended", "run.committed"], here.kinds()
    return f"{outcome.backend}, {outcome.usage.time_s * 1000:.0f} ms"


def run_that_fails_is_undone(scene: Scene) -> str:
    with place(scene) as here:
        before = contents(here.workspace)
        outcome = here.run("sh", "-c", f"{_CHANGES}; rm -rf ./*; exit 3")
        assert outcome.reason is RunReason.EXIT, outcome
        assert outcome.exit_code == 3, outcome
        assert outcome.state is RunState.DISCARDED, outcome
        assert contents(here.workspace) == before
        assert here.kinds() == ["run.begun", "run.ended", "run.rolled_back"], here.kinds()
    return f"{sum(len(diff.changes) for diff in outcome.diffs)} changes undone"


def run_out_of_memory_is_told(scene: Scene) -> str:
    with place(scene) as here:
        before = contents(here.workspace)
        outcome = here.run(*PYTHON, _HOG_IN_CHILD)
        assert outcome.reason is RunReason.OOM, outcome
        assert outcome.usage.oom_kills, outcome
        assert outcome.state is RunState.DISCARDED, outcome
        assert contents(here.workspace) == before
    return outcome.message


def run_with_too_many_processes_is_told(scene: Scene) -> str:
    with place(scene) as here:
        forks = "import os, time\nfor _ in range(50):\n    if os.fork() == 0: time.sleep(30)\n"
        outcome = here.run(*PYTHON, forks)
        assert outcome.reason is RunReason.PROCESSES, outcome
        assert outcome.usage.refused_processes, outcome
        assert outcome.state is RunState.DISCARDED, outcome
    return outcome.message


def run_that_does_not_die_is_killed(kind: str) -> Check:
    """Make the check that a run of a process tree is killed at its time, and undone."""

    def check(scene: Scene) -> str:
        mark = f"run-{scene.name}-{kind.replace(' ', '-')}"
        code = f"open('kept', 'w').write('x')\n{STUBBORN[kind]}"
        with place(scene) as here:
            before = contents(here.workspace)
            limits = {"time_s": _SHORT_S, "processes": 32}
            outcome = here.run(*PYTHON, code, mark, limits=limits)
            assert live_marks(mark) == [], live_marks(mark)
            assert outcome.reason is RunReason.TIMEOUT, outcome
            assert outcome.state is RunState.DISCARDED, outcome
            assert contents(here.workspace) == before
        return f"{outcome.usage.time_s:.2f} s of {_SHORT_S:g} s"

    return check


def run_whose_leader_exits_first_is_kept_for_a_person(scene: Scene) -> str:
    """It ended well, so it is not over its time; that others ran on is a violation."""
    mark = f"run-{scene.name}-leaderless"
    with place(scene) as here:
        before = contents(here.workspace)
        outcome = here.run(*PYTHON, f"open('kept', 'w').write('x')\n{STUBBORN[LEADERLESS]}", mark)
        assert live_marks(mark) == [], live_marks(mark)
        assert outcome.reason is RunReason.OK, outcome
        kinds = {violation.kind for violation in outcome.violations}
        assert kinds == {ViolationKind.SURVIVOR}, outcome
        assert outcome.state is RunState.READY, outcome
        assert contents(here.workspace) == before
        discard_run(here.host, here.host.runs.find("last"), who="check")
    return f"{len(outcome.violations)} killed"


class Place:
    """Where a check runs commands.

    Args:
        folder: Its own; removed by nobody, as the machine is thrown away.
    """

    def __init__(self, folder: Path) -> None:
        self.workspace = make_workspace(folder / "work")
        self.host = Host(
            runs=Runs(folder / "state" / "runs"),
            journal=folder / "state" / "journal",
            environ=dict(os.environ),
        )

    def run(self, *argv: str, limits: dict[str, Any] | None = None) -> Outcome:
        return run(
            argv,
            limits=Limits(**{**_LIMITS, **(limits or {})}),
            workspace=self.workspace,
            host=self.host,
        )

    def kinds(self) -> list[str]:
        return [record.event.kind for record in self.host.journal.read(Query(kinds=("run.*",)))]


@contextlib.contextmanager
def place(scene: Scene) -> Iterator[Place]:
    """Give a place for runs, of which nothing may be left."""
    number = sum(1 for _ in scene.folder.glob("place-*"))
    mounts = Path("/proc/self/mountinfo").read_text()
    here = Place(scene.folder / f"place-{number}")
    with contextlib.closing(here.host):
        yield here
        groups = Path(here.host.tree.layout.unified)
    assert here.host.runs.ids() == (), here.host.runs.ids()
    assert not groups.exists(), groups
    assert Path("/proc/self/mountinfo").read_text() == mounts


def make_workspace(folder: Path) -> Path:
    for name in ("replaced", "moved"):
        (folder / name).mkdir(parents=True)
        (folder / name / "inner").write_text("inner\n")
    (folder / "kept").write_text("keep\n")
    (folder / "gone").write_text("gone\n")
    (folder / "mode").write_text("mode\n")
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


_EVERYBODY: dict[str, Check] = {
    "changes are staged on a disk": changes_are_staged_on_a_disk,
    "a run that ends well is committed": run_that_ends_well_is_committed,
    "a run that fails is undone": run_that_fails_is_undone,
    "a run out of memory is told": run_out_of_memory_is_told,
    "a run with too many processes is told": run_with_too_many_processes_is_told,
    "a run that does not die: leader exits first": (
        run_whose_leader_exits_first_is_kept_for_a_person
    ),
    **{
        f"a run that does not die: {kind}": run_that_does_not_die_is_killed(kind)
        for kind in STUBBORN
        if kind != LEADERLESS
    },
}
_HERE_TOO: dict[str, Check] = {
    "a run that ends well is committed": run_that_ends_well_is_committed,
    "a run that fails is undone": run_that_fails_is_undone,
}
CHECKS: dict[str, dict[str, Check]] = {
    # Before Linux 6.6, a tmpfs keeps no attributes of users, which an overlay of theirs needs.
    "root": {"changes are staged in memory": changes_are_staged_in_memory, **_EVERYBODY},
    "service": _HERE_TOO,
    "session": _HERE_TOO,
    "user": _EVERYBODY,
    "terminal": _HERE_TOO,
    "stranger": {},
}
