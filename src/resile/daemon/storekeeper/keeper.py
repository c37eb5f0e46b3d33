"""The worker: does what is due, one job at a time, until it is told to stop."""

import contextlib
import dataclasses
import logging
import math
import threading

from resile.core.clock import Clock
from resile.core.journal import JournalSink
from resile.core.switch_file import SwitchReader
from resile.daemon.storekeeper import memory as memories
from resile.daemon.storekeeper.decide import (
    first_times,
    follow,
    next_time,
    off_kinds,
    pass_due_in_s,
    passes,
    pick,
)
from resile.daemon.storekeeper.live import Halt, Live
from resile.daemon.storekeeper.model import Ended, Job, JobKind, Pass, Plan
from resile.daemon.storekeeper.places import Folder, Store, hidden_folders
from resile.daemon.storekeeper.snapshots import Snapshots
from resile.daemon.storekeeper.status import Send, Status
from resile.daemon.storekeeper.telling import Teller
from resile.daemon.storekeeper.upkeep import Upkeep
from resile.daemon.storekeeper.work import Work
from resile.errors import ResileError
from resile.store import Taken, add_parity
from resile.store.snapshot import OnProgress

logger = logging.getLogger(__name__)

SAVE_EVERY_S = 30.0
"""A pass that is interrupted reads at most so much of it again."""
WAIT_MAX_S = 5.0
"""A suspended machine, or a changed wait, is noticed so soon."""


