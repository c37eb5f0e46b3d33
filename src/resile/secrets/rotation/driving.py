"""Carry on with one rotation: ask what is next, do it, write it down, until it ends or has to wait."""

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from resile.core.clock import Clock
from resile.core.log_line import log_line
from resile.core.passwords import without_password
from resile.errors import OperationError, RejectedError, ResileError, SecretError
from resile.secrets.model import Consumer
from resile.secrets.port import Consumers, Rotator, WritableProvider
from resile.secrets.rotation.book import Book, ChangedError, Claim
from resile.secrets.rotation.decide import (
    Abort,
    Done,
    Effect,
    End,
    GoOn,
    Perform,
    RollBack,
    Wait,
    decide,
    failed,
    late_ones,
    needs_consumers,
    turned,
)
from resile.secrets.rotation.effects import perform
from resile.secrets.rotation.model import Record
from resile.secrets.rotation.schedule import closure, entry_after, owed_after

logger = logging.getLogger(__name__)

POLL_S: Final = 0.01
"""How soon an acknowledgement is seen; a look costs some 50 microseconds."""
WHY_LENGTH_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a rotation stands when it is left.

    Args:
        record: As the book has it.
        late: Labels of the consumers that it waits for.
    """

    record: Record
    late: tuple[str, ...] = ()


class Driver:
    """Carries on with rotations. Safe to share between threads, each with a claim of its own.

    Args:
        book: Where they stand.
        provider_of: Gives what keeps the secrets.
        rotator_of: Gives the rotator of a secret.
        consumers: Knows who uses them.
        dependents: Gives the secrets that depend on one.
        clock: For times and waits.
        chance: Spreads attempts.
    """

    def __init__(
        self,
        *,
        book: Book,
        provider_of: Callable[[], WritableProvider],
        rotator_of: Callable[[str], Rotator],
        consumers: Consumers,
        dependents: Callable[[str], Iterable[str]],
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._book = book
        self._provider_of = provider_of
        self._rotator_of = rotator_of
        self._consumers = consumers
        self._dependents = dependents
        self._clock = clock
        self._chance = chance
        self.is_closing = False
        """Set, nothing is waited for any more."""

    def drive(self, claim: Claim, *, patience_s: float) -> Stand:
        """Carry on until it ends, or has waited for so long. Blocks.

        Raises:
            LeaseLostError: If somebody else carries on with it.
            SecretError: If the book cannot be written.
        """
        until_s: float | None = None
        asked: dict[str, bool] = {}
        while True:
            record = self._book.read(claim)
            late = self._late(record, asked) if needs_consumers(record) else ()
            now_s = self._clock.monotonic()
            move = decide(record, late=late, now_s=now_s)
            match move:
                case Done():
                    return Stand(record=record)
                case Perform(effect=effect):
                    self._perform(claim, record, effect)
                case Wait():
                    self._alert(claim, record, move)
                    until_s = now_s + patience_s if until_s is None else until_s
                    if now_s >= until_s or self.is_closing:
                        return Stand(record=record, late=move.late)
                    self._clock.sleep(max(min(POLL_S, move.until_s - now_s), 0.0))
                case _:
                    self._turn(claim, record, move)

    def late(self, record: Record) -> tuple[str, ...]:
        """Give the labels of the live consumers that a rotation waits for."""
        if not needs_consumers(record):
            return ()
        return tuple(one.label for one in self._late(record, {}) if one.is_live)

    def _perform(self, claim: Claim, record: Record, effect: Effect) -> None:
        try:
            change = perform(
                effect,
                record,
                provider=self._provider_of(),
                rotator=self._rotator_of(record.name),
                consumers=self._consumers,
            )
        except Exception as exc:  # noqa: BLE001 - rotators are other people's; the book has it
            self._fail(claim, effect, exc)
            return
        at, now_s = self._clock.now(), self._clock.monotonic()
        self._book.change(claim, lambda fresh: change(fresh, at, now_s))

    def _fail(self, claim: Claim, effect: Effect, exc: Exception) -> None:
        trouble = explained(effect, exc)
        fields: dict[str, object] = {"rotation": claim.rotation_id, "why": trouble}
        logger.warning(log_line("rotation.effect_failed", fields), extra=fields)
        now_s, spread = self._clock.monotonic(), self._chance.random()
        self._book.change(
            claim,
            lambda fresh: failed(
                replace(fresh, tries=fresh.tries + 1),
                trouble=trouble,
                is_final=is_final(exc),
                now_s=now_s,
                spread=spread,
            ),
        )

    def _alert(self, claim: Claim, record: Record, wait: Wait) -> None:
        if wait.is_alert and wait.late != record.alerted:
            self._book.change(claim, lambda fresh: replace(fresh, alerted=wait.late))

    def _turn(self, claim: Claim, record: Record, move: GoOn | Abort | RollBack | End) -> None:
        at, now_s = self._clock.now(), self._clock.monotonic()
        after = turned(record, move, at=at, now_s=now_s)
        try:
            self._book.replace(
                claim,
                record,
                after,
                owed=owed_after(after, closure(record.name, self._dependents), at=at),
                entry=lambda entry: entry_after(entry, after, at=at),
            )
        except ChangedError:
            return  # Somebody wants something else of it since: that is decided anew.

    def _late(self, record: Record, asked: dict[str, bool]) -> tuple[Consumer, ...]:
        """Give the consumers that have not acknowledged this version, or a newer one.

        Numbers of versions have no order: which are newer is asked of the provider, once for each.
        """
        holding = self._consumers.holding(record.name)
        known = {"", record.number, record.before}
        strange = {one.version for one in holding} - known - asked.keys()
        if strange:
            newer = self._newer(record)
            asked |= {version: version in newer for version in strange}
        accepted = {record.number, *(version for version, is_newer in asked.items() if is_newer)}
        return late_ones(holding, accepted)

    def _newer(self, record: Record) -> frozenset[str]:
        try:
            numbers = [version.number for version in self._provider_of().history(record.name)]
        except SecretError:
            return frozenset()
        index = numbers.index(record.number) if record.number in numbers else 0
        return frozenset(numbers[:index])


def explained(effect: Effect, exc: Exception) -> str:
    """Say what failed, in a line. Of what is no error of ours only the type: its text may hold a value."""
    if isinstance(exc, ResileError):
        text = without_password(exc.message)
    elif isinstance(exc, TimeoutError):
        text = "it did not answer in time"
    else:
        text = type(exc).__name__
    return " ".join(f"{effect.replace('_', ' ')}: {text}".split())[:WHY_LENGTH_MAX]


def is_final(exc: Exception) -> bool:
    """Tell whether no further attempt mends it."""
    if isinstance(exc, OperationError):
        return not exc.is_transient
    return not isinstance(exc, OSError | RejectedError)
