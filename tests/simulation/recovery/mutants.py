"""Plausible mistakes in recovery, planted in memory: each must be found by the simulation.

Each names the troubles that bring it out, so that few seeds find it; what finds it are the laws and the
end that hold for every world. How a mistake is planted is told in `tests/support/policy_mutants.py`.
"""

from collections.abc import Iterable

from tests.simulation.recovery.seeds import run_seed
from tests.support.policy_mutants import Mutant


def found_by(mutant: Mutant, seeds: Iterable[int]) -> int | None:
    """Give the first seed that fails while a mistake is planted; None if none does."""
    with mutant.planted():
        for seed in seeds:
            try:
                run_seed(seed, focus=mutant.worlds)
            except Exception:  # noqa: BLE001 - a mistake may show as any error
                return seed
    return None


def mutant(name: str, module: str, before: str, after: str, troubles: str) -> Mutant:
    return Mutant(name, module, before, after, tuple(troubles.split()), "resile.recover")


MUTANTS = (
    mutant(
        "two plans work on one target",
        "plans",
        "if targets & taken or is_spread",
        "if is_spread",
        "hang unready crash",
    ),
    mutant(
        "what is quarantined is started",
        "playbooks.choose",
        "if status.is_quarantined and not is_rolled_back(playbook):",
        "if status.is_quarantined and is_rolled_back(playbook):",
        "crash_loop",
    ),
    mutant(
        "what an operator stopped is started",
        "lifecycle",
        "if status.is_alive or status.desired is Desired.STOPPED or",
        "if status.is_alive or",
        "order",
    ),
    mutant(
        "what ended in maintenance is started",
        "lifecycle",
        "if world.is_left_to_operator(name):\n        return False",
        "",
        "maintain crash",
    ),
    mutant(
        "a service starts when one of its dependencies is usable",
        "world",
        "return all(self.is_usable(need) for need in self.graph.needs(name))",
        "return not self.graph.needs(name) or any(map(self.is_usable, self.graph.needs(name)))",
        "crash restart",
    ),
    mutant(
        "a plan starts a service whatever it needs",
        "steps",
        "return is_in_order(world, plan) and _is_startable(world, target)",
        "return is_in_order(world, plan)",
        "crash db_down no_start",
    ),
    mutant(
        "the budget allows one use more",
        "budget",
        "if len(recent) < budget.attempts:",
        "if len(recent) <= budget.attempts:",
        "hang",
    ),
    mutant(
        "the window of the budget is half as long",
        "budget",
        "if at > now - window]",
        "if at > now - window / 2]",
        "hang",
    ),
    mutant(
        "a fault may be tried once more than the budget says",
        "budget",
        "if fault.attempts >= max(",
        "if fault.attempts > max(",
        "hang_for_long no_start",
    ),
    mutant(
        "one restart more than the intensity",
        "faults",
        "< restart.intensity:",
        "<= restart.intensity:",
        "crash_loop",
    ),
    mutant(
        "slow loops are never quarantined",
        "faults",
        "if fault.attempts >= SLOW_LOOP_FACTOR * restart.intensity:",
        "if fault.attempts >= 99 * restart.intensity:",
        "crash_loop",
    ),
    mutant(
        "the blast radius is one wider",
        "spread",
        "& group) > playbook.blast_radius",
        "& group) > playbook.blast_radius + 1",
        "hang unready",
    ),
    mutant(
        "a fault is over before it was stable",
        "verify",
        "if now >= stable_at:",
        "if now >= since:",
        "crash",
    ),
    mutant(
        "what did not help is not undone",
        "verify",
        "if not plan.undo or plan.done == 0 or plan.is_overridden:",
        "if plan.done < len(plan.steps) or not plan.undo:",
        "bad_commands hang_for_long unready_for_long no_start",
    ),
    mutant(
        "nobody is called while a plan is open",
        "plans",
        "if fault.is_escalated or",
        "if fault.is_escalated or world.plan_for(fault.fault_id) or",
        "slow_boot no_start db_down",
    ),
    mutant(
        "a failed step counts as done well",
        "fold.recovery",
        'error="" if payload.is_ok else',
        'error="" if payload.is_ok or plan.done else',
        "bad_commands no_stop hang unready_for_long",
    ),
    mutant(
        "a start that is told twice counts twice",
        "fold.services",
        "if (status.generation, status.pid) == (payload.generation, payload.pid):",
        "if (status.generation, status.pid) == (0, 0):",
        "restart cut_brain",
    ),
    mutant(
        "checks of the last process count for the next one",
        "fold.services",
        "store.checks[check] = CheckStatus()",
        "store.checks[check] = store.checks[check]",
        "hang crash",
    ),
    mutant(
        "maintenance ends before its time",
        "maintenance",
        "if now < maintenance.until:",
        "if now < maintenance.until and maintenance.why != 'work':",
        "maintain",
    ),
    mutant(
        "faults are opened in maintenance",
        "faults",
        "        if world.is_maintained(service_target(name)):\n            continue\n",
        "",
        "maintain crash hang",
    ),
    mutant(
        "a plan that waits for a person is begun",
        "plans",
        "if not proposal.is_approved or",
        "if",
        "hang_for_long unready_for_long no_start",
    ),
    mutant(
        "what a person refused is proposed again",
        "playbooks.choose",
        "b.name not in fault.refused and",
        "",
        "hang_for_long unready_for_long answer answer",
    ),
    mutant(
        "a checkpoint forgets what waits for a person",
        "store",
        "for i, p in record.proposals.items() if self.is_known(p.target)}",
        "for i, p in record.proposals.items() if p.is_approved}",
        "hang_for_long checkpoint kill_brain",
    ),
    mutant(
        "a stop does not wait for dependents that stop too",
        "lifecycle",
        "return status.desired is Desired.STOPPED and is_there",
        "return False and is_there",
        "order",
    ),
    mutant(
        "a command is run again by the next guard",
        "fold.recovery",
        "if action.action is ActionKind.RUN and not action.is_repeatable and plan is not None:",
        "if action.action is ActionKind.RUN and plan is None:",
        "bad_commands hang_for_long lose_guard unready_for_long",
    ),
    mutant(
        "a plan is given up in the middle of an action",
        "verify",
        "if plan is not None and not steps.is_acting(world, plan):",
        "if plan is not None:",
        "unready order restart",
    ),
    mutant(
        "what is ended and what needs it act at once",
        "lifecycle",
        "if finding.target in taken or _needs_any(world, finding, ending):",
        "if finding.target in taken:",
        "restart crash order",
    ),
    mutant(
        "a new fault starts with what it was opened for last",
        "fold.recovery",
        "store.faults.pop(payload.fault_id, None)",
        "store.faults.get(payload.fault_id, None)",
        "crash",
    ),
    mutant(
        "a hang is seen before the process had its time",
        "conditions",
        "if s.was_good or is_over or _is_after(s, proven_at)",
        "if True",
        "slow_boot",
    ),
    mutant(
        "a cool-down counts from the first use",
        "budget",
        "return uses[-1] + timedelta",
        "return uses[0] + timedelta",
        "unready",
    ),
    mutant(
        "a symptom that never shows itself again is waited for",
        "faults",
        "return None if status.is_quarantined else status.ready_at",
        "return None if status.is_quarantined or status.restarts else status.ready_at",
        "crash",
    ),
)
