"""What is done for the values in memory in the background: read ahead, leases, callbacks, farewells."""

import contextlib
import gc
import logging
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final

from resile.core.clock import Clock
from resile.errors import SecretError
from resile.secrets.cache.decide import closes, is_waning, pause_s
from resile.secrets.cache.feed import Feed
from resile.secrets.cache.memory import Memory
from resile.secrets.cache.model import Outcome, Upkeep
from resile.secrets.cache.threads import Job
from resile.secrets.handing import Handing, Settled
from resile.secrets.model import CURRENT_VERSION
from resile.secrets.port import LeasingProvider
from resile.secrets.value import Secret

logger = logging.getLogger(__name__)

STEP_PAUSE_S: Final = 0.05
"""Between two steps: what is due may be in other hands."""
REFUSED_PAUSE_S: Final = 60.0
"""A name that somebody follows and may not have is asked for so often."""


class Upkeeper:
    """Does what is due. One thread calls `step`; the rest is safe to call from any.

    Args:
        memory: The values.
        handing: Who is told of new versions, and who holds old ones.
        leasing: Renews leases; None if there are none.
        feed: Hears which versions are used.
        read_ahead: Asks the provider for a name; gives None if that is being done already.
        submit: Has a job done in a thread that may wait; False if that cannot be now.
        clock: For all times.
    """

    def __init__(
        self,
        memory: Memory,
        handing: Handing,
        leasing: LeasingProvider | None,
        feed: Feed,
        *,
        read_ahead: Callable[[str], Outcome | None],
        submit: Callable[[Job], bool],
        clock: Clock,
    ) -> None:
        self._memory = memory
        self._handing = handing
        self._leasing = leasing
        self._feed = feed
        self._read_ahead = read_ahead
        self._submit = submit
        self._now = clock.monotonic
        self._wanted: dict[str, tuple[float, int]] = {}
        """Followed names that are not in memory: when they are asked for again, and how often that failed."""

    def step(self) -> float:
        """Do what is due; give the seconds until something is due again, infinite if nothing is."""
        self._keep_up(self._memory.due(self._now()))
        self._fetch_followed()
        self._hand_over()
        now_s = self._now()
        next_at_s = min(
            self._memory.next_at_s(),
            self._handing.next_at_s(now_s),
            *(at_s for at_s, _ in self._wanted.values()),
        )
        return max(STEP_PAUSE_S, next_at_s - now_s)

    def want(self, name: str) -> None:
        """Ask for a followed name soon, however long that was to wait."""
        self._wanted.pop(name, None)

    def let_go(self, leases: list[str]) -> None:
        """End leases, as well as that can be done now; they would end by themselves, later."""
        if self._leasing is None:
            return
        for lease_id in leases:
            with contextlib.suppress(SecretError):
                self._leasing.revoke(lease_id)

    def _keep_up(self, due: list[tuple[str, Upkeep]]) -> None:
        for index, (name, what) in enumerate(due):
            error = self._keep(name, what)
            if error is not None:
                rest = [other for other, _ in due[index + 1 :]]
                self._memory.away(error, rest, self._now(), but=name)
                return  # One that fails shows that the provider is away; the others wait with it.

    def _keep(self, name: str, what: Upkeep) -> Exception | None:
        """Do one thing; give the error if the provider is away."""
        if what is Upkeep.DROP:
            self._memory.drop(name)
        elif what is Upkeep.RENEW and self._leasing is not None:
            return self._renew(name, self._leasing)
        elif what is Upkeep.READ:
            return self._read(name)
        return None

    def _read(self, name: str) -> Exception | None:
        outcome = self._read_ahead(name)
        return outcome.error if outcome is not None and outcome.is_stale else None

    def _renew(self, name: str, leasing: LeasingProvider) -> Exception | None:
        """Ask for more time; where there is none, take a new lease before the old one ends."""
        secret = self._memory.value_of(name, self._now())
        if secret is None:
            return None
        try:
            granted_s = leasing.renew(secret.lease_id, for_s=secret.lease_s)
        except Exception as exc:  # noqa: BLE001 - a provider's fault may not stop the upkeep
            if not closes(exc):
                self._memory.fail((name, CURRENT_VERSION), exc, self._now())
                return exc
            granted_s = 0.0
        else:
            self._memory.extend(name, secret.lease_id, granted_s, self._now())
        if not is_waning(granted_s, secret.lease_s):
            return None
        self._memory.changed(name, "", self._now())
        return self._read(name)

    def _fetch_followed(self) -> None:
        """Ask for what somebody follows and is not in memory."""
        followed = [name for name in self._handing.followed() if name not in self._memory.entries]
        for name in set(self._wanted).difference(followed):
            self._wanted.pop(name, None)
        for name in followed:
            at_s, failures = self._wanted.get(name, (-inf, 0))
            if self._now() >= at_s:
                outcome = self._read_ahead(name)
                self._wanted[name] = self._again(outcome, failures + 1)

    def _again(self, outcome: Outcome | None, failures: int) -> tuple[float, int]:
        """Tell when a name that is followed is asked for again."""
        error = None if outcome is None else outcome.error
        if error is None:
            return self._now() + STEP_PAUSE_S, 0
        if closes(error):
            return self._now() + REFUSED_PAUSE_S, failures
        return self._now() + pause_s(failures, error, chance=1.0), failures

    def _hand_over(self) -> None:
        due = self._handing.due(self._now())
        if due.needs_collection:
            gc.collect()  # What it frees nudges us.
        for name in due.calls:
            if not self._submit(partial(self._call, name)):
                self._handing.skip(name, self._now())
        for settled in due.settled:
            self._settle(settled)
        for settled in due.ended:
            self._feed.unwatch(settled.name)
            self.let_go(list(settled.leases))

    def _settle(self, settled: Settled) -> None:
        self._feed.acknowledge(settled.name, settled.version)
        self.let_go(list(settled.leases))

    def _call(self, name: str) -> None:
        secret: Secret | None = self._memory.value_of(name, self._now())
        if secret is None:
            self._handing.skip(name, self._now())
        else:
            self._handing.call(name, secret, self._now())
