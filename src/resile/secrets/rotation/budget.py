"""Bound how often a secret is rotated because something looks odd: an alarm must not become an outage."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from resile.errors import RateLimitedError

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many rotations may begin for what looks odd. Others are not counted.

    Args:
        per_day: Of one secret, in 24 hours. Default 3.
        per_hour: Of all secrets together. Default 10.
        cool_down_s: Between two of one secret. Default 15 minutes.
    """

    per_day: int = 3
    per_hour: int = 10
    cool_down_s: float = 900.0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take it from the table `[secrets.guard]`, durations in seconds."""
        return cls(
            per_day=settings["rotations_per_day"],
            per_hour=settings["rotations_per_hour"],
            cool_down_s=settings["cool_down"],
        )

    def check(self, begun: Iterable[tuple[str, datetime]], name: str, now: datetime) -> None:
        """Let a rotation begin, or refuse.

        Args:
            begun: What began in the last day, as name and time.
            name: What is to be rotated.
            now: The time.

        Raises:
            RateLimitedError: If it would be too many; it says when there is room again.
        """
        known = sorted(begun, key=lambda one: one[1])
        own = [at for one, at in known if one == name and now - at < _DAY]
        others = [at for _, at in known if now - at < _HOUR]
        cool_down = timedelta(seconds=self.cool_down_s)
        for times, count_max, window, what in (
            (own, 1, cool_down, f"{name} within {self.cool_down_s:g} s"),
            (own, self.per_day, _DAY, f"{name} within a day"),
            (others, self.per_hour, _HOUR, "all secrets within an hour"),
        ):
            recent = [at for at in times if now - at < window]
            if len(recent) >= count_max:
                free_at = recent[-count_max] + window
                raise RateLimitedError(
                    f"no more than {count_max} rotation(s) of {what} for what looks odd",
                    retry_after_s=(free_at - now).total_seconds(),
                    hint="rotate it by hand if it must be; the numbers are in [secrets.guard]",
                )
