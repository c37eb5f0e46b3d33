"""The cache beside a model of it, through whatever happens to a provider and its secrets."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.feeding import FakeFeed

from resile.errors import (
    ProviderDownError,
    SecretDeniedError,
    SecretRevokedError,
)
from resile.secrets import Secret, SecretManager, Terms
from resile.secrets.cache.decide import ERROR_KEPT_S
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

NAME = "db/password"
TTL_S, STALE_S = 60.0, 120.0
FOUND_S = 3.0
"""A provider that is back is found within it."""


class Cache(RuleBasedStateMachine):
    """What is true of it:

    - what is served was current at most `ttl` ago while the provider works, and `ttl` + `max_stale` at all;
    - what was revoked, and told, is never served; nor is anything after a denial that was heard;
    - it fails only if the provider does, or says no;
    - a version is acknowledged only when no older object is held.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.provider = FakeProvider(clock=self.clock)
        self.feed = FakeFeed()
        self.manager = SecretManager(
            self.provider,
            terms=Terms(ttl_s=TTL_S, max_stale_s=STALE_S),
            feed=self.feed,
            clock=self.clock,
            chance=random.Random(1),
            is_background=False,
        )
        self.current, self.put_s = "", 0.0
        self.ended: dict[str, float] = {}
        self.revoked: set[str] = set()
        self.held: list[Secret] = []
        self.trouble_s = 0.0
        """When the provider last failed, or was last told to."""

    @property
    def now_s(self) -> float:
        return self.clock.monotonic()

    @property
    def is_in_trouble(self) -> bool:
        return self.provider.is_away or bool(self.provider.denied)

    @initialize()
    def begin(self) -> None:
        self.put(is_told=True)

    @rule(is_told=st.booleans())
    def put(self, is_told: bool) -> None:
        was_away, self.provider.is_away = self.provider.is_away, False
        was_denied, self.provider.denied = self.provider.denied, set()
        text = f"value {len(self.ended)}"
        number = self.provider.write(NAME, text.encode(), token=text).number
        self.provider.is_away, self.provider.denied = was_away, was_denied
        if self.current:
            self.ended[self.current] = self.now_s
        self.current, self.put_s = number, self.now_s
        if is_told:
            self.feed.listener.changed(NAME, number)

    @rule(is_all=st.booleans())
    def revoke(self, is_all: bool) -> None:
        """The keeper destroys first, then it tells."""
        was_away, self.provider.is_away = self.provider.is_away, False
        was_denied, self.provider.denied = self.provider.denied, set()
        self.provider.destroy(NAME, self.current)
        self.provider.is_away, self.provider.denied = was_away, was_denied
        self.revoked.add(self.current)
        self.feed.listener.revoked(NAME, "" if is_all else self.current)

    @rule()
    def lose(self) -> None:
        self.provider.is_away = True

    @rule()
    def find(self) -> None:
        self.provider.is_away = False

    @rule(is_denied=st.booleans())
    def deny(self, is_denied: bool) -> None:
        self.provider.denied = {NAME} if is_denied else set()

    @rule(seconds=st.sampled_from([0.05, 0.5, 1, 5, 30, 50, 100]))
    def pass_time(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            if self.is_in_trouble:
                self.trouble_s = self.now_s
            self.clock.advance(min(0.5, end_s - self.now_s))
            self.manager.step()

    @rule(is_forced=st.booleans(), is_held=st.booleans())
    def read(self, is_forced: bool, is_held: bool) -> None:
        if self.is_in_trouble:
            self.trouble_s = self.now_s
        try:
            found = self.manager.refresh(NAME) if is_forced else self.manager.secret(NAME)
        except ProviderDownError:
            assert self.provider.is_away or self.now_s - self.trouble_s <= FOUND_S
        except SecretDeniedError:
            assert self.provider.denied or self.now_s - self.trouble_s <= FOUND_S
        except SecretRevokedError:
            is_kept = self.now_s - self.put_s < ERROR_KEPT_S
            assert self.current in self.revoked or is_kept
        else:
            self._check(found, is_forced=is_forced)
            if is_held:
                self.held.append(found)

    def _check(self, found: Secret, *, is_forced: bool) -> None:
        assert found.version not in self.revoked
        if is_forced:
            assert found.version == self.current
        if found.version != self.current:
            age_s = self.now_s - self.ended[found.version]
            is_well = not self.is_in_trouble and self.now_s - self.trouble_s > FOUND_S
            assert age_s <= TTL_S + (0 if is_well else STALE_S)

    @precondition(lambda self: self.held)
    @rule()
    def let_go(self) -> None:
        self.held.clear()

    @invariant()
    def nothing_older_than_what_is_acknowledged_is_held(self) -> None:
        if self.feed.acks:
            newest = int(self.feed.acks[-1])
            assert all(int(one.version) >= newest for one in (*self.held, *self.manager.held()))


Cache.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCache = Cache.TestCase
