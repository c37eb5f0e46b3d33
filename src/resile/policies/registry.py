"""Guards by name: all that use a name share one guard, and so one state."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError
from resile.policies.bound import CHANCE, Guard
from resile.policies.breaker import Breaker
from resile.policies.breaking import BreakerLayer
from resile.policies.forks import RenewedLock
from resile.policies.pipeline import check_policies, compose
from resile.policies.policy import Policy
from resile.policies.presets import nearest, preset_named
from resile.policies.retry import Retry

if TYPE_CHECKING:
    from resile.policies.sections import Section
    from resile.policies.timeout import Timeout

GUARDS_MAX = 10_000
"""Names are written in code. More of them come from data, and belong into `per`."""

NAME_LENGTH_MAX = 200
"""It stands in errors, labels of metrics and tables; data, which may be longer, belongs into `per`."""


class Registry:
    """Guards by name. Safe to share between threads.

    Args:
        clock: For all that its guards measure or wait.
        chance: For their jitter.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, chance: random.Random = CHANCE) -> None:
        self._clock = clock
        self._chance = chance
        self._lock = RenewedLock()
        self._guards: dict[str, Guard] = {}
        self._in_code: dict[str, Policy] = {}
        """What the code says, which a file may change."""
        self._sections: Mapping[str, Section] = {}
        self._follows: object = None
        self._refused: Callable[[ConfigError], None] | None = None

    def guard(self, name: str, policy: Policy) -> Guard:
        """Give the guard of a name; make it when the name is new, as a file that is loaded says.

        Raises:
            ConfigError: If the name is no text of 1..200 characters, or is taken with other options,
                or there are too many, or the file has options that do not fit to these.
        """
        _check_name(name)
        with self._lock:
            is_new = name not in self._in_code
            known, refusal = self._shared(name, policy)
            refused = self._refused
        if is_new and refusal is not None and refused is not None:
            refused(refusal)
        return known

    def get(self, name: str) -> Guard:
        """Give a guard that exists, or that a file which is loaded makes.

        Raises:
            ConfigError: If there is none; the nearest name is shown.
        """
        known = self._guards.get(name)
        if known is None and name in self._sections:
            with self._lock:
                return self._guards.get(name) or self._add(name, self._in_force(name, None))
        if known is None:
            raise ConfigError(f"there is no guard {name!r}", hint=nearest(name, self._guards))
        return known

    def breaker(self, name: str) -> BreakerLayer:
        """Give the breaker of a guard.

        Raises:
            ConfigError: If there is no such guard, or it has no breaker.
        """
        return breaker_of(self.get(name))

    def guards(self) -> tuple[Guard, ...]:
        """Give all guards in the order of their names."""
        with self._lock:
            return tuple(self._guards[name] for name in sorted(self._guards))

    def configure(self, sections: "Mapping[str, Section]") -> None:
        """Change all guards as a file says, which are made and which will be; or none of them.

        Raises:
            ConfigError: If options do not fit to those in code; `problems` has all of it.
        """
        with self._lock:
            before, self._sections = self._sections, sections
            changes: list[tuple[Guard, Policy]] = []
            problems: list[str] = []
            for name, known in self._guards.items():
                try:
                    changes.append((known, self._in_force(name, self._in_code.get(name))))
                except ConfigError as error:
                    problems += error.problems
            if problems:
                self._sections = before
                raise ConfigError(
                    f"{len(problems)} settings do not fit to the code: {'; '.join(problems)}",
                    problems=tuple(problems),
                )
            for known, policy in changes:
                _change(known, policy)

    @property
    def follows(self) -> object:
        """Tell which file it follows; None if none."""
        return self._follows

    def follow(
        self, loaded: object, *, refused: Callable[[ConfigError], None] | None = None
    ) -> object:
        """Remember which file it follows now; gives the one before.

        Args:
            loaded: The file.
            refused: Takes why the file cannot hold for a guard that is made later, which then is
                as in code. None: whoever makes the guard gets the error.
        """
        with self._lock:
            before, self._follows, self._refused = self._follows, loaded, refused
            return before

    def _shared(self, name: str, policy: Policy) -> tuple[Guard, ConfigError | None]:
        """Give the guard of a name, and why it is not as the file says; the caller holds the lock."""
        known = self._guards.get(name)
        if known is None:
            wanted, refusal = self._at_first(name, policy)
            known = self._add(name, wanted)
            self._in_code[name] = policy
            return known, refusal
        first = self._in_code.setdefault(name, policy)
        if first.parts() != policy.parts():
            raise ConfigError(
                f"the guard {name!r} exists with other options",
                hint=f"share one: payments = resile.guard({name!r}, ...), or take another name",
                problems=(f"first: {first!r}", f"now: {policy!r}"),
            )
        if first is not policy:
            return known, None
        wanted, refusal = self._at_first(name, policy)
        _change(known, wanted)
        return known, refusal

    def _at_first(self, name: str, policy: Policy) -> tuple[Policy, ConfigError | None]:
        """Give the policies with which a name begins, and why the file's do not hold."""
        try:
            return self._in_force(name, policy), None
        except ConfigError as error:
            if self._refused is None:
                raise
            return policy, error

    def _in_force(self, name: str, policy: Policy | None) -> Policy:
        """Give the policies of a name, as the code and the file say."""
        section = self._sections.get(name)
        if section is None:
            return compose() if policy is None else policy
        return section.applied(policy)

    def _add(self, name: str, policy: Policy) -> Guard:
        """Make a guard; the caller holds the lock."""
        if len(self._guards) >= GUARDS_MAX:
            raise ConfigError(
                f"there are {GUARDS_MAX} guards already",
                hint="for one state for each host or user, write guard.per(key)",
            )
        made = Guard(policy, name=name, clock=self._clock, chance=self._chance, is_counted=True)
        self._guards[name] = made
        return made

    def reset(self, names: Iterable[str] = ()) -> None:
        """Reset breakers and retries of the guards named, or of all."""
        for guard in [self.get(name) for name in names] or self.guards():
            guard.reset()


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH_MAX:
        raise ConfigError(
            f"{name!r:.80} is no name of 1..{NAME_LENGTH_MAX} characters",
            hint='write resile.guard("payments", ...)',
        )


