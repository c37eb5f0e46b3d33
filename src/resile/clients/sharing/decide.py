"""Whose word counts for a shared breaker, and what a process makes of it. Pure.

The keeper takes an opening unless it is open already and its time is not over: whoever is late does
not begin the time anew. It takes a closing only of who knew the last word.

A process that hears of an opening opens, too. The one that claimed it probes first, the others a
little later: by then they mostly have heard what came of it.
"""

from enum import Enum, auto
from typing import Final, NamedTuple

from resile.clients.sharing.model import Claim, Held, Record
from resile.policies.breaker import BreakerMode, BreakerState
from resile.policies.circuit import CircuitView

PROBE_LATER_S: Final = 1.0
"""A probe, and the way of its news by the slowest of the keepers."""


class Do(Enum):
    """What a process does next about one breaker."""

    NOTHING = auto()
    OPEN = auto()
    CLOSE = auto()
    CLAIM_OPEN = auto()
    CLAIM_CLOSED = auto()


class Agreed(NamedTuple):
    """Where a process and the keeper agreed last: the record's generation, and its breaker's turn."""

    generation: int
    turn: int


class Action(NamedTuple):
    """What to do, for how many seconds, and what is agreed if it is done (None: read it anew)."""

    do: Do
    for_s: float = 0.0
    agreed: Agreed | None = None


def arbitrated(held: Held, claim: Claim, owner: str, now_s: float) -> Held:
    """Decide over a claim; give what holds from now on, which may be what held before.

    Args:
        held: What holds.
        claim: What somebody learned.
        owner: Who.
        now_s: Of the keeper's clock.
    """
    if claim.is_open:
        if held.is_open and now_s < held.until_s:
            return held
        until_s = now_s + claim.for_s
        return Held(held.generation + 1, True, until_s, owner, claim.why)
    if not held.is_open or claim.generation != held.generation:
        return held
    return Held(held.generation + 1, False, 0.0, owner, claim.why)


def reconciled(view: CircuitView, record: Record | None, agreed: Agreed | None) -> Action:
    """Decide what a process does about one of its breakers.

    Args:
        view: The breaker.
        record: The keeper's last word; None: it is not known yet.
        agreed: Where both agreed last; None: never, or an operator had the breaker in hand.
    """
    if record is None or view.mode is not BreakerMode.AUTOMATIC:
        return Action(Do.NOTHING)
    if agreed is None or agreed.generation != record.generation:
        return _heard(view, record, agreed)
    is_new = view.turn != agreed.turn
    if view.state is BreakerState.OPEN and is_new:
        return Action(Do.CLAIM_OPEN, view.left_s, Agreed(record.generation, view.turn))
    if view.state is BreakerState.CLOSED and record.is_open:
        return Action(Do.CLAIM_CLOSED, agreed=agreed)
    return Action(Do.NOTHING, agreed=agreed)


def _heard(view: CircuitView, record: Record, agreed: Agreed | None) -> Action:
    """Decide over a word that is new."""
    now = Agreed(record.generation, view.turn)
    if record.is_open:
        if record.is_mine:
            return Action(Do.NOTHING, agreed=now)
        return Action(Do.OPEN, record.left_s + PROBE_LATER_S, now)
    if view.state is BreakerState.CLOSED:
        return Action(Do.NOTHING, agreed=now)
    is_news = agreed is None or view.turn != agreed.turn
    if view.state is BreakerState.OPEN and is_news:
        return Action(Do.CLAIM_OPEN, view.left_s, now)
    return Action(Do.CLOSE, agreed=now)
