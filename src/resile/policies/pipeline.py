"""Several policies around one call, in the canonical order or as written."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from resile.errors import ConfigError
from resile.policies.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline(Policy):
    """Policies around one call, outermost first.

    Args:
        policies: At least one; none of them a pipeline.
        is_as_written: True if `stack` gave the order, False for the canonical one.
    """

    policies: tuple[Policy, ...]
    is_as_written: bool = False

    def __post_init__(self) -> None:
        kinds = Counter(type(one) for one in self.policies if one.is_single)
        twice = [kind.__name__ for kind, count in kinds.items() if count > 1]
        if twice:
            raise ConfigError(
                f"a pipeline has one {twice[0]}, not two",
                hint="keep one of them; nested guards share the attempts of the outermost anyway",
            )

    def parts(self) -> tuple[Policy, ...]:
        """Give the policies, outermost first."""
        return self.policies


def compose(*policies: Policy) -> Pipeline:
    """Put policies into the canonical order; of equal rank, the one that is written first.

    Outermost first: fallback, cache, total time-out, retry, hedge, breaker, rate limit, bulkhead or
    adaptive limit, time-out of each attempt, chaos.

    Raises:
        ConfigError: If one of them is no policy, or a stack, whose order is as it was written.
    """
    check_policies(policies)
    for one in policies:
        if isinstance(one, Pipeline) and one.is_as_written:
            raise ConfigError(
                "a stack keeps the order in which it was written",
                hint="give all its policies to resile.stack(...)",
            )
    parts = (part for one in policies for part in one.parts())
    return Pipeline(policies=tuple(sorted(parts, key=lambda part: part.position)))


def stack(*policies: Policy) -> Pipeline:
    """Compose policies in the order as written, the first outermost.

    Raises:
        ConfigError: If there is none, or one is no policy.
    """
    if not policies:
        raise ConfigError(
            "a stack of no policies guards nothing",
            hint="write resile.stack(resile.Breaker(), resile.Retry())",
        )
    check_policies(policies)
    parts = tuple(part for one in policies for part in one.parts())
    return Pipeline(policies=parts, is_as_written=True)


def check_policies(given: Iterable[object]) -> None:
    """Refuse what is no policy.

    Raises:
        ConfigError: Naming the first that is none.
    """
    for one in given:
        if not isinstance(one, Policy):
            raise ConfigError(
                f"{one!r} is not a policy",
                hint="compose policies only, such as resile.Retry() + resile.Breaker()",
            )
