"""How long a value is served, when it is refreshed, and what a failure comes to. Pure."""

from math import inf

from resile.errors import (
    ProviderDownError,
    SecretDeniedError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets.cache.model import Entry, Judgement, Terms, Times, Upkeep

AHEAD = 2 / 3
"""The share of its life after which a value is refreshed: early enough to fail some times."""
JITTER = 0.1
"""Processes that started together do not refresh together."""
LEASE_MARGIN = 0.05
"""The last share of a lease: what is taken then could end before it is used."""
LEASE_WANE = 0.5
"""A renewal that grants less than this share of the lease shows that it nears its maximum life."""
AGAIN_S_MIN, AGAIN_S_MAX = 0.25, 2.0
"""A provider that is back is found within two seconds."""
WAIT_S_MAX = 60.0
"""However long a provider asks us to wait."""
ERROR_KEPT_S = 1.0
"""A name that is asked for in vain, by many, is asked for so often."""


def times_of(lease_s: float, terms: Terms, now_s: float, *, jitter: float) -> Times:
    """Tell how long a value is served that was read now.

    A lease stands for the ttl: to read it anew would be another credential.

    Args:
        lease_s: What is left of its lease; 0 if it has none.
        terms: Of values without a lease.
        now_s: When.
        jitter: -1 to 1.
    """
    life_s = lease_s if lease_s > 0 else terms.ttl_s
    ahead_s = life_s * AHEAD * (1 + JITTER * jitter)
    if lease_s > 0:
        return Times(
            refresh_at_s=now_s + ahead_s,
            fresh_until_s=now_s + lease_s * (1 - LEASE_MARGIN),
            gone_at_s=now_s + lease_s,
        )
    return Times(
        refresh_at_s=now_s + ahead_s if terms.ttl_s > 0 else inf,
        fresh_until_s=now_s + terms.ttl_s,
        gone_at_s=now_s + terms.ttl_s + terms.max_stale_s,
    )


def judge(entry: Entry | None, now_s: float, *, is_kept_up: bool) -> Judgement:
    """Tell what to do when a value is asked for.

    Args:
        entry: What is kept; None if nothing is.
        now_s: When.
        is_kept_up: Somebody asks the provider in the background.
    """
    if entry is None or now_s >= entry.gone_at_s:
        return Judgement.LOAD_ONLY
    if now_s < entry.fresh_until_s:
        return Judgement.GIVE
    # Who asks need not wait for a provider that did not answer just now.
    return Judgement.GIVE_STALE if entry.failures and is_kept_up else Judgement.LOAD


def upkeep_of(entry: Entry, now_s: float, *, is_followed: bool, has_leases: bool) -> Upkeep:
    """Tell what a value needs in the background now.

    Args:
        entry: The value.
        now_s: When.
        is_followed: Somebody wants to know of each new version.
        has_leases: The provider can renew.
    """
    if now_s >= entry.gone_at_s:
        return Upkeep.DROP
    if now_s < entry.refresh_at_s:
        return Upkeep.NOTHING
    return _wish_of(entry, is_followed=is_followed, has_leases=has_leases)


def next_at_s(entry: Entry, *, is_followed: bool, has_leases: bool) -> float:
    """Tell when a value needs something next, as far as is known now."""
    wish = _wish_of(entry, is_followed=is_followed, has_leases=has_leases)
    if wish is Upkeep.NOTHING:
        return entry.gone_at_s
    return min(entry.refresh_at_s, entry.gone_at_s)


def _wish_of(entry: Entry, *, is_followed: bool, has_leases: bool) -> Upkeep:
    """Tell what a value needs when it is time.

    A value that nobody took since it was read is left to grow old: else a secret that was needed
    once would be read for ever. A lease is kept all the same, as a connection may live by it.
    """
    if entry.is_outdated:
        return Upkeep.READ
    if has_leases and entry.secret.lease_id:
        return Upkeep.RENEW
    is_used = entry.used_at_s >= entry.loaded_at_s or entry.secret.lease_s > 0
    return Upkeep.READ if is_used or is_followed or entry.failures else Upkeep.NOTHING


def is_waning(granted_s: float, lease_s: float) -> bool:
    """Tell whether a lease comes to its end, however often it is renewed: a new one is needed."""
    return granted_s < lease_s * LEASE_WANE


def closes(error: Exception) -> bool:
    """Tell whether an error means that the value must not be served any more."""
    return isinstance(error, UnknownSecretError | SecretDeniedError | SecretRevokedError)


def pause_s(failures: int, error: Exception, *, chance: float) -> float:
    """Tell how long to wait before the provider is asked again.

    Args:
        failures: How often it failed in a row, from 1 on.
        error: The last one; it may say when to come again.
        chance: 0 to 1; spreads the processes over the upper half of the pause.
    """
    pause = min(AGAIN_S_MIN * 2.0 ** min(failures - 1, 16), AGAIN_S_MAX)
    asked_s = error.retry_after_s if isinstance(error, ProviderDownError) else 0.0
    return max(pause * (0.5 + 0.5 * chance), min(asked_s, WAIT_S_MAX))