def _checked_breaker(given: object) -> Breaker:
    if not isinstance(given, Breaker):
        raise ConfigError(
            f"breaker: {given!r:.80} is neither a Breaker nor True",
            hint="write breaker=resile.Breaker(failures=5), or breaker=True for its defaults",
        )
    return given


def _change(known: Guard, policy: Policy) -> None:
    if known.policy.parts() != policy.parts():
        known.change(policy)


def breaker_of(guard: Guard) -> BreakerLayer:
    """Give the breaker of a guard.

    Raises:
        ConfigError: If it has none.
    """
    for layer in guard.layers:
        if isinstance(layer, BreakerLayer):
            return layer
    raise ConfigError(
        f"the guard {guard.name!r} has no breaker",
        hint=f"write resile.guard({guard.name!r}, breaker=True, ...)",
    )


REGISTRY = Registry()
"""The guards of this process."""


def guard(
    name: str,
    policy: Policy | None = None,
    *,
    preset: str | None = None,
    retry: Retry | int | bool | None = None,
    timeout: "Timeout | float | str | None" = None,
    breaker: Breaker | bool | None = None,
) -> Guard:
    """Give the guard of a name; made when the name is new, shared by all that use it.

    With nothing but the name it gives the guard that exists.

    Args:
        name: Shows in errors, metrics and the dashboard.
        policy: A policy or a pipeline; what follows is added to it.
        preset: One of `resile.presets`, such as "database".
        retry: Attempts at most, or a Retry; True for its defaults.
        timeout: Time of each attempt, as seconds or "2s": for coroutines. For plain functions, which
            cannot be stopped just so, a Timeout that says how, such as Timeout("2s", by="deadline").
        breaker: A Breaker; True for its defaults.

    Raises:
        ConfigError: If an option or the preset is wrong, the name is taken with other options, or
            there is no such guard and no option to make it.
    """
    policies = [policy] if policy is not None else []
    check_policies(policies)
    policies += [preset_named(preset)] if preset is not None else []
    if isinstance(retry, Retry):
        policies.append(retry)
    elif retry is not None and retry is not False:
        policies.append(Retry() if retry is True else Retry(attempts=retry))
    if breaker is not None and breaker is not False:
        policies.append(Breaker() if breaker is True else _checked_breaker(breaker))
    if timeout is not None:
        from resile.policies.timeout import Timeout

        policies.append(timeout if isinstance(timeout, Timeout) else Timeout(timeout))
    if not policies:
        return REGISTRY.get(name)
    return REGISTRY.guard(name, policies[0] if len(policies) == 1 else compose(*policies))


def breaker(name: str) -> BreakerLayer:
    """Give the breaker of a guard, to look at it, to steer it, or for `with`.

    Raises:
        ConfigError: If there is no such guard, or it has no breaker.
    """
    return REGISTRY.breaker(name)


def guards() -> tuple[Guard, ...]:
    """Give all guards of this process in the order of their names."""
    return REGISTRY.guards()
