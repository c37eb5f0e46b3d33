"""What can be told from one access at once, and the little that has to be remembered for it.

Nothing here depends on chance: the same accesses raise the same signals.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum

from resile.core.units import format_duration
from resile.core.vocabulary import AccessOutcome, SecretStage
from resile.secrets.anomaly.model import HOUR_S, SERVICE, Access, Settings, Sign, Signal

NAMES_MAX = 1000
"""So many different names of an hour are told apart; that is more than anybody needs."""
LATEST_MAX = 5
FAILING_MAX = 64
"""Of so many secrets the failed logins are counted."""
_BREADTH_KEPT = 0.999
"""Of its own maximum, in each hour: after a month without, half of it."""
_BREADTH_GROWTH = 1.25
_REFUSED = (AccessOutcome.DENIED, AccessOutcome.UNKNOWN)


class Trait(StrEnum):
    """What a client is known by, besides its name."""

    UID = "uid"
    PROGRAM = "program"
    HOME = "home"


_UNKNOWN = {
    Trait.UID: (Signal.UNKNOWN_UID, "runs as user {}"),
    Trait.PROGRAM: (Signal.UNKNOWN_PROGRAM, "runs as {}"),
    Trait.HOME: (Signal.UNKNOWN_HOME, "runs in {}"),
}


def traits_of(access: Access) -> dict[Trait, str]:
    """Tell what a client is known by; nothing of what nobody could tell."""
    found = {Trait.UID: str(access.uid), Trait.PROGRAM: access.program, Trait.HOME: access.home}
    return {trait: value for trait, value in found.items() if value}


def of_access(access: Access, settings: Settings) -> Iterator[Sign]:
    """Yield what one access shows without anything being known of its client."""
    if access.name in settings.canaries:
        yield Sign(
            signal=Signal.CANARY,
            why=f"it asked for {access.name}, which nobody needs",
            names=(access.name,),
        )
    is_by_number = access.version_number not in ("", *SecretStage)
    if access.outcome is AccessOutcome.REVOKED and is_by_number:
        is_service = access.client.startswith(SERVICE)
        yield Sign(
            signal=Signal.RETIRED_VERSION if is_service else Signal.RETIRED_ASKED,
            why=f"it asked for version {access.version_number} of {access.name}, which is retired",
            names=(access.name,),
        )


def of_traits(access: Access, known: Mapping[str, AbstractSet[str]]) -> Iterator[Sign]:
    """Yield what is new about a client that is known."""
    for trait, value in traits_of(access).items():
        if known.get(trait) and value not in known[trait]:
            signal, sentence = _UNKNOWN[trait]
            yield Sign(
                signal=signal,
                why=f"it {sentence.format(value)}, as never before",
                names=(access.name,),
            )


def first_seen(access: Access, *, is_first_client: bool) -> Sign:
    """Tell of a secret that a client was never given before."""
    why = f"it was given {access.name} for the first time"
    if is_first_client:
        why = f"it is new, and was given {access.name}"
    return Sign(signal=Signal.FIRST_SEEN, why=why, names=(access.name,))


class Conduct:
    """What a client did lately. Not thread-safe. It is not kept: a restart forgets an hour.

    Args:
        settings: What is too much.
        breadth: Its own maximum of different secrets in an hour.
    """

    def __init__(self, settings: Settings, breadth: float = 0.0) -> None:
        self.breadth = breadth
        self._settings = settings
        self._refused: deque[float] = deque(maxlen=settings.denials)
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._asked: OrderedDict[str, float] = OrderedDict()
        self._breadth_high = 0
        self._is_too_broad = False

    def asked(self, access: Access, at_s: float) -> Iterator[Sign]:
        """Take an access in; yield what is too much of it."""
        if access.outcome in _REFUSED:
            yield from self._was_refused(access, at_s)
        self._asked[access.name] = at_s
        self._asked.move_to_end(access.name)
        yield from self._is_broad(at_s)

    def latest(self) -> tuple[str, ...]:
        """Name a few secrets that it asked for within the hour, the latest last."""
        return tuple(self._asked)[-LATEST_MAX:]

    def failed(self, name: str, at_s: float) -> Iterator[Sign]:
        """Take a failed login in; yield whether they repeat."""
        settings = self._settings
        times = self._failures.setdefault(name, deque(maxlen=settings.failures))
        self._failures.move_to_end(name)
        if len(self._failures) > FAILING_MAX:
            self._failures.popitem(last=False)
        times.append(at_s)
        if _is_burst(times, settings.failures_within_s):
            within = format_duration(settings.failures_within_s)
            yield Sign(
                signal=Signal.AUTH_FAILURES,
                why=f"{settings.failures} logins with {name} failed within {within}",
                names=(name,),
            )

    def end_hour(self, *, is_learning: bool) -> None:
        """Learn how many different secrets were asked for in the hour that is over.

        One in which there were too many teaches a quarter more than was usual, unless all is learnt yet: so a
        client that has come to need more is usual after some hours.
        """
        high = float(self._breadth_high)
        if self._is_too_broad and not is_learning:
            high = min(high, max(self.breadth, 1.0) * _BREADTH_GROWTH)
        self.breadth = max(self.breadth * _BREADTH_KEPT, high)
        self._breadth_high, self._is_too_broad = 0, False

    def _was_refused(self, access: Access, at_s: float) -> Iterator[Sign]:
        settings = self._settings
        self._refused.extend([at_s] * min(access.count, settings.denials))
        if _is_burst(self._refused, settings.denials_within_s):
            within = format_duration(settings.denials_within_s)
            yield Sign(
                signal=Signal.DENIALS,
                why=f"{settings.denials} questions were refused within {within}, the last for "
                f"{access.name}",
                names=(access.name,),
            )

    def _is_broad(self, at_s: float) -> Iterator[Sign]:
        while self._asked:
            oldest = next(iter(self._asked))
            if at_s - self._asked[oldest] < HOUR_S and len(self._asked) <= NAMES_MAX:
                break
            del self._asked[oldest]
        count, usual = len(self._asked), self.breadth
        self._breadth_high = max(self._breadth_high, count)
        if count >= self._settings.breadth_min and count > self._settings.breadth_factor * usual:
            why = f"it asked for {count} secrets in an hour, at most {usual:.0f} before"
            self._is_too_broad = True
            yield Sign(signal=Signal.BREADTH, why=why, names=self.latest())


def _is_burst(times: deque[float], within_s: float) -> bool:
    """Tell whether as many as are kept lie within so many seconds; a clock set back makes none."""
    return len(times) == times.maxlen and 0 <= times[-1] - times[0] <= within_s
