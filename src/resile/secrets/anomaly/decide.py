"""Decide from what was seen of a client how bad that is, and what is to be done. Pure.

1. Each signal has a weight. Of one sort only the heaviest counts: a deploy brings a new program, a new
   user and new secrets all at once, and is one novelty. Sorts add up as independent chances do.
2. The ladder: below 50 log, from 50 alert, from 65 step up, from 80 rotate what the client has read.
3. From 80 on it is quarantined instead if what is no statistic comes to 50 alone. A canary, or a
   version that was retired, has 100 and so quarantines at once.
4. What does not count (the watch or the client is still learnt, or is in maintenance) is scored, and only
   logged. A canary, retired credentials, and a damaged memory always count.

How often it may be rotated for this is not decided here: whoever rotates asks its budget.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from resile.core.vocabulary import SecretResponse
from resile.secrets.anomaly.model import Signal

ALERT_FROM = 50.0
STEP_UP_FROM = 65.0
ROTATE_FROM = 80.0
_CERTAIN = 100.0


class _Sort(StrEnum):
    """Signals of one sort have one cause, as a rule."""

    PROOF = "proof"
    NOVELTY = "novelty"
    REFUSAL = "refusal"
    REACH = "reach"
    RATE = "rate"
    WATCH = "watch"


_WEIGHTS = {
    Signal.CANARY: (_Sort.PROOF, _CERTAIN),
    Signal.RETIRED_VERSION: (_Sort.PROOF, _CERTAIN),
    # Mostly a new grant, which was journalled by who gave it.
    Signal.FIRST_SEEN: (_Sort.NOVELTY, 30.0),
    # An upgrade, or a move: suspicious beside something else.
    Signal.UNKNOWN_PROGRAM: (_Sort.NOVELTY, 45.0),
    Signal.UNKNOWN_HOME: (_Sort.NOVELTY, 45.0),
    # A service rarely changes its user.
    Signal.UNKNOWN_UID: (_Sort.NOVELTY, 60.0),
    # Mostly a rotation that a client has not noticed.
    Signal.AUTH_FAILURES: (_Sort.REFUSAL, 50.0),
    # An operator may; to cut off the command would leave nobody who could release it.
    Signal.RETIRED_ASKED: (_Sort.REFUSAL, 50.0),
    # A missing grant, or somebody who tries names.
    Signal.DENIALS: (_Sort.REFUSAL, 60.0),
    # A client that was cut off does so, too: asking anew mends it, and the login fails in any case.
    Signal.RETIRED_LOGIN: (_Sort.REFUSAL, 70.0),
    Signal.BREADTH: (_Sort.REACH, 60.0),
    Signal.RATE: (_Sort.RATE, 55.0),
    Signal.FLOOD: (_Sort.RATE, 80.0),
    Signal.MEMORY_LOST: (_Sort.WATCH, 60.0),
}
_ALWAYS = {
    Signal.CANARY,
    Signal.RETIRED_VERSION,
    Signal.RETIRED_LOGIN,
    Signal.MEMORY_LOST,
}
_LEARNT_OF_CLIENT = {
    Signal.UNKNOWN_UID,
    Signal.UNKNOWN_PROGRAM,
    Signal.UNKNOWN_HOME,
    Signal.BREADTH,
    Signal.RATE,
    Signal.FLOOD,
}
"""They compare a client with itself, so it has to be known itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What excuses a client now.

    Args:
        is_learning: The watch has not seen enough of anybody.
        is_new: It has not seen enough of this client.
        is_maintained: The client is in declared maintenance.
    """

    is_learning: bool = False
    is_new: bool = False
    is_maintained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How bad it is, 0 to 100, and what is to be done."""

    score: float
    response: SecretResponse


def is_proof(signal: Signal) -> bool:
    """Tell whether a signal alone is enough for a quarantine."""
    return _WEIGHTS[signal][0] is _Sort.PROOF


def counts(signal: Signal, standing: Standing) -> bool:
    """Tell whether a signal that is raised now has consequences."""
    if signal in _ALWAYS:
        return True
    if standing.is_learning or standing.is_maintained:
        return False
    return not (standing.is_new and signal in _LEARNT_OF_CLIENT)


def decide(signals: Iterable[Signal], *, counted: Iterable[Signal]) -> Verdict:
    """Tell how bad it is that these signals were seen of one client within an hour.

    Args:
        signals: All of them.
        counted: Those of them that counted when they were raised.
    """
    return Verdict(score=score(signals), response=_response(frozenset(counted)))


def score(signals: Iterable[Signal]) -> float:
    """Add up the heaviest signals of each sort, as independent chances."""
    heaviest: dict[_Sort, float] = {}
    for signal in signals:
        sort, weight = _WEIGHTS[signal]
        heaviest[sort] = max(weight, heaviest.get(sort, 0.0))
    rest = prod(1 - weight / _CERTAIN for weight in heaviest.values())
    return round(_CERTAIN * (1 - rest), 1)


def _response(signals: frozenset[Signal]) -> SecretResponse:
    total = score(signals)
    if total >= ROTATE_FROM:
        evidence = score(signals - {Signal.RATE, Signal.FLOOD})
        is_enough = evidence >= ALERT_FROM
        return SecretResponse.QUARANTINE if is_enough else SecretResponse.ROTATE
    if total >= STEP_UP_FROM:
        return SecretResponse.STEP_UP
    return SecretResponse.ALERT if total >= ALERT_FROM else SecretResponse.LOG
