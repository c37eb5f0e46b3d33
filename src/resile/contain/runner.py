"""One contained run, from its request to its outcome: journal, box, watch, verdict, fate.

The order is that of every effect: the run is journalled before anything starts, and what becomes
of its changes is journalled when it is done. Whatever is cut in between is finished by
`recover.py`.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from resile.contain import spec as specs
from resile.contain.cgroups import CgroupLimits
from resile.contain.decide import (
    Breach,
    Evidence,
    Fate,
    Verdict,
    fate_of,
    judge,
    verdict_of,
)
from resile.contain.host import Host
from resile.contain.meter import Meter
from resile.contain.model import CommitMode, Outcome, WorkspaceDiff
from resile.contain.output import Capture
from resile.contain.runs import RunRecord, shown
from resile.contain.sandboxes import BindMount, Box, Boxed, explained
from resile.contain.scan import violations_in
from resile.contain.spec import RunSpec
from resile.contain.stdio import open_stdio
from resile.contain.story import Story
from resile.contain.switches import check_hold
from resile.contain.transaction import Staging, Transaction, prepare
from resile.contain.transaction.listing import DELAY_S
from resile.contain.watch import StopRequest, Watch, Watched
from resile.core.codec import encode
from resile.core.events import (
    Payload,
    RunBegun,
    RunCommitted,
    RunEnded,
    RunRolledBack,
)
from resile.core.process import signal_name
from resile.core.vocabulary import RunReason, RunState
from resile.errors import ConfigError, ConflictError, ResileError


class Run:
    """One run. Not thread-safe; `stop` may be used from anywhere.

    Args:
        host: Where it runs.
        spec: What to run.
        stop: Asks for its end.
    """

    def __init__(self, host: Host, spec: RunSpec, *, stop: StopRequest) -> None:
        problems = tuple(specs.impossible(spec.limits))
        if problems:
            raise ConfigError(problems[0], hint="`resile doctor` tells what this machine has")
        self._host = host
        self._spec = replace(spec, limits=specs.resolve_memory(spec.limits))
        self._stop = stop
        self._clock = host.clock
        self._watch: Watch | None = None
        self._is_left = False
        self._warnings: list[str] = []

    def execute(self) -> Outcome:
        """Run it to its end, and settle what becomes of its changes.

        Raises:
            ResileError: If it could not be begun; nothing was run then, and nothing is left.
        """
        self._berth = self._host.take_berth()
        self._run_id = self._berth.run_id
        self._story = Story(self._host, self._run_id)
        try:
            return self._execute()
        finally:
            self._leave()

    def _execute(self) -> Outcome:
        try:
            transaction = self._begin()
        except BaseException:
            self._berth.parked.close()
            self._host.runs.remove(self._run_id)
            raise
        with self._rolling_back_unless_ended():
            watched, captures = self._watched(transaction)
            diffs = transaction.seal(is_durable=self._spec.commit is CommitMode.ASK)
        return self._settle(transaction, watched, captures, diffs)

    def _begin(self) -> Transaction:
        """Journal that it begins, and prepare its transaction and its box meanwhile."""
        self._record = self._make_record()
        folder = self._host.runs.create(self._run_id)
        self._host.runs.write(self._record)
        check_hold(self._host.runs)  # Whoever holds from now on finds the record, and kills.
        is_told = self._story.told(self._begun())
        try:
            transaction = prepare(
                folder,
                self._spec.workspaces,
                staging=self._staging(),
                changes=self._host.changes_folder,
                clock=self._clock,
            )
            self._set_limits()
            self._box = self._make_box(transaction)
        except BaseException as exc:
            why = exc.message if isinstance(exc, ResileError) else f"it could not be run: {exc}"
            self._story.tell(RunRolledBack(run_id=self._run_id, why=why))
            raise
        finally:
            is_told.result()  # Nothing is started before this is durable.
        return transaction

    @contextlib.contextmanager
    def _rolling_back_unless_ended(self) -> Iterator[None]:
        """Undo the run if it could not be watched to its end, whatever hindered that."""
        try:
            yield
        except BaseException as exc:
            try:
                self._leave()
            finally:
                self._story.tell(
                    RunRolledBack(run_id=self._run_id, why=f"it could not be run: {exc}")
                )
                self._host.runs.remove(self._run_id)
            raise

    def _leave(self) -> None:
        """Wait until nothing of the box is left, and remove its group; again: does nothing."""
        if self._is_left:
            return
        if self._watch is not None:
            self._watch.wait_gone()
        self._host.release(self._berth.group)
        self._is_left = True

    # Launch and watch ---------------------------------------------------------------------------

    def _watched(self, transaction: Transaction) -> tuple[Watched, Sequence[Capture]]:
        """Launch the command and watch it; what need not come first is done while its box is built.

        The transaction is noted then: until there is something to recover its folder is only
        to be removed, and the command dies with us.
        """
        with contextlib.ExitStack() as stack:
            boxed, captures = self._launch(stack)
            try:
                transaction.note(is_durable=False)  # A power cut undoes the run anyway.
                self._list_at_s = self._clock.monotonic() + DELAY_S
                self._watch = self._make_watch(boxed, captures, transaction)
            except BaseException:
                boxed.close()
                raise
            return self._watch.run(), captures

    def _make_watch(
        self, boxed: Boxed, captures: Sequence[Capture], transaction: Transaction
    ) -> Watch:
        group, limits = self._berth.group, self._spec.limits
        return Watch(
            boxed,
            group,
            limits=limits,
            captures=captures,
            meter=Meter(
                group,
                limits=limits,
                own_processes=self._host.launcher.own_processes(group),
                measure_disk=lambda: self._written(transaction),
                workspaces=transaction.workspaces,
                clock=self._clock,
            ),
            stop=self._stop,
            judge=lambda violation: judge(violation, kills=self._spec.kills),
            on_alert=self._story.on_alert,
            on_breach=self._story.on_breach,
            on_violation=self._story.on_violation,
            on_sample=self._story.on_sample,
            clock=self._clock,
        )

    def _written(self, transaction: Transaction) -> tuple[int, int]:
        """Measure what is written; whoever goes on for a while may meet others in the workspaces."""
        if self._clock.monotonic() >= self._list_at_s:
            transaction.list_all()
        written = transaction.measure()
        return written.bytes_, written.files

    def _launch(self, stack: contextlib.ExitStack) -> tuple[Boxed, list[Capture]]:
        """Give the parked launcher its box; what was opened for it is closed with the stack."""
        parked = self._berth.parked
        try:
            stdio, captures = open_stdio(self._spec, stack)
        except BaseException:
            parked.close()
            raise
        try:
            return parked.launch(self._box, stdio), captures
        finally:
            os.close(stdio.stdout_fd)
            os.close(stdio.stderr_fd)

    def _make_box(self, transaction: Transaction) -> Box:
        spec, limits = self._spec, self._spec.limits
        cwd = spec.cwd or (spec.workspaces[0] if spec.workspaces else Path("/tmp"))  # noqa: S108 - its own
        state = self._host.journal_folder.parent
        env = specs.environment(spec, self._host.environ)
        return Box(
            argv=spec.argv,
            env=env,
            cwd=str(cwd),
            mounts=(
                *transaction.mounts,
                *(
                    BindMount(source=path, target=path, is_writable=False)
                    for path in specs.shown_paths(spec, env)
                ),
            ),
            hidden=specs.hidden_paths(spec, more=(self._host.runs.folder, state)),
            readable=spec.readable,
            network=limits.network,
            is_observed=self._host.switches.is_observed,
            tmp_bytes=limits.disk_bytes,
            tmp_files=limits.disk_files,
            files_max=limits.files,
            file_bytes_max=limits.disk_bytes,
        )

    def _set_limits(self) -> None:
        group, limits = self._berth.group, self._spec.limits
        if group is None:
            return
        own = self._host.launcher.own_processes(group)
        self._host.tree.create(
            group.name,
            CgroupLimits(
                memory_bytes=int(limits.memory),
                cpu_share=limits.cpu_share,
                processes=limits.processes + own if limits.processes else 0,
                is_one_fate=True,
            ),
        )

    def _staging(self) -> Staging:
        facts = self._host.facts
        if facts.has_overlay and not facts.uses_user_attributes:
            return Staging.OVERLAY
        if facts.has_overlay and _takes_attributes(self._host.runs.folder):
            return Staging.OVERLAY_USER
        if self._spec.workspaces:
            self._warnings.append("no overlay here: workspaces are copied, which takes longer")
        return Staging.COPY

    # What comes of it ---------------------------------------------------------------------------

    def _settle(
        self,
        transaction: Transaction,
        watched: Watched,
        captures: Sequence[Capture],
        diffs: tuple[WorkspaceDiff, ...],
    ) -> Outcome:
        found = violations_in(
            diffs,
            transaction.skipped,
            protected=self._spec.protected,
            at=self._clock.now(),
        )
        for violation in found:
            self._story.on_violation(violation)
        violations = (*watched.violations, *found)
        verdict = self._verdict(watched)
        killing = (judge(violation, kills=self._spec.kills) for violation in violations)
        breach = next(filter(None, killing), None)
        if breach is not None and verdict.reason is RunReason.OK:
            verdict = Verdict(reason=breach.reason, message=breach.message)
        ended = watched.ended
        changes = sum(len(diff.changes) for diff in diffs)
        outcome = Outcome(
            run_id=self._run_id,
            reason=verdict.reason,
            message=verdict.message,
            exit_code=_exit_code(watched),
            signal=signal_name(ended.signal_number) if ended and ended.signal_number else "",
            stdout=captures[0].kept,
            stderr=captures[1].kept,
            usage=watched.sample.usage,
            violations=violations,
            diffs=diffs,
            backend=self._host.launcher.name,
            warnings=(
                *filter(None, (self._host.warning, self._host.switches.warning)),
                *self._warnings,
                *watched.warnings,
            ),
        )
        if watched.failed is not None and watched.failed.stage not in _OF_THE_COMMAND:
            self._host.distrust_facts()
        fate = fate_of(
            self._spec.commit, verdict.reason, violations=len(violations), changes=changes
        )
        return self._carry_out(fate, transaction, outcome, changes)

    def _verdict(self, watched: Watched) -> Verdict:
        """Tell why it ended; who killed it from outside has written that down before."""
        breach = watched.breach
        killer = self._host.runs.killed_by(self._run_id)
        if killer and breach is None:
            breach = Breach(reason=RunReason.KILLED, message=f"killed by {killer}")
        return verdict_of(
            Evidence(
                limits=self._spec.limits,
                usage=watched.sample.usage,
                breach=breach,
                ended=watched.ended,
                failed=watched.failed,
                failure=self._failure(watched),
            )
        )

    def _failure(self, watched: Watched) -> str:
        if watched.failed is None:
            return ""
        error = explained(self._box, watched.failed)
        return f"{error.message}; {error.hint}" if error.hint else error.message

    def _carry_out(
        self, fate: Fate, transaction: Transaction, outcome: Outcome, changes: int
    ) -> Outcome:
        self._record = replace(
            self._record,
            state=RunState.COMMITTING if fate is Fate.COMMIT else RunState.READY,
            reason=outcome.reason,
            message=outcome.message,
            changes=changes,
        )
        ended = _ended(outcome, changes)
        if fate is Fate.NOTHING:
            self._close(ended, RunCommitted(run_id=self._run_id, changes=0))
            return replace(outcome, state=RunState.COMMITTED)
        if fate is Fate.DISCARD:
            why = outcome.message or "nothing of it was to be kept"
            self._close(ended, RunRolledBack(run_id=self._run_id, why=why))
            return replace(outcome, state=RunState.DISCARDED)
        with self._rolling_back_unless_ended():
            self._leave()
        self._host.runs.write(self._record)
        self._story.tell(ended)
        if fate is Fate.KEEP:
            return replace(outcome, state=RunState.READY)
        return self._commit(transaction, outcome)

    def _commit(self, transaction: Transaction, outcome: Outcome) -> Outcome:
        try:
            committed = transaction.commit()
        except ConflictError as exc:
            listed = "; ".join(f"{path} {what}" for path, what in exc.paths[:_LISTED_MAX])
            message = f"{exc.message}: {listed}"
            self._record = replace(
                self._record,
                state=RunState.READY,
                reason=RunReason.COMMIT_CONFLICT,
                message=message,
            )
            self._host.runs.write(self._record)
            return replace(
                outcome,
                reason=RunReason.COMMIT_CONFLICT,
                message=message,
                state=RunState.READY,
            )
        except ResileError as exc:
            self._record = replace(self._record, state=RunState.READY, message=exc.message)
            self._host.runs.write(self._record)
            exc.hint = f"{exc.hint} Its changes wait: `resile commit {self._run_id}`.".strip()
            raise
        if committed.is_clean:
            self._close(RunCommitted(run_id=self._run_id, changes=committed.committed))
        else:  # `recover` finishes it, and tells then that it is committed.
            self._record = replace(self._record, state=RunState.READY)
            self._host.runs.write(self._record)
        return replace(outcome, state=RunState.COMMITTED)

    # What is told -------------------------------------------------------------------------------

    def _close(self, *payloads: Payload) -> None:
        """Tell the end, wait meanwhile until the box is gone, and take the run off the list."""
        is_told = self._story.told(*payloads)
        try:
            self._leave()
        finally:
            is_told.result()
            self._host.runs.retire(self._run_id)

    def _begun(self) -> RunBegun:
        return RunBegun(
            run_id=self._run_id,
            command=self._record.command,
            workspaces=self._record.workspaces,
            commit=self._spec.commit,
            profile=self._spec.profile,
            supervisor_pid=os.getpid(),
            limits=self._record.limits,
        )

    def _make_record(self) -> RunRecord:
        berth = self._berth
        return RunRecord(
            run_id=self._run_id,
            command=shown(self._spec.argv),
            workspaces=tuple(map(str, self._spec.workspaces)),
            commit=self._spec.commit,
            profile=self._spec.profile,
            limits=encode(self._spec.limits),
            state=RunState.RUNNING,
            began_at=self._clock.now(),
            supervisor=berth.supervisor,
            launcher=berth.launcher,
            journal=str(self._host.journal_folder),
            layout=self._host.tree.layout if berth.group is not None else None,
            group="" if berth.group is None else berth.group.name,
            backend=self._host.launcher.name,
        )


_LISTED_MAX = 5
_OF_THE_COMMAND = ("exec", "cwd")
"""Failures that say nothing of the machine."""


def _exit_code(watched: Watched) -> int | None:
    if watched.failed is not None:
        return watched.failed.exit_code
    return None if watched.ended is None else watched.ended.exit_code


def _takes_attributes(folder: Path) -> bool:
    """Tell whether an overlay of an ordinary user can mark in this folder what is deleted."""
    try:
        os.setxattr(folder, "user.resile", b"1")
    except OSError:  # tmpfs has it since Linux 6.6.
        return False
    return True


def _ended(outcome: Outcome, changes: int) -> RunEnded:
    usage = outcome.usage
    return RunEnded(
        run_id=outcome.run_id,
        reason=outcome.reason,
        code=outcome.code,
        detail=outcome.message,
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        time_s=round(usage.time_s, 6),
        cpu_s=usage.cpu_s,
        memory_max_bytes=usage.memory_max_bytes,
        processes_max=usage.processes_max,
        output_bytes=usage.output_bytes,
        disk_bytes=usage.disk_bytes,
        changes=changes,
        violations=len(outcome.violations),
    )
