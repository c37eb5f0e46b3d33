"""A whole system on a virtual clock, broken at random: whatever happens, it ends well.

A failure prints its seed; `run_seed(SEED)` repeats it exactly.
"""

import random

import pytest
from tests.support.shell import Shell
from tests.support.thorough import some

from resile.core.events import (
    ActionFinished,
    ActionStarted,
    FaultOpened,
    PlanDecided,
)
from resile.core.vocabulary import ActionKind, CheckGroup, CheckState, FaultKind, Verb
from resile.incidents import IncidentBook
from resile.recover import (
    BudgetSpec,
    CheckBinding,
    GroupSpec,
    RestartSpec,
    ServiceSpec,
    Strategy,
    SystemSpec,
    World,
    decide,
)
from resile.recover.playbook import Do, Match, Playbook, PlaybookStep, Verify
from resile.recover.playbooks import shipped

KINDS = (FaultKind.HANG, FaultKind.NOT_READY, FaultKind.START_FAILED, FaultKind.DISK_NEARLY_FULL)

SEEDS = range(300)
PARTS = 4
"""So that the workers of the test run share the seeds."""
SEEDS_A_PART = 20
"""Other ones each time."""
CHAOS_S = 120.0
QUIET_S = 900.0
"""Beyond every time-out of the specs below, and the ten minutes that flapping is held open."""


def some_spec(rng: random.Random) -> SystemSpec:
    """Make a system of up to eight services in layers, with checks, and perhaps a group."""
    names = [f"s{index}" for index in range(rng.randint(2, 8))]
    services, checks = (
        {},
        {
            "disk": CheckBinding(
                check="disk", service="", group=CheckGroup.SYSTEM, fault=FaultKind.DISK_NEARLY_FULL
            )
        },
    )
    for index, name in enumerate(names):
        needs = rng.sample(names[:index], min(index, rng.choice((0, 1, 1, 2))))
        services[name] = ServiceSpec(
            name=name,
            depends_on=tuple(needs),
            is_critical=rng.random() < 0.3,
            ready_timeout_s=10.0,
            restart=RestartSpec(intensity=rng.choice((3, 5, 8)), period_s=60.0),
        )
        for group in (CheckGroup.LIVE, CheckGroup.READY):
            if rng.random() < 0.8:
                check = f"{name}.{group}"
                checks[check] = CheckBinding(check=check, service=name, group=group)
    groups = ()
    if rng.random() < 0.5:
        members = tuple(names[: rng.randint(2, len(names))])
        groups = (GroupSpec(name="g", services=members, strategy=rng.choice(list(Strategy))),)
    return SystemSpec(
        services=services,
        checks=checks,
        groups=groups,
        budget=BudgetSpec(window_s=300.0),
        playbooks=(*shipped(), *some_playbooks(rng)),
    )


def some_playbooks(rng: random.Random) -> tuple[Playbook, ...]:
    """Make up to two playbooks of a user's own, with commands, proofs, undoing and limits."""
    command = PlaybookStep(do=Do.COMMAND, command=("mend",), is_repeatable=rng.random() < 0.5)
    restart = PlaybookStep(do=Do.RESTART)
    return tuple(
        Playbook(
            name=f"ours-{index}",
            why="For tests.",
            match=Match(faults=frozenset(rng.sample(KINDS, 2)), needs_upstream=rng.random() < 0.3),
            steps=rng.choice(((command,), (command, restart), (restart, command))),
            undo=rng.choice(((), (command,))),
            verify=Verify(within_s=rng.choice((5.0, None)), command=rng.choice(((), ("prove",)))),
            attempts=rng.choice((0, 1, 2)),
            cool_down_s=rng.choice((0.0, 30.0)),
            priority=rng.choice((10, 200)),
            blast_radius=rng.choice((0, 1)),
            then=rng.choice(("", "replace_hung")),
        )
        for index in range(rng.choice((0, 0, 1, 2)))
    )


