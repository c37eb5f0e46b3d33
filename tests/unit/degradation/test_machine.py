"""The manager held to a model over any order of calls, probes, reports, outages and time."""

import random

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.degradation.kit import Dependency, manager

from resile.degradation import Notice, Service, ServiceState
from resile.degradation.decide import EXPLAINED_S, RANK
from resile.errors import ServiceDownError
from resile.testing import FakeClock, MemoryJournal

HEALTHY, DEGRADED, FAILED, CRITICAL = ServiceState
FAILURES, SUCCESSES = 2, 2
NAMES = ("database", "users", "page")
NEEDS = {"database": (), "users": ("database",), "page": ("users",)}
DOWN = (FAILED, CRITICAL)
names = strategies.sampled_from(NAMES)


class ManagerMachine(RuleBasedStateMachine):
    """Three services in a chain. What must hold is said in the plainest way, not computed again."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.journal = MemoryJournal()
        self.told: list[Notice] = []
        self.dependencies = {name: Dependency(f"{name} live") for name in NAMES}
        self.fallbacks = {name: Dependency(f"{name} fallback") for name in NAMES}
        self.services = self.start()

    def start(self) -> object:
        return manager(
            *(
                Service(
                    name,
                    depends_on=NEEDS[name],
                    fallbacks=[self.fallbacks[name].ask],
                    failures=FAILURES,
                    successes=SUCCESSES,
                    probe=self.dependencies[name].probe if name != "page" else None,
                )
                for name in NAMES
            ),
            clock=self.clock,
            journal=self.journal,
            notify=[self.told.append],
        )

    @rule(name=names, is_up=strategies.booleans())
    def change_the_world(self, name: str, is_up: bool) -> None:
        self.dependencies[name].error = None if is_up else ConnectionError("down")

    @rule(name=names, is_up=strategies.booleans())
    def change_a_fallback(self, name: str, is_up: bool) -> None:
        self.fallbacks[name].error = None if is_up else LookupError("empty")

    @rule(name=names)
    def call(self, name: str) -> None:
        dependency, fallback = self.dependencies[name], self.fallbacks[name]
        asked, blocked = dependency.calls, self.services.status(name).blocked_by
        before = self.services.state(name)
        try:
            answer = self.services.call(name, dependency.ask)
        except (ConnectionError, ServiceDownError, LookupError):
            assert fallback.error is not None
            assert dependency.error is not None or before in DOWN
        else:
            was_asked = dependency.calls > asked
            assert (answer == dependency.answer) == (was_asked and dependency.error is None)
        if blocked:
            assert dependency.calls == asked
        if before not in DOWN:
            assert dependency.calls == asked + 1

    @rule(seconds=strategies.sampled_from((0.1, 1.0, EXPLAINED_S + 1)))
    def wait_and_probe(self, seconds: float) -> None:
        self.clock.advance(seconds)
        probes = {name: self.dependencies[name].probes for name in NAMES}
        blocked = {name for name in NAMES if self.services.status(name).blocked_by}
        healthy = {name for name in NAMES if self.services.state(name) is HEALTHY}
        self.services.step()
        for name in healthy | blocked:
            # What is unblocked within this very step may be probed in it.
            still = name in healthy or self.services.status(name).blocked_by
            assert self.dependencies[name].probes == probes[name] or not still

    @rule(name=names, state=strategies.sampled_from(ServiceState))
    def report(self, name: str, state: ServiceState) -> None:
        self.services.set_state(name, state, "said so")
        seen = self.services.status(name)
        assert RANK[seen.state] >= RANK[state]
        assert seen.state is state or seen.blocked_by

    @rule()
    def answer_the_notices(self) -> None:
        for notice in self.services.notices():
            self.services.choose(notice.id, random.Random(0).choice(notice.choices))

    @rule()
    def restart(self) -> None:
        before = {status.name: status.state for status in self.services.statuses()}
        self.services = self.start()
        assert {status.name: status.state for status in self.services.statuses()} == before

    @rule(seconds=strategies.sampled_from((-3600.0, 3600.0)))
    def set_the_clock(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @rule()
    def all_is_well_again(self) -> None:
        """Whatever has happened, it comes back by itself within 30 s for each link of the chain."""
        for name in NAMES:
            self.dependencies[name].error = self.fallbacks[name].error = None
            if self.services.status(name).origin == "report":
                self.services.set_state(name, HEALTHY)
        for _ in range(len(NAMES) * 30):
            self.clock.advance(1)
            self.services.step()
            for name in NAMES:
                self.services.call(name, self.dependencies[name].ask)
        assert self.services.degraded() == ()
        assert self.services.notices() == ()

    @invariant()
    def who_waits_for_another_is_down_and_says_for_whom(self) -> None:
        for status in self.services.statuses():
            needed = [self.services.status(name) for name in NEEDS[status.name]]
            is_blocked = any(one.state in DOWN for one in needed)
            assert bool(status.blocked_by) == is_blocked
            assert not is_blocked or status.state in DOWN
            for root in status.blocked_by:
                assert self.services.status(root).state in DOWN
                assert not self.services.status(root).blocked_by
            assert bool(status.reason) == (status.state is not HEALTHY)

    @invariant()
    def the_system_is_as_bad_as_its_worst(self) -> None:
        worst = max(self.services.statuses(), key=lambda status: RANK[status.state])
        assert self.services.system_state() is worst.state

    @invariant()
    def the_journal_has_what_counts(self) -> None:
        if not hasattr(self, "services"):
            return
        kept = {}
        for record in self.journal.read(_everything()):
            if record.event.kind == "degradation.changed":
                kept[record.event.body["service"]] = record.event.body["after"]
        for name, entry in self.services._book.entries.items():
            assert kept.get(name, "HEALTHY") == entry.visible.state.value

    @invariant()
    def who_is_not_to_blame_is_not_told_of(self) -> None:
        for notice in self.services.notices():
            assert self.services.state(notice.service) is not HEALTHY


def _everything() -> object:
    from resile.core.journal import Query

    return Query(limit=100_000)


TestManager = ManagerMachine.TestCase
TestManager.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
