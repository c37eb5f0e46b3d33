"""One seed is one system, its troubles and its end: what is run, and what must be so at the end."""

import random
from dataclasses import dataclass

from tests.simulation.recovery.declaring import some_system
from tests.simulation.recovery.life import Life
from tests.simulation.recovery.troubles import HARMLESS, Troubles

from resile.core.events import OperatorRequested, announce
from resile.core.vocabulary import CheckState, Verb
from resile.incidents import IncidentBook
from resile.recover import World
from resile.recover.model import service_target

START_S = 60.0
CALM_S = 1500.0
"""Beyond the budget's window, a cool-down and the time for which flapping is held open."""
VISITS = 3
"""How often a person looks: what is asked after a first visit is answered by the next one."""
LARGE_EVERY = 125
"""One of so many seeds is a system of fifty services."""
LARGE = 50
HEALABLE = ("crash", "hang", "unready", "checkpoint", "kill_brain", "cut_brain", "flap")
"""What recovery must mend without a person, where restarts are not forbidden and few."""


@dataclass(frozen=True)
class Told:
    """What a seed was: for the figures."""

    seed: int
    services: int
    hours: float
    struck: tuple[str, ...]
    faults: int
    actions: int
    asked: int


def run_seed(seed: int, *, focus: tuple[str, ...] = ()) -> Told:
    """Live through one seed; every law that does not hold is an AssertionError with the seed in it.

    Args:
        seed: Decides everything.
        focus: The troubles that happen; default: any.
    """
    try:
        return _run(seed, focus)
    except Exception as exc:
        exc.add_note(f"seed {seed}: RESILE_RECOVERY_SEED={seed} repeats it")
        raise


def _run(seed: int, focus: tuple[str, ...]) -> Told:
    rng = random.Random(seed)
    mode, size = _size_of(seed, rng)
    if focus:
        mode, size = "many", rng.choice((2, 3, 4))
    spec = some_system(rng, size, is_plain=mode == "healable")
    life = Life(spec, rng, has_book=seed % 2 == 0)
    troubles = Troubles(life, rng)
    life.referee.is_calm = True
    life.begin().run(START_S)
    live(life, troubles, mode, focus)
    troubles.make_peace()
    life.run(CALM_S + life.time.back_ms / 1000)
    check_nobody_is_forgotten(life)
    if mode in ("calm", "healable"):
        check_all_is_well(life)
    for visit in range(VISITS):
        troubles.call_person(visit)
        life.run(CALM_S)
        if not life.world.faults:
            break
    check_all_is_well(life)
    if seed % 10 == 0:
        check_journal(life)
        check_shutdown(life)
    return Told(
        seed=seed,
        services=size,
        hours=life.time.now_ms / 3_600_000,
        struck=tuple(troubles.struck),
        faults=life.referee.counts.get("fault.opened", 0),
        actions=life.referee.counts.get("action.started", 0),
        asked=life.asked,
    )


def _size_of(seed: int, rng: random.Random) -> tuple[str, int]:
    """Tell what kind of story a seed is, and how many services it has."""
    if seed % LARGE_EVERY == LARGE_EVERY - 1:
        return "large", LARGE
    mode = rng.choice(("few", "few", "many", "many", "calm", "healable"))
    return mode, rng.choice((1, 2, 2, 3, 3, 4, 5, 6, 8))


def live(life: Life, troubles: Troubles, mode: str, kinds: tuple[str, ...]) -> None:
    """Let things go wrong for an hour or so."""
    rng = troubles.rng
    if mode == "calm":
        kinds, count, pause_s = HARMLESS, rng.randint(1, 5), 300.0
    elif mode == "healable":
        kinds, count, pause_s = HEALABLE, rng.randint(1, 3), 900.0
    elif kinds:
        count, pause_s = rng.randint(4, 20), 150.0
    elif mode == "few":
        count, pause_s = rng.randint(1, 3), 900.0
    elif mode == "large":
        count, pause_s = rng.randint(3, 6), 300.0
    else:
        count, pause_s = rng.randint(3, 12), 240.0
    for _ in range(count):
        life.run(rng.choice((0.0, 0.3, 3.0, 1.0, 1.0)) * rng.uniform(0.0, pause_s))
        for _ in range(rng.choice((1, 1, 2))):
            troubles.strike(*kinds)


def check_nobody_is_forgotten(life: Life) -> None:
    """What does not work after a time of peace is known, and a person was called."""
    assert life.is_alive, "no brain lives"
    world = life.world
    for name, status in world.services.items():
        targets = {service_target(name), *life.world.graph.ancestors(service_target(name))}
        held = [
            p for p in world.plans.values() if service_target(name) in {s.target for s in p.steps}
        ]
        targets |= {plan.target for plan in held}
        is_known = any(f.target in targets and f.is_escalated for f in world.faults.values())
        is_theirs = any(world.is_maintained(target) for target in targets) or any(
            world.is_maintained(f"check/{check}") for check in life.spec.checks
        )
        is_wanted = status.desired == "running" and not world.is_finished(name)
        if is_wanted and not is_known and not is_theirs:
            stopped = [n for n in world.graph.upstream(name) if not is_up(life, n)]
            works = life.machine.works(name)
            assert works or stopped, f"{name} is forgotten: {status}"
    assert not world.in_flight, f"still in flight: {world.in_flight}"
    waiting = [f for f in world.faults.values() if not f.is_escalated]
    assert all(f.kind == "memory_pressure" for f in waiting), f"neither mended nor told: {waiting}"


def is_up(life: Life, need: str) -> bool:
    """Tell whether a dependency was not stopped by an operator, and has not finished."""
    status = life.world.services.get(need)
    return status is None or (status.desired == "running" and not life.world.is_finished(need))


def check_all_is_well(life: Life) -> None:
    """Peace, and a person where one was called, brought everything up and closed what was open."""
    world = life.world
    for name, status in world.services.items():
        if world.is_finished(name):
            continue
        assert life.machine.works(name), f"{name} does not work: {status}, {world.faults}"
        assert status.state is CheckState.UP, f"{name} is {status.state}: {status.state_reason}"
    assert not world.faults, f"open faults: {world.faults}"
    assert not world.plans, f"open plans: {world.plans}"
    assert not world.proposals, f"open proposals: {world.proposals}"
    assert not world.in_flight, f"in flight: {world.in_flight}"
    assert not world.restarts, f"restarts: {world.restarts}"
    if life.book is not None:
        assert not life.book.active(), f"open incidents: {life.book.active()}"


def check_journal(life: Life) -> None:
    """What the journal's own form gives back is the live world, and so is its checkpoint."""
    world, book = World(life.spec), IncidentBook(life.spec)
    for at, payload in life.journal:
        event = announce(payload, at=at, actor="brain")
        world.apply(event)
        if life.book is not None:
            book.apply(event)
    assert world == life.world, "the journal gives another world"
    assert life.book is None or book == life.book, "the journal gives another book"
    assert World.restore(life.spec, world.snapshot()) == world, "the checkpoint gives another world"


def check_shutdown(life: Life) -> None:
    """An ordered end stops everything, dependents first (the referee sees to that)."""
    life.tell(OperatorRequested(verb=Verb.SHUTDOWN, who="ann"))
    life.run(60.0)
    assert life.world.is_all_stopped, "not all is stopped"
    assert not life.machine.running, f"still running: {life.machine.running}"
