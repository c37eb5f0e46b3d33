"""What is done about a client that looks odd: told, made to ask each time, or cut off; and what it read is rotated."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Protocol

from resile.core.clock import Clock
from resile.core.events import ClientQuarantined, ClientReleased, SecretAnomaly
from resile.core.ids import new_id
from resile.core.vocabulary import AccessOutcome, RotationReason, SecretResponse
from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.model import Client
from resile.daemon.secretkeeper.quarantine import Quarantine
from resile.daemon.secretkeeper.recording import Tell
from resile.daemon.secretkeeper.renewing import WHO
from resile.errors import ResileError
from resile.secrets.anomaly import Access, Finding, Note, NoteKind, Read, Settings

logger = logging.getLogger(__name__)

NOTES_MAX = 2 * Settings().failures
"""Of one message: more of the same would change nothing that is found."""

Rotate = Callable[[str, RotationReason, str], None]
"""Has a secret rotated, for a reason and because of something; does not wait."""
EndLeases = Callable[[str], AbstractSet[str]]
"""Ends the leases of a client, and gives the names that they are of; does not wait."""


class Watch(Protocol):
    """What learns how clients behave. Not thread-safe."""

    def seen(self, access: Access) -> Sequence[Finding]:
        """Take an access; give what is odd about it at once."""
        ...

    def noted(self, note: Note) -> Sequence[Finding]:
        """Take what happened with a secret; give what is odd about it at once."""
        ...

    def look(self, now: datetime) -> Sequence[Finding]:
        """Give what is odd about rates; every few seconds."""
        ...

    def blast_radius(self, client: str) -> Iterable[str]:
        """Name the secrets that a client has read in a version that opens something still."""
        ...

    def maintain(self, clients: AbstractSet[str]) -> None:
        """Set which clients are in maintenance."""
        ...

    def forgive(self, client: str) -> None:
        """Forget the evidence against a client."""
        ...

    def retired(self, name: str, version_number: str = "") -> None:
        """Take in that a version, or all, open nothing any more."""
        ...

    def reads(self, *, client: str = "", name: str = "", limit: int = 1000) -> Sequence[Read]:
        """Tell who has read what, the latest first."""
        ...


class Warden:
    """Safe to share between threads.

    Args:
        watch: Finds what is odd.
        quarantine: Who gets nothing.
        registry: Tells clients that they are cut off.
        rotate: Has secrets rotated.
        end_leases: Ends what was made for a client alone, and needs no rotation.
        is_off: Tells whether a person switched this off: it learns, and nothing is found odd.
        tell: Journals.
        clock: Stamps.
    """

    def __init__(
        self,
        watch: Watch,
        *,
        quarantine: Quarantine,
        registry: Registry,
        rotate: Rotate,
        end_leases: EndLeases,
        is_off: Callable[[], bool] = lambda: False,
        tell: Tell,
        clock: Clock,
    ) -> None:
        self._watch = watch
        self._watching = threading.Lock()
        self._registry = registry
        self._rotate = rotate
        self._end_leases = end_leases
        self._is_off = is_off
        self._tell = tell
        self._clock = clock
        self.quarantine = quarantine

    def saw(self, client: Client, name: str, number: str, outcome: AccessOutcome) -> None:
        """Take an access, and do what is to be done about it before anything is given."""
        access = Access(
            client=client.name,
            name=name,
            version_number=number,
            outcome=outcome,
            at=self._clock.now(),
            pid=client.pid,
            uid=client.uid,
            program=client.program,
            is_cached=not self.quarantine.must_ask(client.name),
        )
        with self._watching:
            found = self._watch.seen(access)
        self._answer(found)

    def noted(self, client: Client, name: str, kind: NoteKind, count: int) -> None:
        """Take what a client tells of a secret that it uses."""
        note = Note(client=client.name, name=name, kind=kind, at=self._clock.now())
        for _ in range(min(max(count, 1), NOTES_MAX)):
            with self._watching:
                found = self._watch.noted(note)
            self._answer(found)

    def look(self) -> None:
        """Look at the rates of all clients."""
        with self._watching:
            found = self._watch.look(self._clock.now())
        self._answer(found)

    def cut_off(self, client: str, *, why: str, who: str) -> None:
        """Give a client nothing any more, end its leases, and rotate all else that it had. Durable when it returns.

        Raises:
            OperationError: If it could not be written; it holds in this life all the same.
        """
        names = self._radius(client)
        try:
            is_new = self.quarantine.cut_off(client, why=why, who=who, owed=names)
            if is_new:
                self._told(ClientQuarantined(client=client, why=why, who=who))
        finally:
            self._registry.cut(client)
            leased = self._end_leases(client)
            for name in names:
                if name not in leased:
                    self._rotate(name, RotationReason.COMPROMISE, why)
            for name in leased:
                self.quarantine.rotated(name)

    def release(self, client: str, *, who: str) -> None:
        """Give a client its secrets again. Durable when it returns. Idempotent.

        Raises:
            OperationError: If it could not be written; the client stays cut off.
        """
        is_new = self.quarantine.release(client)
        with self._watching:
            self._watch.forgive(client)
        if is_new:
            self._told(ClientReleased(client=client, who=who))

    def maintain(self, targets: Iterable[str]) -> None:
        """Set what is in maintenance: a service is called as its client is."""
        with self._watching:
            self._watch.maintain(frozenset(targets))

    def retired(self, name: str, number: str) -> None:
        """Note that a version must not be used any more; empty: all of them."""
        with self._watching:
            self._watch.retired(name, number)

    def reads(self, *, client: str, name: str, limit: int) -> Sequence[Read]:
        """Tell who has read what, the latest first; of one client, of one secret, or all."""
        with self._watching:
            return self._watch.reads(client=client, name=name, limit=limit)

    def _answer(self, found: Iterable[Finding]) -> None:
        for one in () if self._is_off() else found:
            self._told(
                SecretAnomaly(
                    anomaly_id=new_id("ano", at=self._clock.now()),
                    client=one.client,
                    names=one.names,
                    signals=tuple(one.signals),
                    score=one.score,
                    response=one.response,
                    why=one.why,
                )
            )
            self._respond(one)

    def _respond(self, found: Finding) -> None:
        try:
            if found.response is SecretResponse.QUARANTINE:
                self.cut_off(found.client, why=found.why, who=WHO)
            elif found.response is SecretResponse.STEP_UP:
                self._step_up(found.client)
            elif found.response is SecretResponse.ROTATE:
                self._step_up(found.client)
                for name in self._radius(found.client):
                    self._rotate(name, RotationReason.ANOMALY, found.why)
        except ResileError as exc:
            # It holds in this life; the next one is told by the journal, and by what is odd then.
            logger.error("secretkeeper.not_kept reason=%s", exc.message)  # noqa: TRY400

    def _step_up(self, client: str) -> None:
        self.quarantine.step_up(client)
        self._registry.nudge(client)

    def _radius(self, client: str) -> tuple[str, ...]:
        """Name what a client has read and what opens something still."""
        with self._watching:
            return tuple(self._watch.blast_radius(client))

    def _told(self, payload: SecretAnomaly | ClientQuarantined | ClientReleased) -> None:
        """Journal it; what is done about it must not wait for a journal that fails."""
        try:
            self._tell(payload)
        except ResileError as exc:
            logger.error(  # noqa: TRY400
                "secretkeeper.not_told kind=%s reason=%s", payload.kind, exc.message
            )
