"""When a remedy will be at its end, told from how long it took before. Pure.

What the same playbook took on the same target tells most; where that was never used there, what it took
on others. The state remembers a bounded number of both (`fold/durations.py`), so that a new brain
expects what the dead one did.

How sure that is, is told with it: the range in which remedies ended before, wider the fewer they were. One that takes
longer than all before has no expected end any more: nothing that was seen speaks for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from resile.recover.facts import Took

QUANTILES_FROM = 10
"""Of fewer samples the least and the most bound what is expected; of more the tenth at either end is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """When something will be at its end.

    Args:
        at: The likely time: half of those before took no longer.
        earliest: It would be the quickest of a few.
        latest: It would be the slowest of a few.
        samples: Of how many remedies before that is told; 0: it follows from what is known already.
        basis: In words, such as "restart took 1.2s on api (median of 7)".
    """

    at: datetime
    earliest: datetime
    latest: datetime
    samples: int
    basis: str

    def after(self, delay_s: float) -> "Expected":
        """Give the same, later."""
        delay = timedelta(seconds=delay_s)
        return Expected(
            at=self.at + delay,
            earliest=self.earliest + delay,
            latest=self.latest + delay,
            samples=self.samples,
            basis=self.basis,
        )


def certain(at: datetime, basis: str) -> Expected:
    """Give an end that follows from what is known."""
    return Expected(at=at, earliest=at, latest=at, samples=0, basis=basis)


def latest_of(ends: Sequence[Expected]) -> Expected:
    """Give the end of several things that go on at once: none of the times may be before another's."""
    last = max(ends, key=lambda end: end.at)
    return Expected(
        at=last.at,
        earliest=max(end.earliest for end in ends),
        latest=max(end.latest for end in ends),
        samples=last.samples,
        basis=last.basis,
    )


def expected_end(
    took: Sequence[Took], playbook: str, target: str, *, begins: Expected, elapsed_s: float = 0.0
) -> Expected | None:
    """Tell when a remedy will be at its end; None if nothing before tells.

    Args:
        took: What remedies took before.
        playbook: The remedy.
        target: What it works on.
        begins: When it begins, or now if it has begun.
        elapsed_s: For how long it has been under way.
    """
    alike = [one.took_s for one in took if (one.playbook, one.target) == (playbook, target)]
    where = f" on {target.partition('/')[2] or target}" if alike else ""
    alike = alike or [one.took_s for one in took if one.playbook == playbook]
    longer = sorted(took_s for took_s in alike if took_s > elapsed_s)
    if not longer:
        return None
    spread = 1.0 + 1.0 / len(alike)
    cut = len(longer) // 10 if len(alike) >= QUANTILES_FROM else 0
    likely_s = longer[len(longer) // 2] if len(longer) % 2 else _middle(longer)
    earliest_s = max(elapsed_s, min(longer[cut] / spread, likely_s))
    latest_s = longer[-1 - cut] * spread
    median_s = sorted(alike)[len(alike) // 2]
    return Expected(
        at=begins.at + timedelta(seconds=likely_s - elapsed_s),
        earliest=begins.earliest + timedelta(seconds=earliest_s - elapsed_s),
        latest=begins.latest + timedelta(seconds=latest_s - elapsed_s),
        samples=len(alike),
        basis=f"{playbook} took {median_s:.3g} s{where} (median of {len(alike)})",
    )


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return (ordered[half - 1] + ordered[half]) / 2
