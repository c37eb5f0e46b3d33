"""Read the rules by which secrets are rotated: RRULE of RFC 5545, in UTC. Pure."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from resile.core.recurrence import RULE_HINT, is_rule
from resile.errors import ConfigError

_HORIZON: Final = timedelta(days=4000)
"""Above the longest interval. A rule that has no time within it never comes."""
_SOME_TIME: Final = datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def check_rule(rule: str) -> None:
    """Refuse a rule that cannot be read, ends, or comes more often than once an hour.

    Raises:
        ConfigError: If it is so.
    """
    if not is_rule(rule):
        raise ConfigError(f"{rule!r} is no rule for rotations", hint=RULE_HINT)
    next_by_rule(rule, _SOME_TIME, _SOME_TIME)


@lru_cache(maxsize=1024)
def next_by_rule(rule: str, anchor: datetime, since: datetime) -> datetime | None:
    """Give the first time of a rule after another; None if there is none in eleven years.

    Args:
        rule: The rule.
        anchor: What intervals are counted from, and what it leaves open is taken from.
        since: After this.

    Raises:
        ConfigError: If it cannot be read.
    """
    from dateutil.rrule import rrulestr

    try:
        bounded = rrulestr(rule, dtstart=anchor).replace(until=since + _HORIZON)  # type: ignore[union-attr]
        found: datetime | None = bounded.after(since)
    except (ValueError, TypeError, AttributeError) as exc:
        raise ConfigError(f"{rule!r} is no rule for rotations: {exc}", hint=RULE_HINT) from exc
    return found
