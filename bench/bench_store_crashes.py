"""The store under SIGKILL at every system call, failing and lying disks, power cuts, and un-synced states.

Needs strace (`apt-get install strace`); the power cuts need root and `mkfs.ext4`. After each harm all that
was acknowledged must be there bit for bit, all else whole, and the same command must do its work when it
is run again. RESILE_BENCH_EVERY=1 harms each call with each error too; by default each third one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import can_mount
from tests.support.store_harms import (
    Harm,
    Harmed,
    cut_power_everywhere,
    harm_everywhere,
    try_job_states,
)
from tests.support.store_jobs import JOBS
from tests.support.store_scenes import Job
from tests.support.store_states import States
from tests.support.store_together import Together, run_rounds
from tests.support.syscalls import has_strace

MEMORY = Path("/dev/shm")
WORKERS = 2
STATES_BAR = 10_000
STATES_PER_JOB = 3_000
WRITE_BYTES_MAX = 256
"""Of a pack of some kilobytes that makes as many writes as a big one has."""
ERRORS_EVERY = 3
ROUNDS_TOGETHER = 25
TITLES = {
    Harm.KILL: "SIGKILL at each system call",
    Harm.EIO: "EIO at writes, syncs, links, removals",
    Harm.ENOSPC: "ENOSPC at writes, syncs, links, removals",
    Harm.LIE: "lying writes to the store",
}
TARGET = "0 lost, 0 mixed"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is measured, and the work that does it."""

    title: str
    job: Job
    work: Future[Harmed]


def main() -> None:
    print("bar | target | measured")
    with scratch() as folder, ThreadPoolExecutor(WORKERS) as pool:
        if has_strace():
            rows = [*harm_rows(folder, pool), *cut_rows(folder, pool)]
            for title in dict.fromkeys(row.title for row in rows):
                print_harms(title, [row for row in rows if row.title == title])
        else:
            print(f"kills and errors at system calls | {TARGET} | no strace here: skipped")
        print_states([pool.submit(states_of, folder, job) for job in JOBS[:-1]])
    with scratch() as folder:
        print_together(run_rounds(folder, rounds=ROUNDS_TOGETHER))


def harm_rows(folder: Path, pool: ThreadPoolExecutor) -> Iterator[Row]:
    every = int(os.environ.get("RESILE_BENCH_EVERY", ERRORS_EVERY))
    for harm, title in TITLES.items():
        for job in JOBS:
            yield Row(
                title=title,
                job=job,
                work=pool.submit(
                    harm_everywhere,
                    folder / f"{harm.name}-{JOBS.index(job)}",
                    job,
                    harm,
                    every=every if harm in (Harm.EIO, Harm.ENOSPC) else 1,
                ),
            )


def cut_rows(folder: Path, pool: ThreadPoolExecutor) -> Iterator[Row]:
    title = "power cut of an ext4 image at changes of the store"
    if not can_mount():
        print(f"{title} | {TARGET} | nothing can be mounted here: skipped")
        return
    for job in JOBS[:6]:
        work = pool.submit(cut_power_everywhere, folder / f"cut-{JOBS.index(job)}", job)
        yield Row(title=title, job=job, work=work)


def print_harms(title: str, rows: list[Row]) -> None:
    found = [(row.job.name, row.work.result()) for row in rows]
    each = "; ".join(f"{name} {done.rounds}" for name, done in found)
    rounds, told, wrong = (
        sum(count(done) for _, done in found)
        for count in (lambda d: d.rounds, lambda d: d.told, lambda d: len(d.faults))
    )
    print(
        f"{title} | {TARGET} | {wrong} of {rounds:,} wrong, {told:,} ended or failed ({each})",
        flush=True,
    )
    print_faults((name, fault) for name, done in found for fault in done.faults)


def states_of(folder: Path, job: Job) -> list[States]:
    """Give the states of the system calls of the real command, and of small writes."""
    return [
        try_job_states(
            folder / f"states-{size}-{JOBS.index(job)}",
            job,
            states_max=STATES_PER_JOB,
            write_bytes_max=size,
        )
        for size in ((0, WRITE_BYTES_MAX) if has_strace() else (WRITE_BYTES_MAX,))
    ]


def print_states(works: list[Future[list[States]]]) -> None:
    found = [states for work in works for states in work.result()]
    states, seen = sum(one.states for one in found), sum(one.seen for one in found)
    wrong = [fault for one in found for fault in one.faults]
    print(
        f"states that un-synced effects allow | 0 of >= {STATES_BAR:,} wrong |"
        f" {len(wrong)} of {states:,} ({seen} differ outside of tmp/)"
    )
    print_faults(("state", fault) for fault in wrong)


def print_together(found: dict[str, Together]) -> None:
    for name, done in found.items():
        print(
            f"{name} | {TARGET} | {len(done.faults)} of {done.rounds} rounds wrong,"
            f" {done.refused} commands were told to wait"
        )
        print_faults((name, fault) for fault in done.faults)


def print_faults(faults: Iterator[tuple[str, str]]) -> None:
    for name, fault in list(dict.fromkeys(faults))[:5]:
        print(f"   {name}: {fault[:300]}")


@contextmanager
def scratch() -> Iterator[Path]:
    place = MEMORY if MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="resile-bench-", dir=place)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
