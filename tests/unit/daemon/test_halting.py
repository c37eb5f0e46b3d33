"""Services are stopped for the storekeeper, and started again whatever dies in between."""

import asyncio

import pytest
from tests.support.systems import service, system

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import OperatorRequested, Payload, announce
from resile.core.vocabulary import Verb
from resile.daemon import store_keeping
from resile.daemon.store_keeping import WHO, Halting, left_halted
from resile.recover import World
from resile.testing.journal import MemoryJournal


class Loop:
    """Folds what is recorded."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[tuple[Verb, tuple[str, ...]]] = []

    async def record(self, payload: Payload, *, actor: str) -> None:
        assert isinstance(payload, OperatorRequested)
        assert (payload.who, actor) == (WHO, WHO)
        self.asked.append((payload.verb, payload.services))
        self.world.apply(announce(payload, at=SYSTEM_CLOCK.now(), actor=actor))


@pytest.fixture
def loop() -> Loop:
    return Loop(World(system(service("api"), service("idle"))))


def halting(loop: Loop, left: tuple[str, ...] = ()) -> Halting:
    return Halting(loop.world, loop, left)  # type: ignore[arg-type]


def test_those_that_run_are_stopped_and_started(loop: Loop) -> None:
    one = halting(loop)

    async def run() -> dict[str, object]:
        answer = await one.stop(["api", "unknown"])
        await one.start()
        await one.start()
        return answer

    assert asyncio.run(run()) == {"is_done": True, "services": ("api",)}
    assert loop.asked == [(Verb.STOP, ("api",)), (Verb.START, ("api",))]


def test_one_that_was_stopped_before_stays_stopped(loop: Loop) -> None:
    stopped = OperatorRequested(verb=Verb.STOP, services=("api",), who="me")
    loop.world.apply(announce(stopped, at=SYSTEM_CLOCK.now(), actor="operator"))
    one = halting(loop)

    async def run() -> None:
        await one.stop(["api"])
        await one.start()

    asyncio.run(run())

    assert loop.asked == []


def test_one_that_does_not_stop_is_told(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_keeping, "STOP_TIMEOUT_S", 0.0)

    answer = asyncio.run(halting(loop).stop(["api"]))

    assert answer == {"is_done": False, "services": ("api",)}


def test_what_a_dead_brain_left_stopped_is_started(loop: Loop) -> None:
    asyncio.run(halting(loop, ("api", "not declared any more")).start())

    assert loop.asked == [(Verb.START, ("api",))]


def asked(verb: Verb, *services: str, who: str = WHO) -> OperatorRequested:
    return OperatorRequested(verb=verb, services=services, who=who)


@pytest.mark.parametrize(
    ("requests", "left"),
    [
        ([], ()),
        ([asked(Verb.STOP, "api")], ("api",)),
        ([asked(Verb.STOP, "api"), asked(Verb.START, "api")], ()),
        ([asked(Verb.STOP, "api"), asked(Verb.START, "api", who="me")], ()),
        ([asked(Verb.STOP, "api"), asked(Verb.SHUTDOWN, who="me")], ()),
        ([asked(Verb.STOP, "api", who="me")], ()),
        ([asked(Verb.STOP, "api", "b"), asked(Verb.STOP, "b", who="me")], ("api",)),
    ],
)
def test_only_our_own_last_word_counts(
    requests: list[OperatorRequested], left: tuple[str, ...]
) -> None:
    journal = MemoryJournal()
    for request in requests:
        journal.append(announce(request, at=SYSTEM_CLOCK.now(), actor=WHO))

    assert left_halted(journal) == left
