"""What the pages and the API need from whoever runs them; the brain gives it, a fake does in tests.

All data is plain JSON data whose shapes `web/models.py` declares. Nothing here blocks on a
check, a disk or a network: the answers come from memory.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from resile.core.journal.port import Query, Record
from resile.core.vocabulary import NoticeChoice, RotationReason, Verb


class RunsView(Protocol):
    """Contained runs of this system, open and closed. Used from the event loop only.

    What takes longer than memory does is done in threads: a commit may take as long as it takes
    to copy what a run wrote.
    """

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        """Give the open runs and the latest closed ones, newest first."""
        ...

    async def run(self, run_id: str) -> Mapping[str, Any] | None:
        """Give one run with its violations and its timeline; None if it is not known here."""
        ...

    async def held(self) -> Mapping[str, Any] | None:
        """Tell who holds new runs, as `who`, `why` and `at`; None if nobody does."""
        ...

    async def diff(self, run_id: str) -> Mapping[str, Any]:
        """Give what an open run that has ended would change; long texts and lists are cut.

        Raises:
            RejectedError: If it still runs, or is not open any more.
            TransactionError: If it cannot be read.
        """
        ...

    async def commit(self, run_id: str, *, paths: Sequence[str], who: str) -> int:
        """Commit a run's changes, or those at and below some paths; give their number. Durable.

        Raises:
            RejectedError: If it still runs, or is not open any more.
            ConflictError: If somebody else changed what it changes; nothing was committed.
            TransactionError: If it failed; the workspace is as it was.
        """
        ...

    async def discard(self, run_id: str, *, who: str) -> None:
        """Undo what a run changed. Durable.

        Raises:
            RejectedError: If it still runs, or is not open any more.
        """
        ...

    async def kill(self, run_id: str, *, who: str) -> bool:
        """Kill a run; nothing of it lives when this returns. False if it had ended already.

        Raises:
            RejectedError: If it is not open any more.
            OperationError: If a process does not die.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """What a folder was: a snapshot, or the folder at a moment.

    Args:
        snapshot_id: The whole id; empty: `source` at `at`.
        source: The folder.
        at: The moment; None: it is a snapshot.
    """

    snapshot_id: str = ""
    source: str = ""
    at: datetime | None = None


class StoreView(Protocol):
    """The store of this system. Used from the event loop only; what blocks is done elsewhere."""

    async def overview(self) -> Mapping[str, Any]:
        """Give the store, its newest snapshots and its health; never older than some seconds.

        A store that cannot be read is told in the answer. The answer does not wait for a slow one.
        """
        ...

    async def snapshot(self, snapshot_id: str) -> Mapping[str, Any] | None:
        """Give one snapshot by its whole id; None if it is not in the store."""
        ...

    async def diff(self, point: RestorePoint, *, against: str) -> Mapping[str, Any]:
        """Give the paths that differ from `against`: `live`, or another snapshot.

        Raises:
            ConfigError: If no snapshot of the folder is as old as the moment.
            RejectedError: If too many ask already.
            OperationError: If the store or the folder cannot be read, or it takes too long.
        """
        ...

    async def text_diff(self, point: RestorePoint, *, against: str, path: str) -> Mapping[str, Any]:
        """Give how one path differs, as text.

        Raises:
            ConfigError: If neither side has it; or as `diff`.
            RejectedError: If too many ask already.
            OperationError: If it cannot be read, or it takes too long.
        """
        ...

    async def restore(
        self, point: RestorePoint, *, paths: Sequence[str], who: str
    ) -> Mapping[str, Any]:
        """Restore in place, all or these paths, after a snapshot of what is there; give the report.

        Raises:
            ConfigError: If a path was not there then; or as `diff`.
            RejectedError: If another restore is under way, the folder refuses it, or it is one of
                another machine.
            OperationError: If it failed; the folder is as it was.
        """
        ...

    async def protect(self, snapshot_id: str, *, is_on: bool) -> None:
        """Protect a snapshot, or take that back. Durable. Idempotent.

        Raises:
            StoreError: If the store could not be written.
        """
        ...


