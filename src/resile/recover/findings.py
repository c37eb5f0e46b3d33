"""The small tools of pure decisions: what one finds, how findings come to rest, and made ids."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol, Self, TypeVar

from resile.core.events import Payload, PredictionEnded, PredictionMade
from resile.core.ids import derived_id
from resile.core.vocabulary import FaultKind
from resile.recover.model import Decision

ROUNDS_MAX = 1000
"""A batch of decisions that never comes to rest is a programmer's error; this ends it."""

Finding = Payload | datetime
"""What a decision yields: a payload that is due now, or a time at which to ask again."""


class Projection(Protocol):
    """State that is folded from events."""

    def copy(self) -> Self:
        """Give one that can be folded further without changing this one."""
        ...

    def fold(self, payload: Payload, at: datetime) -> None:
        """Change the state by what happened at `at`."""
        ...


ProjectionT = TypeVar("ProjectionT", bound=Projection)
Stage = Callable[[ProjectionT, datetime], Iterator[Finding]]


def come_to_rest(
    state: ProjectionT, now: datetime, stages: Sequence[Stage[ProjectionT]]
) -> Decision:
    """Ask the stages in order, fold what the first talkative one says into a copy, and again.

    The state is left as it is. The result holds every consequence, so that it can be journalled
    as one unit, and the earliest time after `now` at which any stage wants to be asked again.
    """
    decided: list[Payload] = []
    scratch = state
    for _ in range(ROUNDS_MAX):
        payloads, wake_at = _ask(scratch, now, stages)
        if not payloads:
            return Decision(payloads=tuple(decided), wake_at=wake_at)
        if scratch is state:
            scratch = state.copy()
        for payload in payloads:
            scratch.fold(payload, now)
        decided += payloads
    raise AssertionError(f"no rest after {ROUNDS_MAX} rounds: {decided[-5:]!r}")


def made_id(prefix: str, at: datetime, *parts: object) -> str:
    """Make an id that the same parts always give, so that a replay makes it again."""
    return derived_id(prefix, at=at, seed=_digest(prefix, *parts))


def trouble_id(kind: FaultKind, target: str, detail: str = "") -> str:
    """Name what another part of resile tells is wrong: the same whenever the same thing is seen.

    Args:
        kind: What is wrong.
        target: With what.
        detail: Tells troubles of one kind and target apart.
    """
    words = f"{kind.value}\0{target}\0{detail}".encode("utf-8", "surrogateescape")
    return f"trb_{hashlib.sha256(words).hexdigest()[:16]}"


def prediction_detail(payload: PredictionMade | PredictionEnded) -> str:
    """Tell the predictions of one target apart, for the name of their trouble."""
    return f"{payload.resource} {payload.detail}"


def fraction(*parts: object) -> float:
    """Give a number in [0, 1) that looks random and is always the same for equal parts."""
    return int.from_bytes(_digest(*parts)[:8], "big") / 2**64


def _ask(
    state: ProjectionT, now: datetime, stages: Sequence[Stage[ProjectionT]]
) -> tuple[list[Payload], datetime | None]:
    wakes: list[datetime] = []
    for stage in stages:
        findings = list(stage(state, now))
        payloads = [finding for finding in findings if not isinstance(finding, datetime)]
        if payloads:
            return payloads, None
        wakes += [time for time in findings if isinstance(time, datetime) and time > now]
    return [], min(wakes, default=None)


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
