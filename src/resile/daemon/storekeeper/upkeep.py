"""Keeping the store: freeing space, the second store, reading everything, and mending what is damaged."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from resile.core.clock import Clock
from resile.core.events import (
    StoreCollected,
    StoreDamaged,
    StoreLost,
    StoreMended,
    StoreReplicated,
    StoreUnreachable,
    StoreVerified,
)
from resile.daemon.storekeeper.model import REPLICA, STORE, Pass, Plan
from resile.daemon.storekeeper.places import Store, replica_of
from resile.daemon.storekeeper.telling import Teller
from resile.errors import ResileError, StoreDamagedError
from resile.store import (
    Backend,
    Origin,
    Repository,
    Scrub,
    Step,
    collect,
    lag,
    mend_file,
    mend_replica,
    open_backend,
    repair,
    replicate,
    verify,
)
from resile.store.snapshot import OnProgress

logger = logging.getLogger(__name__)

OnPass = Callable[[str, Pass], None]
"""Called with what is gone through and how far that is."""


class Upkeep:
    """Does it. Not thread-safe: for the keeper's worker alone.

    Args:
        plan: What is declared.
        store: The store.
        tell: Tells the journal.
        clock: Measures.
    """

    def __init__(self, plan: Plan, store: Store, *, tell: Teller, clock: Clock) -> None:
        self._plan = plan
        self._store = store
        self._tell = tell
        self._clock = clock
        self._replica = replica_of(plan)
        self._urls = {STORE: open_backend(plan.place).url}
        if self._replica is not None:
            self._urls[REPLICA] = self._replica.url
        self._scrubs: dict[str, Scrub] = {}
        self._unreachable: dict[str, str] = {}
        self._is_prunable = False
        self.damage_found = self.damage_mended = 0
        self.lag_s = 0.0

    def collect(self) -> None:
        """Free what no snapshot needs; the second store follows with the next replication.

        Raises:
            ResileError: If somebody else works on the store, or it fails.
        """
        with self._store.opened() as repository:
            done = collect(repository)
            self._is_prunable = True
            if done.removed:
                self._tell.tell(
                    StoreCollected(
                        place=repository.backend.url,
                        removed=done.removed,
                        removed_bytes=done.removed_bytes,
                    )
                )

    def replicate(self, on_progress: OnProgress) -> None:
        """Bring the second store in step.

        Args:
            on_progress: Is told the files and bytes that were copied.

        Raises:
            ResileError: If one of them fails.
        """
        replica = self._replica
        if replica is None:
            return
        try:
            with self._store.opened() as repository:
                behind = lag(repository.backend, replica)
                if behind.oldest_at is not None:
                    now = self._clock.now()
                    self.lag_s = max(0.0, (now - behind.oldest_at).total_seconds())
                done = replicate(
                    repository, replica, is_pruned=self._is_prunable, on_progress=on_progress
                )
                self._is_prunable = False
                for flaw in done.flaws:
                    self._mend(repository, flaw.name, flaw.what)
        except ResileError as exc:
            self._note_unreachable(replica.url, exc)
            raise
        was_unreachable = self._unreachable.pop(replica.url, "") != ""
        if done.copied or was_unreachable:
            self._tell.tell(
                StoreReplicated(
                    place=repository.backend.url,
                    replica=replica.url,
                    copied=done.copied,
                    copied_bytes=done.copied_bytes,
                    lag_s=self.lag_s,
                )
            )
        self.lag_s = 0.0

    def scrub(self, name: str, one: Pass) -> tuple[Pass, int]:
        """Read the next piece of a place; give how far its pass is now, and how much was read.

        Raises:
            ResileError: If it cannot be read.
        """
        if one.is_over or one.began_at is None:
            one = Pass(began_at=self._clock.now())
            self._scrubs.pop(name, None)
        try:
            with self._store.opened(is_fresh=False) as repository:
                step = self._step(name, one, repository)
                one = _further(one, step)
                if step.flaws or step.is_over:
                    repository.refresh()
                for flaw in step.flaws:
                    self._handle(name, repository, flaw.name, flaw.what)
                if step.is_over:
                    self._tell_over(name, repository, one)
        except ResileError as exc:
            self._note_unreachable(self._urls[name], exc)
            raise
        self._unreachable.pop(self._urls[name], "")
        return one, step.size_bytes

    def _step(self, name: str, one: Pass, repository: Repository) -> Step:
        scrub = self._scrubs.get(name)
        if scrub is None:
            backend = self._backend(name, repository)
            scrub = self._scrubs[name] = Scrub(backend, position=one.position)
        return scrub.step()

    def _backend(self, name: str, repository: Repository) -> Backend:
        return self._replica if name == REPLICA and self._replica else repository.backend

    def _handle(self, name: str, repository: Repository, file: str, what: str) -> None:
        if name == STORE:
            self._mend(repository, file, what)
        else:
            self._mend_replica(repository, file, what)

    def _mend(self, repository: Repository, file: str, what: str) -> None:
        """Mend a file of the store: bit for bit, or else as much of what it held as there is."""
        place, began_s = repository.backend.url, self._clock.monotonic()
        self.damage_found += 1
        self._tell.tell(StoreDamaged(place=place, file=file, what=what))
        replicas: Sequence[Backend] = [self._replica] if self._replica else []
        done = mend_file(repository, file, replicas=replicas)
        if done is not None:
            self._tell_mended(place, file, done.origin, began_s)
            return
        repaired = repair(repository, replicas=replicas)
        for live in repaired.live:
            if live.unread:
                fields = {"folder": live.source, "unread": len(live.unread)}
                logger.warning("storekeeper.not_all_read_again", extra=fields)
        for one in repaired.mended:
            if one.origin is not Origin.NONE:
                self._tell_mended(place, one.name, one.origin, began_s)
        self._tell_lost(repository)

    def _mend_replica(self, repository: Repository, file: str, what: str) -> None:
        if self._replica is None:
            return
        place, began_s = self._replica.url, self._clock.monotonic()
        self.damage_found += 1
        self._tell.tell(StoreDamaged(place=place, file=file, what=what))
        try:
            mend_replica(self._replica, repository, file)
        except StoreDamagedError as exc:
            logger.warning("storekeeper.not_mended", extra={"file": file, "reason": exc.message})
            return
        self._tell_mended(place, file, Origin.REPLICA, began_s)

    def _tell_mended(self, place: str, file: str, origin: Origin, began_s: float) -> None:
        self.damage_mended += 1
        duration_s = self._clock.monotonic() - began_s
        self._tell.tell(
            StoreMended(place=place, file=file, origin=origin.value, duration_s=duration_s)
        )

    def _tell_lost(self, repository: Repository) -> int:
        """Tell what cannot be restored, if anything; give the number of flaws."""
        found = verify(repository)
        if found.affected:
            first = found.affected[0]
            self._tell.tell(
                StoreLost(
                    place=repository.backend.url,
                    paths=len(found.affected),
                    first=first.path.decode("utf-8", "backslashreplace"),
                )
            )
        return len(found.flaws)

    def _tell_over(self, name: str, repository: Repository, one: Pass) -> None:
        """Tell the end of a pass, if there was anything; of the store, with what its structure says."""
        if not one.files:
            return
        flaws = self._tell_lost(repository) if name == STORE else 0
        began_at = one.began_at or self._clock.now()
        self._tell.tell(
            StoreVerified(
                place=self._urls[name],
                is_full=True,
                files=one.files,
                bytes=one.bytes,
                flaws=flaws,
                duration_s=max(0.0, (self._clock.now() - began_at).total_seconds()),
            )
        )

    def _note_unreachable(self, place: str, error: ResileError) -> None:
        """Tell it once for each reason."""
        if self._unreachable.get(place) != error.message:
            self._unreachable[place] = error.message
            self._tell.tell(StoreUnreachable(place=place, reason=error.message))


def _further(one: Pass, step: Step) -> Pass:
    return replace(
        one,
        position="" if step.is_over else step.position,
        is_over=step.is_over,
        files=one.files + step.files,
        bytes=one.bytes + step.size_bytes,
        flaws=one.flaws + len(step.flaws),
    )
