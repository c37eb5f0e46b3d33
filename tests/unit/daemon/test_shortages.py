"""Exhausted descriptors and stuck pools are told when they last, and when they are over."""

from typing import Any

from tests.support.shell import EPOCH
from tests.support.systems import service, system

from resile.core.events import SymptomChanged
from resile.core.vocabulary import FaultKind, Resource
from resile.daemon.shortages import LOOKS, STUCK_LOOKS, Shortages
from resile.health.prediction import Reading, Source
from resile.recover import World

DESCRIPTORS, POOL = FaultKind.DESCRIPTORS_EXHAUSTED, FaultKind.POOL_EXHAUSTED


class Scene:
    def __init__(self) -> None:
        self.world = World(system(service("a"), service("b")))
        self.shortages = Shortages(self.world)

    def look(
        self, used: float | None = None, guards: list[dict[str, Any]] | None = None
    ) -> list[tuple[FaultKind, bool]]:
        readings = [] if used is None else [reading(used)]
        told = self.shortages.look(readings, guards or [])
        for payload in told:
            self.world.fold(payload, EPOCH)
        return [(one.fault, one.is_there) for one in told]


def reading(used: float, resource: Resource = Resource.DESCRIPTORS) -> Reading:
    return Reading(source=Source(resource=resource, target="service/a"), used=used, limit=100)


def guard(*, in_flight: int = 5, calls: int = 7, service: str = "a") -> dict[str, Any]:
    return {
        "service": service,
        "pid": 12,
        "guard": "db",
        "limit": 5,
        "in_flight": in_flight,
        "calls": calls,
    }


def test_descriptors_that_stay_scarce_are_told_once() -> None:
    scene = Scene()

    told = [scene.look(96) for _ in range(LOOKS + 2)]

    assert told == [*[[]] * (LOOKS - 1), [(DESCRIPTORS, True)], [], []]


def test_burst_of_descriptors_is_not_told() -> None:
    scene = Scene()

    assert [scene.look(used) for used in (99, 50, 99, 90, 99)] == [[]] * 5


def test_descriptors_that_are_given_back_end_it_well_below_the_limit() -> None:
    scene = Scene()
    for _ in range(LOOKS):
        scene.look(100)

    assert [scene.look(90), scene.look(80)] == [[], [(DESCRIPTORS, False)]]


def test_readings_of_other_resources_are_passed_over() -> None:
    world = World(system(service("a")))

    for _ in range(LOOKS):
        assert not Shortages(world).look([reading(100, Resource.MEMORY)], [])


def test_full_pool_in_which_no_call_ends_is_told() -> None:
    scene = Scene()

    told = [scene.look(guards=[guard()]) for _ in range(STUCK_LOOKS + 1)]

    assert told == [*[[]] * (STUCK_LOOKS - 1), [(POOL, True)], []]
    assert scene.look(guards=[guard(in_flight=4)]) == [(POOL, False)]


def test_full_pool_with_calls_that_end_is_only_busy() -> None:
    scene = Scene()

    told = [scene.look(guards=[guard(calls=calls)]) for calls in range(3 * STUCK_LOOKS)]

    assert not any(told)


def test_pool_of_no_service_or_without_a_limit_is_passed_over() -> None:
    scene = Scene()
    rows = [guard(service=""), {**guard(), "limit": 0}]

    assert not any(scene.look(guards=rows) for _ in range(2 * STUCK_LOOKS))


def test_reason_says_how_many() -> None:
    scene = Scene()
    for _ in range(LOOKS - 1):
        scene.look(97)

    (told,) = scene.shortages.look([reading(97)], [])

    assert isinstance(told, SymptomChanged)
    assert told.reason == "97 of 100 descriptors are open"
