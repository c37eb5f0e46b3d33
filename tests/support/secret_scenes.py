"""A manager of secrets over a provider in memory, on a clock that stands still."""

import random

from resile.secrets import SecretManager, Terms
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

TTL_S, STALE_S = 300.0, 600.0
NAME = "db/password"


class Scene:
    """A manager over a provider in memory; nothing happens in the background but by `pass_time`."""

    def __init__(self, *, names_max: int = 1000, terms: Terms | None = None) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider({NAME: "first"}, clock=self.clock)
        self.manager = SecretManager(
            self.provider,
            terms=terms or Terms(ttl_s=TTL_S, max_stale_s=STALE_S),
            clock=self.clock,
            chance=random.Random(7),
            names_max=names_max,
            is_background=False,
        )
        self.writes = 0

    def value(self, name: str = NAME) -> str:
        return self.manager.secret(name).reveal()

    def put(self, value: str, name: str = NAME) -> str:
        self.writes += 1
        return self.provider.write(name, value.encode(), token=f"w{self.writes}").number

    def reads(self, name: str = NAME) -> int:
        return sum(1 for call in self.provider.calls if call == ("read", name))

    def calls(self, what: str) -> int:
        return sum(1 for call, _ in self.provider.calls if call == what)

    def pass_time(self, seconds: float, *, step_s: float = 1.0) -> None:
        """Let time pass as the background thread sees it."""
        end_s = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end_s:
            self.clock.advance(min(step_s, end_s - self.clock.monotonic()))
            self.manager.step()
