"""Rotate secrets without a failed request: by hand, by the schedule, and for what looks odd."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Final

from resile.core.clock import Clock
from resile.core.events.envelope import Payload
from resile.core.vocabulary import RotationOutcome, RotationReason, RotationStep
from resile.errors import ConfigError, SecretConflictError
from resile.secrets.model import Consumer
from resile.secrets.port import Consumers, Provider, Rotator, WritableProvider
from resile.secrets.rotation.background import Background
from resile.secrets.rotation.beginning import Wish, begin
from resile.secrets.rotation.book import Book, Claim, LeaseLostError
from resile.secrets.rotation.budget import Budget
from resile.secrets.rotation.driving import POLL_S, Driver, Stand
from resile.secrets.rotation.effects import history_of
from resile.secrets.rotation.model import (
    Phase,
    Record,
    RotationReport,
    RotationSpec,
    RotationView,
)
from resile.secrets.rotation.planning import plan
from resile.secrets.rotation.schedule import next_at
from resile.secrets.rotation.stepping import Stepper
from resile.secrets.rotation.views import report_of, view_of

PATIENCE_S: Final = 10.0
"""So long a call waits for consumers; then the rotation goes on by itself when they acknowledge."""
PATIENCE_S_MAX: Final = 60.0
"""A call waits for a deadline up to this long."""
CLOSE_S: Final = 5.0
ENDED_SHOWN: Final = 50
_CAN_BE_UNDONE: Final = (
    RotationStep.BEGUN,
    RotationStep.PREPARED,
    RotationStep.SET,
    RotationStep.VERIFIED,
    RotationStep.PROMOTED,
)

RotatorOf = Callable[[str], Rotator | None]


class Rotations:
    """The rotations of one state folder. Safe to share between threads; other processes may have theirs.

    What is begun goes on until it ends, over the death of any process: call `resume` when one starts,
    and `step_due` about once a second, and when a consumer has acknowledged.

    Args:
        provider: Keeps the secrets; one that cannot be written to can do dry runs only.
        rotators: The rotator of each secret, or what gives it; None for one that is not rotated. One
            with an attribute `target` names what it changes, so that no two secrets change it at once.
        book: Where rotations stand.
        consumers: Knows who uses what; None if nobody does, as without a daemon: then nobody is waited for.
        tell: Gets what happened, when it is durable in the book; in a thread of its own, each event at
            least once. It may block and fail.
        clock: For times and waits.
        random: Spreads attempts.
        specs: When each secret is rotated. One that is not named here is rotated only when somebody asks.
        budget: Of rotations for what looks odd.
        dependents: Gives the secrets that are rotated, too, when one is compromised: those whose
            credential was made with it.
    """

    def __init__(
        self,
        provider: Provider,
        rotators: Mapping[str, Rotator] | RotatorOf,
        *,
        book: Book,
        consumers: Consumers | None,
        tell: Callable[[Payload], None],
        clock: Clock,
        random: Random,
        specs: Mapping[str, RotationSpec] | None = None,
        budget: Budget | None = None,
        dependents: Callable[[str], Iterable[str]] = lambda _: (),
    ) -> None:
        self._provider = provider
        self._rotators = rotators.get if isinstance(rotators, Mapping) else rotators
        self._book = book
        self._consumers = consumers
        self._clock = clock
        self._specs = dict(specs or {})
        self._budget = budget or Budget()
        self._background = Background(book, tell)
        self._driver = Driver(
            book=book,
            provider_of=self._writable,
            rotator_of=self._rotator,
            consumers=consumers or _Nobody(),
            dependents=dependents,
            clock=clock,
            chance=random,
        )
        self._stepper = Stepper(
            book, self._specs, begin=self._begin, drive=self._drive, clock=clock
        )

    def rotate(
        self,
        name: str,
        *,
        reason: RotationReason,
        who: str,
        why: str = "",
        deadline_s: float | None = None,
        is_dry: bool = False,
    ) -> RotationReport:
        """Rotate a secret. Blocks until that ends, or has waited for consumers for ten seconds.

        A compromise goes before a rotation of the secret that is open: it makes that one go on at its
        deadline, and begins anew after it, unless that one's candidate was given to nobody yet.

        Args:
            name: The secret.
            reason: Why. Only a compromise cuts consumers off.
            who: Who wants it.
            why: In words.
            deadline_s: compromise: how long consumers may take. Default: as specified, or 3.
            is_dry: Only say what would be done, and what may go wrong.

        Raises:
            ConfigError: If it has no rotator, or the provider takes no new values.
            SecretConflictError: If a rotation of it is open, or another tool is at it.
            RateLimitedError: If it is for what looks odd, and too many were.
            SecretError: If the provider or the book fails before anything has begun. What fails later is
                in the report.
        """
        spec = self._specs.get(name, RotationSpec())
        wish = Wish(
            name=name,
            reason=reason,
            who=who,
            why=why,
            deadline_s=spec.deadline_s if deadline_s is None else deadline_s,
        )
        if is_dry:
            return self._plan(wish)
        open_one = self._book.open_of(name)
        if open_one is not None and reason is RotationReason.COMPROMISE:
            hastened = self._hasten(open_one, wish)
            if hastened is not None:
                return hastened
        report = self._drive(self._begin(wish), _patience_s(wish))
        if reason is RotationReason.COMPROMISE:
            self._stepper.pay(self._clock.now(), patience_s=_patience_s(wish))
        return report

    def rollback(self, name: str, *, who: str, why: str = "") -> RotationReport:
        """Undo the rotation of a secret that is open: the old value is current again, as a new version.

        One whose candidate is not current yet is aborted. Blocks as `rotate` does.

        Raises:
            SecretConflictError: If none is open, or the old credential may be dead already.
        """
        open_one = self._book.open_of(name)
        if open_one is None:
            raise SecretConflictError(
                f"no rotation of {name} is open that could be undone",
                hint=f"rotate it anew: resile secrets rotate {name}",
            )
        said = f"called off by {who}" + (f": {why}" if why else "")
        self._book.amend(open_one.rotation_id, lambda record: _unwanted(record, said))
        return self._follow(open_one.rotation_id, PATIENCE_S)

    def resume(self, *, patience_s: float = 0.0) -> tuple[RotationReport, ...]:
        """Go on with what a process left that is dead; give the reports of what was gone on with.

        Args:
            patience_s: How long to wait for the consumers of each. Default: not; `step_due` goes on.
        """
        self._background.poke()
        return self._stepper.carry_on(patience_s=patience_s)

    def step_due(self, now: datetime, *, is_beginning: bool = True) -> tuple[RotationReport, ...]:
        """Go on with what waits, and begin what is due or owed; give the reports of what moved.

        Waits for nobody. Of scheduled ones at most one begins in ten seconds.

        Args:
            now: Wall-clock.
            is_beginning: Rotations may begin. Default; else those that are open go on alone.
        """
        return self._stepper.step(now, is_beginning=is_beginning)

    def due(self, now: datetime) -> tuple[str, ...]:
        """Give the secrets whose scheduled rotation is due, the most overdue first."""
        return self._stepper.due(now)

    def next_at(self, name: str) -> datetime | None:
        """Tell when a secret is rotated next; None if it is not by itself."""
        spec = self._specs.get(name)
        if spec is None:
            return None
        return next_at(name, spec, self._book.agenda.entries((name,))[name])

    def open(self) -> tuple[RotationView, ...]:
        """Give the rotations that are open, the oldest first."""
        return tuple(self._view(record) for record in self._book.open_ones())

    def ended(self, limit: int = ENDED_SHOWN) -> tuple[RotationView, ...]:
        """Give the last rotations that are over, the newest first."""
        return tuple(self._view(record) for record in self._book.ended(limit))

    def settle(self) -> bool:
        """Tell all events that are not told yet, now; False if one could not be told."""
        return self._background.settle()

    def close(self) -> None:
        """Wait for consumers no more, and tell what is left, for up to 5 s. What is open stays so."""
        self._driver.is_closing = True
        self._background.close(CLOSE_S)

    # How ----------------------------------------------------------------------------------------

    def _begin(self, wish: Wish) -> Claim:
        return begin(
            wish,
            book=self._book,
            provider=self._writable(),
            rotator=self._rotator(wish.name),
            budget=self._budget,
            clock=self._clock,
        )

    def _drive(self, claim: Claim, patience_s: float) -> RotationReport:
        """Carry on with a rotation by a claim, which ends with this."""
        self._background.hold(claim)
        try:
            stand = self._driver.drive(claim, patience_s=patience_s)
        except LeaseLostError:
            record = self._book.find(claim.rotation_id)
            raise SecretConflictError(
                f"another process has taken over rotation {claim.rotation_id}, "
                f"of {record.name if record else 'a secret'}",
                hint="it goes on there",
            ) from None
        finally:
            self._background.drop(claim)
            self._book.release(claim)
            self._background.poke()
        return self._report(stand)

    def _follow(self, rotation_id: str, patience_s: float) -> RotationReport:
        """See an open rotation through, whoever carries on with it."""
        until_s = self._clock.monotonic() + patience_s
        while True:
            if (claim := self._book.claim(rotation_id)) is not None:
                return self._drive(claim, max(until_s - self._clock.monotonic(), 0.0))
            record = self._book.find(rotation_id)
            if record is None:
                raise SecretConflictError(f"rotation {rotation_id} is not known any more")
            if record.outcome is not None or self._clock.monotonic() >= until_s:
                return self._report(Stand(record=record, late=record.alerted))
            self._clock.sleep(POLL_S)

    def _hasten(self, open_one: Record, wish: Wish) -> RotationReport | None:
        """Let an open rotation end at the deadline; None if another one has to follow it."""

        def hastened(record: Record) -> Record:
            return replace(record, reason=wish.reason, why=wish.why, deadline_s=wish.deadline_s)

        try:
            found = self._book.amend(open_one.rotation_id, hastened)
        except SecretConflictError:
            return None  # It has just ended.
        is_secret = found.phase is Phase.FORWARD and found.step in _CAN_BE_UNDONE[:-1]
        report = self._follow(open_one.rotation_id, _patience_s(wish))
        if report.outcome is None or (is_secret and report.outcome is RotationOutcome.ROTATED):
            return report
        return None

    def _plan(self, wish: Wish) -> RotationReport:
        return plan(
            wish.name,
            self._rotator(wish.name),
            reason=wish.reason,
            deadline_s=wish.deadline_s,
            history=history_of(self._writable(), wish.name),
            holding=None if self._consumers is None else self._consumers.holding(wish.name),
            open_one=self._book.open_of(wish.name),
        )

    def _rotator(self, name: str) -> Rotator:
        rotator = self._rotators(name)
        if rotator is None:
            raise ConfigError(
                f"secret {name!r} has no rotator", hint=f'give it one: [secret."{name}".rotator]'
            )
        return rotator

    def _writable(self) -> WritableProvider:
        if not isinstance(self._provider, WritableProvider):
            raise ConfigError(
                f"the provider {self._provider.kind} takes no new values",
                hint="secrets are rotated in local, vault and aws",
            )
        return self._provider

    def _report(self, stand: Stand) -> RotationReport:
        at, now_s = self._clock.now(), self._clock.monotonic()
        return report_of(stand.record, stand.late, at=at, now_s=now_s)

    def _view(self, record: Record) -> RotationView:
        late = self._driver.late(record) if record.outcome is None else ()
        return view_of(record, late, at=self._clock.now(), now_s=self._clock.monotonic())


class _Nobody:
    """The consumers where nobody knows them."""

    def holding(self, _: str) -> tuple[Consumer, ...]:
        return ()

    def tell(self, _: str, __: str) -> None: ...

    def revoke(self, _: str, __: str) -> None: ...


def _unwanted(record: Record, said: str) -> Record:
    if record.phase is Phase.FORWARD and record.step not in _CAN_BE_UNDONE:
        raise SecretConflictError(
            f"the rotation of {record.name} is {record.step}: the old credential may be dead already",
            hint=f"let it end, and rotate anew: resile secrets rotate {record.name}",
        )
    return replace(record, unwanted=said) if record.phase is Phase.FORWARD else record


def _patience_s(wish: Wish) -> float:
    """A compromise is waited for until its deadline, and a little longer."""
    if wish.reason is not RotationReason.COMPROMISE:
        return PATIENCE_S
    return min(max(PATIENCE_S, wish.deadline_s + 1), PATIENCE_S_MAX)
