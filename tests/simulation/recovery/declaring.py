"""Makes systems at random: services in layers, checks, groups, restart policies, playbooks of a user's own."""

from random import Random

from resile.core.vocabulary import CheckGroup, FaultKind
from resile.recover import (
    BudgetSpec,
    CheckBinding,
    GroupSpec,
    RestartPolicy,
    RestartSpec,
    ServiceSpec,
    Strategy,
    SystemSpec,
)
from resile.recover.playbook import Approval, Do, Match, Playbook, PlaybookStep, Verify
from resile.recover.playbooks import shipped

KINDS = (
    FaultKind.HANG,
    FaultKind.NOT_READY,
    FaultKind.START_FAILED,
    FaultKind.DISK_NEARLY_FULL,
    FaultKind.DEPENDENCY_DOWN,
    FaultKind.MEMORY_PRESSURE,
    FaultKind.CRASH_LOOP,
)
LIVE, READY, SYSTEM = CheckGroup.LIVE, CheckGroup.READY, CheckGroup.SYSTEM
POLICIES = (*(RestartPolicy.PERMANENT,) * 6, RestartPolicy.TRANSIENT, RestartPolicy.TEMPORARY)


def some_system(rng: Random, size: int, *, is_plain: bool = False) -> SystemSpec:
    """Declare a system of so many services.

    Args:
        rng: The dice.
        size: How many services.
        is_plain: Every end is answered with a restart, and there are the shipped playbooks alone.
    """
    policies = POLICIES[:1] if is_plain else POLICIES
    names = [f"s{index}" for index in range(size)]
    checks = {
        "disk": CheckBinding(
            check="disk", service="", group=SYSTEM, fault=FaultKind.DISK_NEARLY_FULL
        ),
        "db": CheckBinding(check="db", service="", group=SYSTEM, fault=FaultKind.DEPENDENCY_DOWN),
    }
    services = {}
    for index, name in enumerate(names):
        needs = rng.sample(names[max(0, index - 12) : index], min(index, rng.choice((0, 1, 1, 2))))
        if rng.random() < 0.1:
            needs.append("db")
        services[name] = _service(rng, name, tuple(needs), policies)
        for group in (LIVE, READY):
            if rng.random() < 0.75:
                check = f"{name}.{group}"
                checks[check] = CheckBinding(check=check, service=name, group=group)
    return SystemSpec(
        services=services,
        checks=checks,
        groups=tuple(_groups(rng, names)),
        budget=BudgetSpec(
            attempts=3 if is_plain else rng.choice((1, 2, 3)),
            window_s=rng.choice((120.0, 300.0)),
            at_once=rng.choice((1, 2, 8)),
        ),
        playbooks=shipped() if is_plain else (*shipped(), *_playbooks(rng)),
    )


def _service(
    rng: Random, name: str, needs: tuple[str, ...], policies: tuple[RestartPolicy, ...]
) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        depends_on=needs,
        is_critical=rng.random() < 0.3,
        ready_timeout_s=10.0,
        is_notify=rng.random() < 0.2,
        is_restarted_before_oom=rng.random() < 0.5,
        restart=RestartSpec(
            policy=rng.choice(policies), intensity=rng.choice((2, 3, 5)), period_s=60.0
        ),
    )


def _groups(rng: Random, names: list[str]) -> list[GroupSpec]:
    """Put neighbours into groups, each service into one at most."""
    groups, first = [], 0
    while rng.random() < 0.7 and first + 2 <= len(names):
        members = tuple(names[first : first + rng.randint(2, 4)])
        strategy = rng.choice((Strategy.ONE_FOR_ONE, *Strategy))
        groups.append(GroupSpec(name=f"g{first}", services=members, strategy=strategy))
        first += len(members)
    return groups


def _playbooks(rng: Random) -> list[Playbook]:
    """Declare up to two playbooks of a user's own."""
    first = rng.choice(("mend", "worsen", "mend"))
    command = PlaybookStep(
        do=Do.COMMAND, command=(first,), timeout_s=20.0, is_repeatable=rng.random() < 0.5
    )
    undo = PlaybookStep(do=Do.COMMAND, command=("ease",), timeout_s=20.0, is_repeatable=True)
    restart = PlaybookStep(do=Do.RESTART)
    found = []
    for index in range(rng.choice((0, 1, 1, 2))):
        steps = rng.choice(((command,), (command, restart), (restart, command), (restart,)))
        found.append(
            Playbook(
                name=f"ours-{index}",
                why="For tests.",
                match=Match(
                    faults=frozenset(rng.sample(KINDS, 2)),
                    needs_upstream=rng.random() < 0.3,
                    after_s=rng.choice((0.0, 0.0, 20.0)),
                ),
                steps=steps,
                undo=(undo,)
                if first == "worsen" and command in steps
                else rng.choice(((), (undo,))),
                verify=Verify(
                    within_s=rng.choice((5.0, 20.0, None)), command=rng.choice(((), ("prove",)))
                ),
                attempts=rng.choice((0, 1, 2)),
                cool_down_s=rng.choice((0.0, 30.0, 400.0)),
                priority=rng.choice((10, 200)),
                blast_radius=rng.choice((0, 1, 1, 2)),
                approval=rng.choice((Approval.AUTO, Approval.AUTO, Approval.ASK)),
                then=rng.choice(("", "replace_hung")),
            )
        )
    return found
