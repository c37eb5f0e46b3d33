"""Check services that are to be added, and begin their entries with what the journal has of them."""

from collections.abc import Iterable, Mapping, Sequence

from resile.core.clock import Clock
from resile.degradation import decide
from resile.degradation.book import Entry
from resile.degradation.effects import Notify
from resile.degradation.keeping import Keeper
from resile.degradation.model import SERVICES_MAX, Condition, Service
from resile.errors import ConfigError, RejectedError, ServiceDownError
from resile.policies import BreakerLayer, Fallback, Layer
from resile.policies.bound import CHANCE
from resile.policies.registry import breaker


def checked(
    known: Mapping[str, Service], given: Sequence[object]
) -> tuple[tuple[str, ...], dict[str, BreakerLayer]]:
    """Check services against each other.

    Returns:
        All names, each behind what it depends on, and the breakers that some follow.

    Raises:
        ConfigError: If anything is wrong; all of it is told.
    """
    added = [one for one in given if isinstance(one, Service)]
    if len(added) < len(given):
        strange = next(one for one in given if not isinstance(one, Service))
        raise ConfigError(
            f"{strange!r:.80} is no service",
            hint='write resile.Service("database", fallbacks=[...])',
        )
    together = {**known, **{service.name: service for service in added}}
    order, problems = decide.order_of(together)
    found = list(problems)
    if len(together) != len(known) + len(added):
        names = [service.name for service in added]
        twice = sorted({name for name in names if name in known or names.count(name) > 1})
        found.append(f"{', '.join(twice)}: a service of this name is there already")
    if len(together) > SERVICES_MAX:
        found.append(f"{len(together)} services; {SERVICES_MAX} at most")
    breakers = {}
    for service in added:
        if service.guard is not None:
            try:
                breakers[service.name] = breaker(service.guard)
            except ConfigError as exc:
                found.append(f"{service.name}.guard: {exc.message}; {exc.hint}")
    if found:
        raise ConfigError(
            f"{len(found)} {'thing is' if len(found) == 1 else 'things are'} wrong with the "
            "services: " + "; ".join(found),
            hint="services that depend on each other are registered in one call",
            problems=tuple(found),
        )
    return order, breakers


def listed(notify: object) -> tuple[Notify, ...]:
    """Give what is told of notices as a tuple.

    Raises:
        ConfigError: If it is no list of functions.
    """
    told = tuple(notify) if isinstance(notify, Iterable) else None
    if told is None or not all(map(callable, told)):
        raise ConfigError(
            f"notify: {notify!r:.80} is no list of functions of a notice",
            hint="write notify=[resile.Terminal()]",
        )
    return told


def entry_of(
    service: Service, following: BreakerLayer | None, keeper: Keeper | None, clock: Clock
) -> Entry:
    """Make the entry of a service, as the journal left it."""
    kept = None if keeper is None else keeper.newest(service.name)
    condition = Condition()
    if kept is not None:
        condition = decide.restored(kept.state, kept.reason, kept.origin, clock.monotonic())
    return Entry(
        service,
        chain=_chain(service, clock),
        breaker=following,
        condition=condition,
        since=clock.now() if kept is None else kept.at,
    )


def _chain(service: Service, clock: Clock) -> "Layer | None":
    """Make the fallbacks of a service; they answer rejections too, which are nobody's failure."""
    if not service.steps:
        return None
    on = service.on if isinstance(service.on, tuple) else (service.on,)
    policy = Fallback(*service.steps, on=(*on, ServiceDownError, RejectedError))
    return policy.layer(service.name, clock, CHANCE)
