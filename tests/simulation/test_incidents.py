"""One root fault in a running system is one incident, whatever its symptoms look like.

A failure prints its seed; `run_seed(SEED)` repeats it exactly.
"""

import random

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system
from tests.support.thorough import some

from resile.core.events import FaultOpened, NoticeSent
from resile.core.vocabulary import CheckState, Verb
from resile.recover import SystemSpec

SEEDS = range(100)
PARTS = 2
"""So that the workers of the test run share the seeds."""
SEEDS_A_PART = 20
"""Other ones each time."""
NODES = 12


def some_system(rng: random.Random) -> SystemSpec:
    """Declare services in layers over `n0`, each with both checks."""
    services = [service("n0", ready_timeout_s=20.0)]
    for index in range(1, NODES):
        needs = {rng.randrange(index), rng.randrange(index)}
        names = [f"n{need}" for need in sorted(needs)]
        services.append(service(f"n{index}", *names, ready_timeout_s=20.0))
    checks = " ".join(f"n{index}.{group}" for index in range(NODES) for group in ("live", "ready"))
    return system(*services, checks=checks)


def break_one(shell: Shell, rng: random.Random) -> str:
    """Break one service for a while that is longer than its symptoms need to show."""
    name = f"n{rng.randrange(NODES)}"
    program = shell.programs[name]
    kind = rng.choice(("crash", "hang", "unready", "missing", "brain and crash"))
    if kind == "hang":
        program.is_hung = True
    elif kind == "unready":
        program.is_unready = True
    elif kind == "missing":
        program.start_error = "no such file"
        shell.crash(name)
    elif kind == "brain and crash":
        shell.kill_brain()
        shell.crash(name)
        shell.run(rng.uniform(0, 2))
        shell.revive_brain()
    else:
        shell.crash(name)
    return name


def run_seed(seed: int) -> None:
    rng = random.Random(seed)
    shell = Shell(some_system(rng)).begin()
    shell.run(30)
    assert set(shell.states().values()) == {CheckState.UP}
    assert not shell.payloads(FaultOpened)

    name = break_one(shell, rng)
    shell.run(rng.uniform(3, 50))
    program = shell.programs[name]
    program.is_hung = program.is_unready = False
    program.start_error = ""
    shell.order(Verb.START, name)
    shell.run(900)

    (incident,) = [i for i in shell.book.incidents.values() if not i.absorbed_into]
    assert incident.target == f"service/{name}"
    assert incident.state == "resolved"
    assert set(shell.states().values()) == {CheckState.UP}
    notices = [notice.transition for notice in shell.payloads(NoticeSent)]
    assert notices.count("opened") <= 1
    assert notices.count("resolved") <= 1


@pytest.mark.parametrize("part", range(PARTS))
def test_one_root_fault_is_one_incident(part: int) -> None:
    for seed in some(SEEDS[part::PARTS], SEEDS_A_PART):
        try:
            run_seed(seed)
        except BaseException as exc:
            exc.add_note(f"seed {seed}")
            raise