class PoliciesView(Protocol):
    """The guards in user's processes. Used from the event loop only."""

    def overview(self) -> Mapping[str, Any]:
        """Give every guard of every process, how many processes there are, and the orders that hold."""
        ...

    def names(self) -> Sequence[str]:
        """Give the names of guards that may be ordered about."""
        ...

    async def order(
        self, guard: str, order: str, *, for_s: float | None, why: str, who: str
    ) -> Mapping[str, Any]:
        """Order something of a guard in all processes that have it; give what they answered.

        The order is durable before any of them is told. Those that come later get it while it holds.

        Raises:
            JournalError: If it could not be journalled; nobody was told.
        """
        ...

    def topic(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Give what each process says of a further topic, as `key`, `pid`, `program`, `service`, `value`, `at`."""
        ...

    async def tell(self, key: int, topic: str, value: Any) -> str:
        """Give one process an order of a further topic; give what went wrong, or nothing."""
        ...


class DegradationView(Protocol):
    """Degraded operation in user's processes. Used from the event loop only."""

    def overview(self) -> Mapping[str, Any]:
        """Give the services of all processes, and the notices that wait for an answer."""
        ...

    async def answer(self, notice_id: str, choice: NoticeChoice, *, who: str) -> None:
        """Journal what a person chose, then have the process do it.

        Raises:
            RejectedError: If the notice is not open, or the process did not do it.
            JournalError: If it could not be journalled; nobody was told.
        """
        ...


class SecretsView(Protocol):
    """The secrets of this system, without their values. Used from the event loop only."""

    def overview(self) -> Mapping[str, Any]:
        """Give the provider, the secrets with who holds what, and what was odd; as `Secrets` declares it.

        `secrets` has every secret that may be rotated or rolled back. Lists are bounded; the newest
        of what looked odd and of the rotations come first.
        """
        ...

    async def rotate(
        self, name: str, *, who: str, reason: RotationReason, why: str
    ) -> Mapping[str, Any]:
        """Rotate a secret now; give what came of it when it ended, or waits for somebody.

        Raises:
            UnknownSecretError: If there is none of this name.
            RejectedError: If it has no rotator, or is being rotated.
            OperationError: If it failed; the current credential is as it was.
        """
        ...

    async def rollback(self, name: str, *, who: str) -> Mapping[str, Any]:
        """Make the value before the current one again, as a new version; give its `name` and `version`.

        Raises:
            UnknownSecretError: If there is none of this name, or nothing before it.
            SecretRevokedError: If what was before it was retired.
            OperationError: If it failed; the current version is as it was.
        """
        ...

    async def release(self, client: str, *, who: str) -> None:
        """Give a client its secrets again. Durable. Idempotent.

        Raises:
            OperationError: If it failed; the client stays cut off.
        """
        ...


class PlaybooksView(Protocol):
    """The playbooks of this system. Used from the event loop only."""

    def overview(self) -> Mapping[str, Any]:
        """Give every playbook with what was learned of it, and the plans that wait for a person."""
        ...

    def rehearse(self, name: str, *, fault: str, target: str) -> Mapping[str, Any]:
        """Tell what a playbook would do now, and what keeps it from that. Nothing is done.

        Args:
            name: Of the playbook.
            fault: A kind of fault; empty: those that it is for.
            target: `service/NAME` or `check/ID`; empty: those with such a fault now, else all.

        Raises:
            RejectedError: If there is no such playbook, kind or target.
        """
        ...

    async def run(self, name: str, *, target: str, who: str) -> Mapping[str, Any]:
        """Use a playbook on a target now; give its plan. Durable when this returns, not done.

        Raises:
            RejectedError: If there is no such playbook or target, or the target is worked on.
        """
        ...

    async def answer(self, plan_id: str, *, is_approved: bool, who: str) -> Mapping[str, Any]:
        """Say yes or no to a plan that waits; give it. Durable when this returns.

        Raises:
            RejectedError: If no such plan waits.
        """
        ...

    async def forget(self, name: str, *, who: str) -> Mapping[str, Any]:
        """Forget what was learned of a playbook, or of all if it is empty. Durable when this returns.

        Raises:
            RejectedError: If there is no such playbook.
        """
        ...


class RecoveryView(Protocol):
    """The coordinated plan over all open faults. Used from the event loop only."""

    def overview(self) -> Mapping[str, Any]:
        """Give the faults in their turn, how far each is, and when it will be over; as `Recovery` declares it."""
        ...


class DrillView(Protocol):
    """What drills have shown. Used from the event loop only; the journal is read elsewhere."""

    async def overview(self) -> Mapping[str, Any]:
        """Give the matrix with its score, and the last drills; as `Drills` declares it.

        Raises:
            JournalError: If the journal cannot be read.
        """
        ...

    async def drill(self, drill_id: str) -> Mapping[str, Any] | None:
        """Give one drill with what happened in each of its scenarios; None if it is not known.

        Raises:
            JournalError: If the journal cannot be read.
        """
        ...


class SwitchesView(Protocol):
    """What a person switched off. Used from the event loop only."""

    def overview(self) -> Mapping[str, Any]:
        """Give `switches`, what is off now, and `emergency`, the stop that holds or None."""
        ...

    async def set(
        self, words: Sequence[str], *, is_on: bool, for_s: float | None, why: str, who: str
    ) -> Mapping[str, Any]:
        """Switch parts off or on, and give the overview. Durable, and known to every process then.

        Args:
            words: Parts, or `playbook/NAME`; at least one.
            is_on: On; else off.
            for_s: Off, it ends by itself after so many seconds.
            why: For whoever misses it.
            who: Wants it.

        Raises:
            RejectedError: If anything of it is wrong; nothing was done.
            OperationError: If it is journalled, and other processes could not be told yet.
        """
        ...

    async def stop(self, *, is_stopping_services: bool, why: str, who: str) -> Mapping[str, Any]:
        """Begin an emergency stop, and give the overview; it is carried out at once afterwards."""
        ...


class SystemView(Protocol):
    """What may be asked. Used from the event loop only."""

    @property
    def contained(self) -> RunsView:
        """The contained runs."""
        ...

    @property
    def store(self) -> StoreView:
        """The store."""
        ...

    @property
    def policies(self) -> PoliciesView:
        """The guards."""
        ...

    @property
    def degradation(self) -> DegradationView:
        """Degraded operation."""
        ...

    @property
    def secrets(self) -> SecretsView:
        """The secrets."""
        ...

    @property
    def playbooks(self) -> PlaybooksView:
        """The playbooks."""
        ...

    @property
    def recovery(self) -> RecoveryView:
        """The coordinated plan."""
        ...

    @property
    def drill(self) -> DrillView:
        """The drills."""
        ...

    @property
    def switches(self) -> SwitchesView:
        """What is switched off."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Give `{"name", "brain": {"pid"}, "guard": {"pid"}, "services": [...], "checks": [...]}`."""
        ...

    def incidents(self) -> Sequence[Mapping[str, Any]]:
        """Give incidents, newest first, each with its timeline."""
        ...

    async def events(self, query: Query) -> Sequence[Record]:
        """Read the journal, off the event loop."""
        ...

    def follow(self, *, after_seq: int) -> AsyncIterator[Record]:
        """Yield records as they are appended; ends when the brain stops."""
        ...

    def metrics(self) -> str:
        """Give the Prometheus text exposition."""
        ...

    async def request(self, verb: Verb, services: tuple[str, ...], who: str) -> None:
        """Journal an operator's request; returns when it is durable, not when it is done.

        Raises:
            RejectedError: If a service is unknown.
        """
        ...

    async def maintain(
        self, target: str, *, is_on: bool, for_s: float | None, why: str, who: str
    ) -> None:
        """Journal that work on a target, `service/NAME` or `check/ID`, begins or ends.

        Args:
            target: What is worked on.
            is_on: It begins.
            for_s: It ends by itself after so many seconds; None means that it does not.
            why: For whoever reads it.
            who: Who works on it.

        Raises:
            RejectedError: If there is no such target.
        """
        ...

    async def beat(self, check: str) -> None:
        """Journal a heartbeat of a system check.

        Raises:
            RejectedError: If there is no such check, or it waits for no heartbeats.
        """
        ...

    async def acknowledge(self, incident_id: str, who: str) -> None:
        """Journal that a person takes an incident on.

        Raises:
            RejectedError: If there is no such incident.
        """
        ...