class Chaos:
    """Breaks a system at random times, then leaves it in peace."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.shell = Shell(some_spec(self.rng))
        self.names = list(self.shell.spec.services)

    def run(self) -> Shell:
        shell = self.shell.begin()
        for _ in range(self.rng.randint(1, 25)):
            shell.run(self.rng.uniform(0.0, 2 * CHAOS_S / 25))
            self.strike()
            check_always(shell)
        self.make_peace()
        shell.run(QUIET_S)
        return shell

    def strike(self) -> None:
        strikes = (
            self.crash,
            self.crash,
            self.hang,
            self.be_unready,
            self.fail_to_start,
            self.crash_loop,
            self.be_slow,
            self.fill_disk,
            self.fail_commands,
            self.kill_brain,
            self.kill_brain,
            self.checkpoint,
            self.order,
        )
        self.rng.choice(strikes)()

    def some(self) -> str:
        return self.rng.choice(self.names)

    def crash(self) -> None:
        if self.shell.running:
            self.shell.crash(self.rng.choice(sorted(self.shell.running)), exit_code=1)

    def hang(self) -> None:
        self.shell.programs[self.some()].is_hung = True

    def be_unready(self) -> None:
        self.shell.programs[self.some()].is_unready = True

    def fail_to_start(self) -> None:
        self.shell.programs[self.some()].start_error = "no such file"

    def crash_loop(self) -> None:
        self.shell.programs[self.some()].exit_after_s = self.rng.uniform(0.0, 15.0)

    def be_slow(self) -> None:
        self.shell.programs[self.some()].boot_s = self.rng.uniform(1.0, 20.0)

    def fill_disk(self) -> None:
        self.shell.system_checks_down.add("disk")

    def fail_commands(self) -> None:
        for name in ("mend", "prove"):
            self.shell.commands[name] = self.rng.choice((lambda: "", lambda: "exit code 1"))

    def checkpoint(self) -> None:
        self.shell.checkpoint()

    def kill_brain(self) -> None:
        self.shell.kill_brain()
        self.shell.run(self.rng.choice((0.0, 0.005, 0.3, 3.0)))
        if self.rng.random() < 0.5 and self.shell.running:
            self.crash()
        self.shell.hears_exits_first = self.rng.random() < 0.5
        self.shell.revive_brain()
        check_fold(self.shell)

    def order(self) -> None:
        verb = self.rng.choice((Verb.RESTART, Verb.START, Verb.STOP))
        names = self.rng.sample(self.names, self.rng.randint(0, 2))
        if verb is Verb.STOP and not names:
            return
        self.shell.order(verb, *names)

    def make_peace(self) -> None:
        """Take every cause of trouble away, as its own repair or an operator would."""
        shell = self.shell
        shell.system_checks_down.clear()
        shell.commands.clear()
        for program in shell.programs.values():
            program.start_error = ""
            program.exit_after_s = None
            program.is_hung = program.is_unready = False
            program.boot_s = 0.2
        shell.order(Verb.START)


def check_always(shell: Shell) -> None:
    """Check what must be so at any time."""
    world, journal = shell.world, shell.journal
    if decide(world, shell.now) != decide(world, shell.now):
        raise AssertionError("the same world and time gave two decisions")
    started = {p.action_id for p in shell.payloads(ActionStarted)}
    finished = [p.action_id for p in shell.payloads(ActionFinished)]
    assert set(finished) <= started
    assert set(world.in_flight) == started - set(finished)
    assert len({e.payload().fault_id for e in journal if e.kind == "fault.opened"}) == len(
        shell.payloads(FaultOpened)
    )
    targets = [action.target for action in world.in_flight.values()]
    assert len(targets) == len(set(targets))
    for name, process in shell.running.items():
        status = world.service(name)
        assert status.generation == process.generation


def check_fold(shell: Shell) -> None:
    """Check that the journal alone gives the world and the book."""
    world, book = World(shell.spec), IncidentBook(shell.spec)
    for event in shell.journal:
        world.apply(event)
        book.apply(event)
    assert world == shell.world
    assert book == shell.book
    assert World.restore(shell.spec, world.snapshot()) == world
    assert IncidentBook.restore(shell.spec, book.snapshot()) == book


def check_starts(shell: Shell) -> None:
    """Check, by folding again, that no start came before its dependencies were usable."""
    world = World(shell.spec)
    for event in shell.journal:
        payload = event.payload()
        if isinstance(payload, ActionStarted) and payload.action is ActionKind.START:
            name = payload.target.partition("/")[2]
            assert world.is_startable(name), f"{name} was started too early at {event.at}"
            assert not world.service(name).is_alive, f"{name} was started twice at {event.at}"
            assert not world.service(name).is_quarantined
        world.apply(event)


def check_budget(shell: Shell) -> None:
    """Check that no budgeted playbook was used more often than its window allows."""
    budget = shell.spec.budget
    orders = [n for n, e in enumerate(shell.journal) if e.kind == "operator.requested"]
    uses: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for index, event in enumerate(shell.journal):
        payload = event.payload()
        is_use = isinstance(payload, PlanDecided) and not payload.is_undo
        if is_use and payload.playbook != "restart":
            key = (payload.playbook, payload.target)
            uses.setdefault(key, []).append((index, event.at.timestamp()))
    for key, times in uses.items():
        for first, last in zip(times, times[budget.attempts :], strict=False):
            is_released = any(first[0] < order < last[0] for order in orders)
            assert last[1] - first[1] >= budget.window_s or is_released, (key, times)


def check_end(shell: Shell) -> None:
    """Check that peace brought everything up, and closed what was open."""
    assert set(shell.states().values()) == {CheckState.UP}, shell.states()
    assert not shell.world.faults, shell.world.faults
    assert not shell.world.plans
    assert not shell.world.in_flight
    assert not shell.world.restarts
    assert all(map(shell.works, shell.spec.services))
    assert not shell.book.active()
    assert not shell.book.faults


def run_seed(seed: int) -> Shell:
    shell = Chaos(seed).run()
    check_always(shell)
    check_fold(shell)
    check_starts(shell)
    check_budget(shell)
    check_end(shell)
    return shell


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_breaks_everything_is_up_again_when_the_trouble_is_over(part: int) -> None:
    for seed in some(SEEDS[part::PARTS], SEEDS_A_PART):
        try:
            run_seed(seed)
        except BaseException as exc:
            exc.add_note(f"seed {seed}")
            raise


def test_the_same_seed_gives_the_same_story() -> None:
    def story(seed: int) -> list[object]:
        return [event.payload() for event in run_seed(seed).journal]

    assert story(7) == story(7)
