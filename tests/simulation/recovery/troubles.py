"""What goes wrong: faults of processes, dependencies, disks, memory, remedies, clocks, brains and people."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

from tests.simulation.recovery.life import DEATHS, Life

from resile.core.events import (
    MaintenanceChanged,
    OperatorRequested,
    ProposalAnswered,
    SwitchSet,
)
from resile.core.vocabulary import CheckState, MemoryLevel, Part, Verb
from resile.recover import OpenFault
from resile.recover.rehearsal import asked

LASTS_S = (1.0, 5.0, 30.0, 120.0, 600.0, None)
"""How long a trouble lasts; None: until peace."""


class Troubles:
    """Breaks a system at random, then leaves it in peace.

    Args:
        life: What is broken.
        rng: The dice.
    """

    def __init__(self, life: Life, rng: Random) -> None:
        self.life = life
        self.rng = rng
        self.names = list(life.spec.services)
        self.struck: list[str] = []

    def strike(self, *kinds: str) -> None:
        """Do one of the named things, or any."""
        kind = self.rng.choice(kinds or tuple(KINDS))
        self.struck.append(kind)
        self.life.referee.is_calm &= kind in HARMLESS
        KINDS[kind](self)

    def make_peace(self) -> None:
        """Take every cause of trouble away; what follows from it is left to recovery."""
        machine = self.life.machine
        machine.is_at_peace = True
        machine.system.clear()
        machine.prunable.clear()
        machine.commands.clear()
        for program in machine.programs.values():
            program.mend()
        for target in machine.memory:
            machine.memory[target] = MemoryLevel.CALM
        self.life.death = None
        machine.on_change()

    def call_person(self, visit: int) -> None:
        """Let an operator look: answer what waits, end work, and have started what is broken.

        What did not help the first time gets a no the next time.
        """
        life = self.life
        for target in list(life.world.maintenance):
            if life.world.is_maintained(target):
                self._maintain(target, is_on=False)
        for proposal in list(life.world.proposals.values()):
            self._answer(proposal.plan_id, proposal.fault_id, proposal.target, is_yes=visit == 0)
        for fault in list(life.world.faults.values()):
            self._prove_again(fault)
        broken = [name for name in self.names if not life.machine.works(name)]
        life.tell(OperatorRequested(verb=Verb.START, services=(), who="ann"))
        hurt = tuple(name for name in broken if name in life.machine.running)
        if hurt:
            life.tell(OperatorRequested(verb=Verb.RESTART, services=hurt, who="ann"))

    # One each -----------------------------------------------------------------------------------

    def crash(self) -> None:
        running = list(self.life.machine.running.values())
        if running:
            signal = self.rng.choice(("", "SIGSEGV", "SIGKILL"))
            code = None if signal else self.rng.choice((0, 1, 1, 2))
            self.life.machine.end(self.rng.choice(running), exit_code=code, signal=signal)

    def crash_loop(self) -> None:
        program = self._program()
        program.exits_after_ms = self.rng.choice((50, 900, 3000, 15_000, 40_000))
        self._mend_later(lambda: setattr(program, "exits_after_ms", None))
        self.crash()

    def hang(self) -> None:
        self._hurt("is_hung", "live")

    def hang_for_long(self) -> None:
        self._spoil("is_hung", "live")

    def unready(self) -> None:
        self._hurt("is_unready", "ready")

    def unready_for_long(self) -> None:
        self._spoil("is_unready", "ready")

    def no_start(self) -> None:
        name = self.rng.choice(self.names)
        program = self.life.machine.programs[name]
        program.start_error = "no such file"
        self._mend_later(lambda: setattr(program, "start_error", ""))
        if name in self.life.machine.running:
            self.life.machine.end(self.life.machine.running[name], signal="SIGKILL")

    def slow_boot(self) -> None:
        program = self._program()
        program.boot_ms = self.rng.choice((4000, 15_000, 90_000))
        self._mend_later(lambda: setattr(program, "boot_ms", 300))
        self.crash()

    def no_stop(self) -> None:
        self._program().stop_failures = self.rng.randint(1, 6)

    def db_down(self) -> None:
        self._spoil_check("db", CheckState.DOWN)

    def disk_full(self) -> None:
        if self.rng.random() < 0.6:
            self.life.machine.prunable.add("disk")
        self._spoil_check("disk", self.rng.choice((CheckState.DOWN, CheckState.DEGRADED)))

    def memory(self) -> None:
        target = self.rng.choice(("machine", *(f"service/{name}" for name in self.names)))
        self._press(target, MemoryLevel.CRITICAL)
        self._mend_later(lambda: self._press(target, MemoryLevel.CALM))

    def flap(self) -> None:
        """Let a service be unready in turns, some too short to be told."""
        watched = self._watched("ready")
        if not watched:
            return
        program, at_ms = self.life.machine.programs[self.rng.choice(watched)], 0
        for _ in range(self.rng.randint(3, 8)):
            at_ms += self.rng.choice((300, 1500, 4000))
            for value in (True, False):
                self.life.time.later(at_ms, lambda value=value: self._set_unready(program, value))
                at_ms += self.rng.choice((300, 2500, 4000))

    def bad_commands(self) -> None:
        for name in ("mend", "worsen", "ease", "prove"):
            self.life.machine.commands[name] = self.rng.choice(("fails", "hangs", "works"))

    def jump(self) -> None:
        self.life.jump(self.rng.choice((-1, 1)) * self.rng.choice((0.5, 5, 60, 600, 7200)))

    def kill_brain(self) -> None:
        self.life.fall()

    def cut_brain(self) -> None:
        self.life.death = (self.rng.choice(DEATHS), self.rng.randint(1, 4))

    def lose_guard(self) -> None:
        """End the guard now, or while the next command runs."""
        if self.rng.random() < 0.5:
            self.life.death = ("guard", 1)
            return
        self.life.lose_guard()
        self.life.time.later(self.rng.choice((10, 3000)), self.life.revive)

    def checkpoint(self) -> None:
        self.life.checkpoint()

    def order(self) -> None:
        verb = self.rng.choice((Verb.RESTART, Verb.START, Verb.STOP))
        names = tuple(self.rng.sample(self.names, min(len(self.names), self.rng.choice((1, 2)))))
        self.life.tell(OperatorRequested(verb=verb, services=names, who="ann"))
        if verb is Verb.STOP:
            back = OperatorRequested(verb=Verb.START, services=names, who="ann")
            self.life.time.later(self.rng.choice((500, 60_000)), lambda: self.life.tell(back))

    def restart(self) -> None:
        names = tuple(self.rng.sample(self.names, self.rng.randint(1, min(3, len(self.names)))))
        self.life.tell(OperatorRequested(verb=Verb.RESTART, services=names, who="ann"))

    def maintain(self) -> None:
        targets = [f"service/{name}" for name in self.names]
        targets += [f"check/{check}" for check in self.life.spec.checks]
        target = self.rng.choice(targets)
        is_on = not self.life.world.is_maintained(target)
        self._maintain(target, is_on=is_on)

    def answer(self) -> None:
        for proposal in list(self.life.world.proposals.values()):
            is_yes = self.rng.random() < 0.6
            self._answer(proposal.plan_id, proposal.fault_id, proposal.target, is_yes=is_yes)

    def switch(self) -> None:
        """Let a person switch recovery or a playbook off for a while, or on again."""
        book = self.rng.choice(self.life.spec.playbooks).name
        part, name = self.rng.choice(((Part.RECOVERY, ""), (Part.PLAYBOOK, book)))
        until = self.life.time.wall + timedelta(seconds=self.rng.choice((20, 300)))
        is_on = self.rng.random() < 0.3
        self.life.tell(
            SwitchSet(part=part, name=name, is_on=is_on, until=None if is_on else until, who="ann")
        )

    # Tools --------------------------------------------------------------------------------------

    def _program(self):
        return self.life.machine.programs[self.rng.choice(self.names)]

    def _watched(self, group: str) -> list[str]:
        """Name the services that have a check of a group: what nobody looks at nobody can mend."""
        return [name for name in self.names if f"{name}.{group}" in self.life.spec.checks]

    def _hurt(self, fault: str, group: str) -> None:
        """Let one process have a fault; the next one of the service is well."""
        running = [n for n in self._watched(group) if n in self.life.machine.running]
        if running:
            setattr(self.life.machine.running[self.rng.choice(running)], fault, True)
            self.life.machine.on_change()

    def _spoil(self, fault: str, group: str) -> None:
        """Let every process of a service have a fault, for a while."""
        watched = self._watched(group)
        if not watched:
            return
        machine = self.life.machine
        program = machine.programs[self.rng.choice(watched)]

        def put(value: bool) -> None:
            setattr(program, fault, value)
            machine.on_change()

        put(True)
        self._mend_later(lambda: put(False))

    def _spoil_check(self, check: str, state: CheckState) -> None:
        machine = self.life.machine

        def mend() -> None:
            machine.system.pop(check, None)
            machine.on_change()

        machine.system[check] = state
        machine.on_change()
        self._mend_later(mend)

    def _set_unready(self, program, value: bool) -> None:
        program.is_unready = value
        self.life.machine.on_change()

    def _press(self, target: str, level: MemoryLevel) -> None:
        self.life.machine.memory[target] = level
        self.life.machine.on_change()

    def _mend_later(self, mend: Callable[[], object]) -> None:
        lasts_s = self.rng.choice(LASTS_S)
        if lasts_s is not None:
            self.life.time.later(lasts_s * 1000, mend)

    def _maintain(self, target: str, *, is_on: bool) -> None:
        lasts_s = self.rng.choice((20, 300, None)) if is_on else None
        until = None if lasts_s is None else self.life.time.wall + timedelta(seconds=lasts_s)
        self.life.tell(
            MaintenanceChanged(target=target, is_on=is_on, until=until, why="work", who="ann")
        )

    def _prove_again(self, fault: OpenFault) -> None:
        """Run the playbook again whose proof failed, as its symptom may be gone long since."""
        world, now = self.life.world, self.life.time.wall
        book = world.spec.playbook(fault.tried[-1]) if fault.doubt and fault.tried else None
        if book is None or world.plan_for(fault.fault_id) or world.proposal_for(fault.fault_id):
            return
        plan = asked(world, book, fault.target, now, who="ann")
        self.life.tell(plan)
        self._answer(plan.plan_id, plan.fault_id, plan.target, is_yes=True)

    def _answer(self, plan_id: str, fault_id: str, target: str, *, is_yes: bool) -> None:
        self.life.tell(
            ProposalAnswered(
                plan_id=plan_id, fault_id=fault_id, target=target, is_approved=is_yes, who="ann"
            )
        )


KINDS: dict[str, Callable[[Troubles], None]] = {
    name: getattr(Troubles, name)
    for name in (
        *("crash", "crash_loop", "hang", "hang_for_long", "unready", "unready_for_long"),
        *("no_start", "slow_boot", "no_stop", "db_down", "disk_full", "memory", "flap"),
        *("bad_commands", "jump", "kill_brain", "cut_brain", "lose_guard", "checkpoint"),
        *("order", "maintain", "answer", "switch"),
    )
}
HARMLESS = ("kill_brain", "cut_brain", "checkpoint", "restart")
"""What must lead to no fault at all."""
KINDS["restart"] = Troubles.restart
