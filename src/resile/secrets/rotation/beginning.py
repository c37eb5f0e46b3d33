"""Begin a rotation: see that nobody else is at it, and write it down."""

from dataclasses import dataclass
from typing import Final

from resile.core.clock import Clock
from resile.core.ids import new_id
from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import SecretConflictError
from resile.secrets.model import Version
from resile.secrets.port import Rotator, WritableProvider
from resile.secrets.rotation.book import Book, Claim
from resile.secrets.rotation.budget import Budget
from resile.secrets.rotation.effects import history_of
from resile.secrets.rotation.model import Record, Targeted

ID_PREFIX: Final = "rotation"
"""Longer than those of other ids: AWS takes no token below 32 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A rotation that somebody wants.

    Args:
        name: The secret.
        reason: Why.
        who: Who wants it.
        why: In words.
        deadline_s: compromise: how long consumers may take.
        is_dependent: It follows from another secret's rotation.
        repeats: So many before it were aborted.
    """

    name: str
    reason: RotationReason
    who: str
    why: str
    deadline_s: float
    is_dependent: bool = False
    repeats: int = 0


def begin(
    wish: Wish,
    *,
    book: Book,
    provider: WritableProvider,
    rotator: Rotator,
    budget: Budget,
    clock: Clock,
) -> Claim:
    """Begin what is wished for, durably. Nothing else is changed.

    Raises:
        SecretConflictError: If another rotation is open, or another tool is at it.
        RateLimitedError: If it is for what looks odd, and too many were.
        SecretError: If the provider, or the book, fails.
    """
    history = history_of(provider, wish.name)
    _refuse_candidates(book, provider, wish.name, history)
    if wish.reason is not RotationReason.COMPROMISE:
        _refuse_unfinished(book, wish.name, history)
    record = first_record(wish, rotator, current_of(history), book=book, clock=clock)
    is_odd = wish.reason is RotationReason.ANOMALY
    now = clock.now()
    return book.begin(
        record,
        allow=(lambda begun: budget.check(begun, wish.name, now)) if is_odd else None,
    )


def first_record(
    wish: Wish, rotator: Rotator | None, before: str, *, book: Book, clock: Clock
) -> Record:
    """Give the record of a rotation that begins now; `rotator` is None for one that cannot."""
    now = clock.now()
    return Record(
        rotation_id=new_id(ID_PREFIX, at=now),
        name=wish.name,
        target=_target_of(rotator) or wish.name,
        rotator="" if rotator is None else rotator.kind,
        reason=wish.reason,
        who=wish.who,
        why=wish.why,
        deadline_s=wish.deadline_s,
        began_at=now,
        began_s=clock.monotonic(),
        boot=book.boot,
        before=before,
        is_dependent=wish.is_dependent,
        repeats=wish.repeats,
    )


def _target_of(rotator: object) -> str:
    return rotator.target if isinstance(rotator, Targeted) else ""


def current_of(history: tuple[Version, ...]) -> str:
    """Give the number of the current version; empty if there is none."""
    return next((one.number for one in history if one.stage is SecretStage.CURRENT), "")


def _refuse_candidates(
    book: Book, provider: WritableProvider, name: str, history: tuple[Version, ...]
) -> None:
    """Refuse a secret that another tool is about to rotate; what we ourselves left is removed."""
    for version in history:
        if version.stage is not SecretStage.PENDING:
            continue
        left = book.find(version.token) if version.token else None
        if left is not None and left.outcome is not None:
            provider.discard(name, token=version.token)
        elif left is None:
            raise SecretConflictError(
                f"{name} has a candidate, version {version.number}, that this book knows nothing of: "
                "another tool is rotating it, or was cut off",
                hint=f"let it finish, or destroy the candidate: resile secrets revoke {name} "
                f"{version.number}",
            )


def _refuse_unfinished(book: Book, name: str, history: tuple[Version, ...]) -> None:
    """Refuse a secret whose old credential still lives by a rotation of another book.

    Its consumers may be using it, and it may be what this rotation would change.
    """
    by_stage = {version.stage: version for version in reversed(history)}
    current, previous = by_stage.get(SecretStage.CURRENT), by_stage.get(SecretStage.PREVIOUS)
    if current is None or previous is None or not current.token.startswith(f"{ID_PREFIX}_"):
        return
    if book.find(current.token) is None:
        raise SecretConflictError(
            f"a rotation of {name} that this book knows nothing of has not retired version "
            f"{previous.number} yet",
            hint="let it end where it was begun; or, if nothing uses that version any more: "
            f"resile secrets revoke {name} {previous.number}",
        )
