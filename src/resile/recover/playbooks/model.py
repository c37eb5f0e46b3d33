"""What a playbook gives: the steps that may make a symptom go away, and how it is judged."""

from dataclasses import dataclass

from resile.core.events import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What can be done about a fault.

    Args:
        playbook: Its name.
        steps: One after the other.
        verify_s: Given up so long after the last step.
    """

    playbook: str
    steps: tuple[Step, ...]
    verify_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How a playbook is bounded and judged.

    Args:
        attempts_max: Tries for one fault; 0 means as many as the budget says.
        is_budgeted: False if something else bounds it (a restart has its intensity).
        is_symptom_reset: A symptom that is seen after the last step is a new one, so the remedy
            has failed at once; else it may simply need its time.
    """

    attempts_max: int = 0
    is_budgeted: bool = True
    is_symptom_reset: bool = True


TRAITS = {
    "restart": Traits(is_budgeted=False),
    "replace_hung": Traits(),
    "replace_unready": Traits(),
    "restart_unready_once": Traits(attempts_max=1),
    "prune": Traits(is_symptom_reset=False),
}
"""Of every playbook by its name."""


def traits_of(playbook: str) -> Traits:
    """Give the traits of a playbook; those of an unknown one (a newer writer's) are the default."""
    return TRAITS.get(playbook, Traits())
