"""What is kept of a secret in memory, and until when it is served."""

from dataclasses import dataclass
from enum import Enum
from math import inf

from resile.errors import ConfigError
from resile.secrets.value import Secret

DAY_S = 86_400.0
TTL_S_MAX, STALE_S_MAX = DAY_S, 30 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a secret is served from memory.

    Args:
        ttl_s: So long without asking again, 0 to a day; 0: it is asked for each time. Default 5 min.
        max_stale_s: So much longer while the provider is away, 0 to 30 days. Default 1 h.

    Raises:
        ConfigError: If one of them is out of its range.
    """

    ttl_s: float = 300.0
    max_stale_s: float = 3600.0

    def __post_init__(self) -> None:
        ranges = (("ttl", self.ttl_s, TTL_S_MAX), ("max_stale", self.max_stale_s, STALE_S_MAX))
        for name, value, high in ranges:
            if not 0 <= value <= high:
                raise ConfigError(f"{name} is {value:g} s", hint=f"it may be 0 to {high:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The moments of one value, by the monotonic clock.

    Args:
        refresh_at_s: It is asked for ahead, or its lease renewed; infinite: never.
        fresh_until_s: It is served without asking until then.
        gone_at_s: It is not served any more from then on.
    """

    refresh_at_s: float
    fresh_until_s: float
    gone_at_s: float


class Judgement(Enum):
    """What is to be done when somebody asks."""

    GIVE = "give"
    """It is fresh."""
    GIVE_STALE = "give stale"
    """It is old, and the provider is away: it is being asked in the background."""
    LOAD = "load"
    """Ask the provider first; if it is away, what is old will do."""
    LOAD_ONLY = "load only"
    """Ask the provider; what is old is too old."""


class Upkeep(Enum):
    """What is to be done for a value in the background."""

    NOTHING = "nothing"
    READ = "read"
    RENEW = "renew"
    """Ask for more time for its lease."""
    DROP = "drop"


class Entry:
    """A value in memory. Its times change under the cache's lock; `used_at_s` by whoever takes it.

    Args:
        secret: The value.
        times: Until when it is served.
        loaded_at_s: When the provider gave it, or confirmed it.
        used_at_s: When somebody took it last.
    """

    __slots__ = (
        "confirmed_at_s",
        "failures",
        "fresh_until_s",
        "gone_at_s",
        "is_outdated",
        "loaded_at_s",
        "refresh_at_s",
        "secret",
        "used_at_s",
    )

    def __init__(
        self, secret: Secret, times: Times, *, loaded_at_s: float, used_at_s: float
    ) -> None:
        self.secret = secret
        self.loaded_at_s = loaded_at_s
        self.used_at_s = used_at_s
        self.failures = 0
        """How often the provider was asked in vain since."""
        self.confirmed_at_s = -inf
        """When the provider said last that it is current, though it was refused somewhere."""
        self.is_outdated = False
        """It is known that there is a newer version."""
        self.set(times)

    def set(self, times: Times) -> None:
        """Set when it is refreshed, stale and gone."""
        self.refresh_at_s = times.refresh_at_s
        self.fresh_until_s = times.fresh_until_s
        self.gone_at_s = times.gone_at_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of asking the provider: a secret, or an error.

    Args:
        secret: The value that is to be given; None if there is none.
        error: Why there is none.
        is_stale: The provider is away, and the value is an old one.
    """

    secret: Secret | None = None
    error: Exception | None = None
    is_stale: bool = False
