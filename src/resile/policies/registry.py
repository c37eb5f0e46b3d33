"""Guards by name: all that use a name share one guard, and so one state."""

import random
import threading
from collections.abc import Iterable

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError
from resile.policies.bound import CHANCE, Guard
from resile.policies.breaker import Breaker
from resile.policies.breaking import BreakerLayer
from resile.policies.counting import CountingLayer
from resile.policies.pipeline import compose
from resile.policies.policy import Policy
from resile.policies.presets import nearest, preset_named
from resile.policies.retry import Retry
from resile.policies.retrying import RetryLayer

GUARDS_MAX = 10_000
"""Names are written in code. More of them come from data, and belong into `per`."""


class Registry:
    """Guards by name. Safe to share between threads.

    Args:
        clock: For all that its guards measure or wait.
        chance: For their jitter.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, chance: random.Random = CHANCE) -> None:
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._guards: dict[str, Guard] = {}

    def guard(self, name: str, policy: Policy) -> Guard:
        """Give the guard of a name; make it when the name is new.

        Raises:
            ConfigError: If the name is empty, or is taken with other options, or there are too many.
        """
        if not str(name).strip():
            raise ConfigError(f"{name!r} is no name", hint='write resile.guard("payments", ...)')
        with self._lock:
            known = self._guards.get(name)
            if known is None:
                if len(self._guards) >= GUARDS_MAX:
                    raise ConfigError(
                        f"there are {GUARDS_MAX} guards already",
                        hint="for one state for each host or user, write guard.per(key)",
                    )
                known = Guard(
                    policy, name=name, clock=self._clock, chance=self._chance, is_counted=True
                )
                self._guards[name] = known
            elif known.policy.parts() != policy.parts():
                raise ConfigError(
                    f"the guard {name!r} exists with other options",
                    hint=f"share one: payments = resile.guard({name!r}, ...), or take another name",
                    problems=(f"first: {known.policy!r}", f"now: {policy!r}"),
                )
            return known

    def get(self, name: str) -> Guard:
        """Give a guard that exists.

        Raises:
            ConfigError: If there is none; the nearest name is shown.
        """
        known = self._guards.get(name)
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

    def reset(self, names: Iterable[str] = ()) -> None:
        """Reset breakers and retries of the guards named, or of all."""
        for guard in [self.get(name) for name in names] or self.guards():
            for layer in guard.layers:
                if isinstance(layer, BreakerLayer | CountingLayer | RetryLayer):
                    layer.reset()


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
    timeout: float | str | None = None,
    breaker: Breaker | bool | None = None,
) -> Guard:
    """Give the guard of a name; made when the name is new, shared by all that use it.

    With nothing but the name it gives the guard that exists.

    Args:
        name: Shows in errors, metrics and the dashboard.
        policy: A policy or a pipeline; what follows is added to it.
        preset: One of `resile.presets`, such as "database".
        retry: Attempts at most, or a Retry; True for its defaults.
        timeout: Time of each attempt, as seconds or "2s".
        breaker: A Breaker; True for its defaults.

    Raises:
        ConfigError: If an option or the preset is wrong, the name is taken with other options, or
            there is no such guard and no option to make it.
    """
    policies = [policy] if policy is not None else []
    policies += [preset_named(preset)] if preset is not None else []
    if isinstance(retry, Retry):
        policies.append(retry)
    elif retry is not None and retry is not False:
        policies.append(Retry() if retry is True else Retry(attempts=retry))
    if breaker:
        policies.append(breaker if isinstance(breaker, Breaker) else Breaker())
    if timeout is not None:
        from resile.policies.timeout import Timeout

        policies.append(Timeout(timeout))
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
