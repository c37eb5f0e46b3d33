"""Commands of the store, killed, failed and lied to at some of their system calls; all are in the bench."""

from pathlib import Path

import pytest
from tests.support.images import can_mount
from tests.support.store_harms import (
    Harm,
    cut_power_everywhere,
    harm_everywhere,
    job_named,
    try_job_states,
)
from tests.support.store_jobs import JOBS
from tests.support.store_scenes import Job
from tests.support.store_together import run_rounds
from tests.support.syscalls import has_strace

needs_strace = pytest.mark.skipif(not has_strace(), reason="apt-get install strace")
jobs = pytest.mark.parametrize("job", JOBS, ids=[job.name for job in JOBS])


@needs_strace
@jobs
def test_a_command_that_is_killed_loses_nothing(tmp_path: Path, job: Job) -> None:
    done = harm_everywhere(tmp_path / "scene", job, Harm.KILL, every=80)

    assert done.rounds
    assert done.told == done.rounds
    assert done.faults == ()


@needs_strace
@pytest.mark.parametrize("harm", [Harm.EIO, Harm.ENOSPC])
@pytest.mark.parametrize("name", ["snapshot", "gc"])
def test_a_disk_that_fails_is_told_and_loses_nothing(tmp_path: Path, name: str, harm: Harm) -> None:
    done = harm_everywhere(tmp_path / "scene", job_named(name), harm, every=60)

    assert done.told
    assert done.faults == ()


@needs_strace
@pytest.mark.parametrize("name", ["snapshot", "replicate --prune"])
def test_a_write_that_was_claimed_is_not_acknowledged(tmp_path: Path, name: str) -> None:
    done = harm_everywhere(tmp_path / "scene", job_named(name), Harm.LIE)

    assert done.told == done.rounds > 0
    assert done.faults == ()


@needs_strace
@pytest.mark.skipif(not can_mount(), reason="nothing can be mounted here")
def test_what_is_acknowledged_outlives_a_power_cut(tmp_path: Path) -> None:
    done = cut_power_everywhere(tmp_path / "disk", job_named("snapshot"), every=16)

    assert done.rounds
    assert done.faults == ()


@jobs
def test_every_state_that_a_power_cut_may_leave_is_whole(tmp_path: Path, job: Job) -> None:
    if job.changes_source:
        pytest.skip("its effects are tried with the restore's own steps")
    done = try_job_states(tmp_path / "scene", job, states_max=400, write_bytes_max=1 << 20)

    assert done.states > 3
    assert done.seen > 2
    assert done.faults == ()


def test_commands_that_work_at_once_lose_nothing(tmp_path: Path) -> None:
    for name, done in run_rounds(tmp_path, rounds=1).items():
        assert done.faults == (), name
