"""One contained run, from its request to its outcome: journal, box, watch, verdict, fate.

The order is that of every effect: the run is journalled before anything starts, and what becomes
of its changes is journalled when it is done. Whatever is cut in between is finished by
`recover.py`.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path

from resile.contain import spec as specs
from resile.contain.cgroups import Cgroup, CgroupLimits
from resile.contain.decide import (
    Alert,
    Breach,
    Evidence,
    Fate,
    Sample,
    Verdict,
    fate_of,
    judge,
    verdict_of,
)
from resile.contain.host import Berth, Host
from resile.contain.meter import Meter
from resile.contain.model import CommitMode, Outcome, Violation, WorkspaceDiff
from resile.contain.output import Capture
from resile.contain.runs import RunRecord, shown
from resile.contain.sandboxes import BindMount, Box, Boxed, explained
from resile.contain.scan import violations_in
from resile.contain.spec import RunSpec
from resile.contain.stdio import open_stdio
from resile.contain.transaction import Staging, Transaction, begin
from resile.contain.watch import StopRequest, Watch, Watched
from resile.core.events import (
    Payload,
    RunAlerted,
    RunBegun,
    RunBreached,
    RunCommitted,
    RunEnded,
    RunRolledBack,
    RunViolated,
    announce,
)
from resile.core.journal import Record
from resile.core.process import Identity, boot_id, identity_of, signal_name
from resile.core.vocabulary import RunReason, RunState
from resile.errors import ConfigError, ConflictError, ResileError

_LIVE_EVERY_S = 0.5


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
        self._live_at_s = 0.0
        self._warnings: list[str] = []

    def execute(self) -> Outcome:
        """Run it to its end, and settle what becomes of its changes.

        Raises:
            ResileError: If it could not be begun; nothing was run then, and nothing is left.
        """
        berth = self._host.take_berth()
        try:
            return self._execute(berth)
        finally:
            self._host.release(berth.group)

    def _execute(self, berth: Berth) -> Outcome:
        self._run_id = berth.run_id
        try:
            transaction = self._begin(berth)
        except BaseException:
            berth.parked.close()
            self._host.runs.remove(berth.run_id)
            raise
        with self._rolling_back_unless_ended():
            watched, captures = self._watch(berth, transaction)
            self._host.release(berth.group)
            diffs = transaction.seal(is_durable=self._spec.commit is CommitMode.ASK)
        return self._settle(transaction, watched, captures, diffs)

    def _begin(self, berth: Berth) -> Transaction:
        """Journal that it begins, and begin its transaction meanwhile."""
        folder = self._host.runs.create(berth.run_id)
        self._record = self._make_record(berth)
        self._host.runs.write(self._record)
        is_told = self._told(self._begun())
        try:
            return begin(
                folder,
                self._spec.workspaces,
                staging=self._staging(),
                clock=self._clock,
                is_durable=False,  # Lost in a power cut, it had not touched a workspace yet.
            )
        except ResileError as exc:
            self._tell(RunRolledBack(run_id=self._run_id, why=exc.message))
            raise
        finally:
            is_told.result()  # Nothing is started before this is durable.

    @contextlib.contextmanager
    def _rolling_back_unless_ended(self) -> Iterator[None]:
        """Undo the run if it could not be watched to its end, whatever hindered that."""
        try:
            yield
        except BaseException as exc:
            self._tell(RunRolledBack(run_id=self._run_id, why=f"it could not be run: {exc}"))
            self._host.runs.remove(self._run_id)
            raise

    # Launch and watch ---------------------------------------------------------------------------

    def _watch(self, berth: Berth, transaction: Transaction) -> tuple[Watched, Sequence[Capture]]:
        limits = self._spec.limits
        own_processes = self._host.launcher.own_processes(berth.group)
        with contextlib.ExitStack() as stack:
            boxed, captures = self._launch(berth, transaction, stack)
            self._note_running(boxed)
            watch = Watch(
                boxed,
                berth.group,
                limits=limits,
                captures=captures,
                meter=Meter(
                    berth.group,
                    limits=limits,
                    own_processes=own_processes,
                    measure_disk=lambda: _written(transaction),
                    clock=self._clock,
                ),
                stop=self._stop,
                judge=lambda violation: judge(violation, kills=self._spec.kills),
                on_alert=self._on_alert,
                on_breach=self._on_breach,
                on_violation=self._on_violation,
                on_sample=self._on_sample,
                clock=self._clock,
            )
            return watch.run(), captures

    def _launch(
        self, berth: Berth, transaction: Transaction, stack: contextlib.ExitStack
    ) -> tuple[Boxed, list[Capture]]:
        """Give the parked launcher its box; what was opened for it is closed with the stack."""
        try:
            if berth.group is not None:
                self._host.tree.create(berth.group.name, self._group_limits(berth.group))
            self._box = self._make_box(transaction)
            stdio, captures = open_stdio(self._spec, stack)
        except BaseException:
            berth.parked.close()
            raise
        try:
            boxed = berth.parked.launch(self._box, stdio)
        finally:
            os.close(stdio.stdout_fd)
            os.close(stdio.stderr_fd)
        stack.callback(boxed.close)
        return boxed, captures

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
            tmp_bytes=limits.disk_bytes,
            tmp_files=limits.disk_files,
            files_max=limits.files,
            file_bytes_max=limits.disk_bytes,
        )

    def _group_limits(self, group: Cgroup) -> CgroupLimits:
        limits = self._spec.limits
        own = self._host.launcher.own_processes(group)
        return CgroupLimits(
            memory_bytes=int(limits.memory),
            cpu_share=limits.cpu_share,
            processes=limits.processes + own if limits.processes else 0,
            is_one_fate=True,
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
            self._on_violation(violation)
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
                *filter(None, (self._host.warning,)),
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
        self._host.runs.write(self._record)
        self._tell(ended)
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
        self._close(RunCommitted(run_id=self._run_id, changes=committed.committed))
        return replace(outcome, state=RunState.COMMITTED)

    # What is told -------------------------------------------------------------------------------

    def _tell(self, *payloads: Payload) -> None:
        self._told(*payloads).result()

    def _told(self, *payloads: Payload) -> "Future[tuple[Record, ...]]":
        """Begin to tell; the future is done when it is durable."""
        now = self._clock.now()
        events = (announce(payload, at=now, actor="run") for payload in payloads)
        return self._host.journal.append_soon(*events)

    def _close(self, *payloads: Payload) -> None:
        """Tell the end, and take the run off the list."""
        self._tell(*payloads)
        self._host.runs.retire(self._run_id)

    def _tell_soon(self, payload: Payload) -> None:
        """Tell what nobody waits for; what is appended later makes it durable too."""
        with contextlib.suppress(ResileError):  # The end, which must be told, raises then.
            self._host.journal.append_soon(announce(payload, at=self._clock.now(), actor="run"))

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

    def _on_alert(self, alert: Alert) -> None:
        self._tell_soon(RunAlerted(run_id=self._run_id, **asdict(alert)))

    def _on_breach(self, breach: Breach) -> None:
        self._tell_soon(
            RunBreached(
                run_id=self._run_id,
                label=breach.label,
                reason=breach.reason,
                detail=breach.message,
            )
        )

    def _on_violation(self, violation: Violation) -> None:
        self._tell_soon(
            RunViolated(
                run_id=self._run_id,
                violation=violation.kind,
                detail=violation.detail,
                pid=violation.pid,
                command=violation.command,
                decision=violation.decision,
                source=violation.source,
                seen_at=violation.at,
            )
        )

    def _on_sample(self, sample: Sample) -> None:
        now_s = self._clock.monotonic()
        if now_s < self._live_at_s:
            return
        self._live_at_s = now_s + _LIVE_EVERY_S
        figures = {
            **asdict(sample.usage),
            "memory_bytes": sample.memory_bytes,
            "cpu_share": sample.cpu_share,
        }
        with contextlib.suppress(ResileError):  # Figures for whoever looks on; a full disk shows.
            self._host.runs.note_live(self._run_id, figures)

    def _make_record(self, berth: Berth) -> RunRecord:
        me = identity_of(os.getpid())
        return RunRecord(
            run_id=berth.run_id,
            command=shown(self._spec.argv),
            workspaces=tuple(map(str, self._spec.workspaces)),
            commit=self._spec.commit,
            profile=self._spec.profile,
            limits=asdict(self._spec.limits),
            state=RunState.STARTING,
            began_at=self._clock.now(),
            supervisor=me or Identity(boot_id=boot_id(), pid=os.getpid(), start_ticks=0),
            journal=str(self._host.journal_folder),
            layout=self._host.tree.layout if berth.group is not None else None,
            group="" if berth.group is None else berth.group.name,
            backend=self._host.launcher.name,
        )

    def _note_running(self, boxed: Boxed) -> None:
        self._record = replace(
            self._record, state=RunState.RUNNING, launcher=identity_of(boxed.pid)
        )
        self._host.runs.write(self._record)


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


def _written(transaction: Transaction) -> tuple[int, int]:
    written = transaction.measure()
    return written.bytes_, written.files


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