class Keeper:
    """Keeps the store. `run` and what it calls belong to one thread; `snapshot` to any other one.

    Args:
        plan: What is declared.
        journal: Where events go.
        clock: Where time comes from.
        halt: Stops the services that write to a folder, and starts those again that ran.
        send: Takes figures for the metrics.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        journal: JournalSink,
        clock: Clock,
        halt: Halt,
        send: Send,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._switches = SwitchReader(plan.state)
        self._tell = Teller(journal, clock=clock)
        self._store = Store(plan, tell=self._tell, clock=clock)
        self._asked_store = Store(plan, tell=self._tell, clock=clock)
        self._asked = threading.Lock()
        hidden = hidden_folders(plan)
        self.folders = {n: Folder(one, hidden=hidden) for n, one in plan.folders.items()}
        self._snapshots = Snapshots(plan.state, tell=self._tell, clock=clock)
        self._upkeep = Upkeep(plan, self._store, tell=self._tell, clock=clock)
        self._live = Live(self._store, tell=self._tell, clock=clock, halt=halt)
        self._memory = memories.load(plan.state)
        self._saved_s = clock.monotonic()
        self._times = first_times(plan, self._memory, now_s=clock.monotonic(), now=clock.now())
        self._failures: dict[Job, int] = {}
        self._pass_keys = passes(plan)
        self._wake = threading.Condition()
        self._is_over = False
        self._send = send
        self._status = Status(clock=clock)
        self._work = Work(clock=clock, send=send)
        self._sizes: dict[str, int] = {}

    def run(self) -> None:
        """Do what is due until `stop`."""
        while True:
            with self._wake:
                if self._is_over:
                    break
                job = self.due()
                if job is None:
                    self._wake.wait(self._wait_s())
                    continue
            self.do(job)
        memories.save(self._plan.state, self._memory)
        self._store.close()
        for folder in self.folders.values():
            folder.watch.close()

    def stop(self) -> None:
        """Let `run` end after the job that it is at."""
        with self._wake:
            self._is_over = True
            self._wake.notify_all()

    def due(self) -> Job | None:
        """Tell what `run` would do now."""
        return pick(self._times, self._clock.monotonic(), off=self._off())

    def do(self, job: Job) -> None:
        """Do one job, and settle when it is due again. What fails is told, and tried again."""
        began_s = self._clock.monotonic()
        size_bytes, is_over = 0, False
        try:
            size_bytes, is_over = self._perform(job)
        except ResileError as exc:
            self._note_failure(job, exc.message)
        except OSError as exc:
            self._note_failure(job, exc.strerror or str(exc))
        except Exception as exc:
            logger.exception("storekeeper.job_failed", extra={"job": job.kind, "what": job.name})
            self._note_failure(job, type(exc).__name__)
        else:
            self._failures.pop(job, None)
        ended = Ended(
            began_s=began_s,
            ended_s=self._clock.monotonic(),
            failures=self._failures.get(job, 0),
            size_bytes=size_bytes,
            is_pass_over=is_over,
        )
        self._settle(job, ended)

    def snapshot(self, folder: Folder, tags: tuple[str, ...], reuse_within_s: float) -> Taken:
        """Take one for somebody who waits for it, or give one that is young and holds the same.

        Safe from any thread; one at a time.

        Raises:
            ResileError: If there is none.
        """
        with self._asked, self._asked_store.opened(is_fresh=False) as repository:
            standing = self._snapshots.standing(folder, repository, within_s=reuse_within_s)
        if standing is not None:
            return standing
        with (
            self._asked,
            self._asked_store.opened() as repository,
            self._taking(folder) as progress,
        ):
            began_s = self._clock.monotonic()
            taken = self._snapshots.take(
                folder,
                repository,
                tags=tags,
                reuse_within_s=reuse_within_s,
                on_progress=progress,
            )
            if taken.is_reused:
                return taken
            self._took(folder, taken, began_s)
        with self._wake:
            follows = follow(self._plan, Job(kind=JobKind.SNAPSHOT, name=folder.plan.name))
            if follows is not None:
                self._times[follows] = self._clock.monotonic()
                self._wake.notify_all()
        return taken

    def _off(self) -> frozenset[JobKind]:
        return off_kinds(self._switches.now(), self._clock.now())

    def _wait_s(self) -> float:
        """Tell how long to wait for the next job; one that is off wakes nobody."""
        off = self._off()
        coming = [at_s for job, at_s in self._times.items() if job.kind not in off]
        wait_s = min(coming, default=math.inf) - self._clock.monotonic()
        return min(max(wait_s, 0.0), WAIT_MAX_S)

    def _perform(self, job: Job) -> tuple[int, bool]:
        """Do it; give how much was read, and whether a pass is through."""
        if job.kind is JobKind.SNAPSHOT:
            self._take(self.folders[job.name])
        elif job.kind is JobKind.REPLICATE:
            with self._work.doing(job) as progress:
                self._upkeep.replicate(progress)
        elif job.kind is JobKind.COLLECT:
            with self._work.doing(job):
                self._upkeep.collect()
            self._remember(collected_at=self._clock.now())
        else:
            return self._go_on(job)
        return 0, False

    def _take(self, folder: Folder) -> None:
        try:
            with self._store.opened() as repository:
                began_s = self._clock.monotonic()
                with self._taking(folder) as progress:
                    taken = self._snapshots.take(folder, repository, on_progress=progress)
                self._took(folder, taken, began_s)
                self._snapshots.forget(folder, repository)
                self._status.counted(repository)
        except ResileError as exc:
            self._snapshots.failed(folder, self._plan.place, exc)
            raise
        if self._plan.has_parity and taken.is_changed:
            with self._store.opened(is_fresh=False) as repository:
                add_parity(repository)

    def _taking(self, folder: Folder) -> contextlib.AbstractContextManager[OnProgress]:
        """Tell that a folder's snapshot is taken; the last one tells how much that is."""
        job = Job(kind=JobKind.SNAPSHOT, name=folder.plan.name)
        return self._work.doing(job, total_bytes=self._sizes.get(folder.plan.name))

    def _took(self, folder: Folder, taken: Taken, began_s: float) -> None:
        self._sizes[folder.plan.name] = taken.snapshot.counts.bytes
        self._status.took(folder.plan.name, taken, self._clock.monotonic() - began_s)

    def _go_on(self, job: Job) -> tuple[int, bool]:
        """Read the next piece of a pass."""
        key = self._pass_keys[job]
        one = self._memory.passes.get(key, Pass())
        if job.kind is JobKind.SCRUB:
            one, size_bytes = self._upkeep.scrub(job.name, one)
        else:
            one, size_bytes = self._live.go_on(self.folders[job.name], one)
        self._remember(passes={**self._memory.passes, key: one})
        self._status.read(key, one, size_bytes)
        self._work.passed(job, one, total_bytes=self._total_of(job))
        return size_bytes, one.is_over

    def _total_of(self, job: Job) -> int | None:
        """Tell how many bytes a pass reads; None: nobody knows."""
        if job.kind is JobKind.LIVE:
            return self._sizes.get(job.name)
        return self._status.stored_bytes

    def _settle(self, job: Job, ended: Ended) -> None:
        rest_s = 0.0
        if (key := self._pass_keys.get(job)) is not None:
            one = self._memory.passes.get(key, Pass())
            rest_s = pass_due_in_s(self._plan, job, one, self._clock.now())
        follows = None if ended.failures else follow(self._plan, job)
        with self._wake:
            self._times[job] = next_time(self._plan, job, ended, rest_s=rest_s)
            if follows is not None:
                self._times[follows] = min(self._times.get(follows, ended.ended_s), ended.ended_s)
            coming = {one: at for one, at in self._times.items() if one not in self._pass_keys}
        if coming:
            next_job = min(coming, key=lambda one: coming[one])
            self._work.follows(next_job, coming[next_job] - self._clock.monotonic())
        self._status.repaired(
            found=self._upkeep.damage_found + self._live.found,
            mended=self._upkeep.damage_mended + self._live.mended,
            lag_s=self._upkeep.lag_s,
        )
        self._tell.tell()
        is_lasting = ended.is_pass_over and rest_s >= SAVE_EVERY_S
        if is_lasting or ended.ended_s - self._saved_s >= SAVE_EVERY_S:
            self._saved_s = ended.ended_s
            memories.save(self._plan.state, self._memory)
        self._status.send_if_due(lambda figures: self._send({"figures": figures}))

    def _remember(self, **changes: object) -> None:
        self._memory = dataclasses.replace(self._memory, **changes)  # type: ignore[arg-type]

    def _note_failure(self, job: Job, reason: str) -> None:
        self._failures[job] = self._failures.get(job, 0) + 1
        if self._failures[job] == 1:
            logger.warning(
                "storekeeper.failed job=%s name=%s reason=%s", job.kind.value, job.name, reason
            )
