"""What a playbook comes to for one fault: steps that may make its symptom go away, or what keeps it."""

from dataclasses import dataclass
from datetime import datetime

from resile.core.events import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What can be done about a fault.

    Args:
        playbook: Its name.
        steps: One after the other.
        verify_s: Given up so long after the last step.
        undo: What is done when it has not helped.
    """

    playbook: str
    steps: tuple[Step, ...]
    verify_s: float
    undo: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """Why a playbook is not used now.

    Args:
        why: In words that follow the playbook's name, such as "a process of it runs".
        until: When it is over; None if only an event can end it.
    """

    why: str
    until: datetime | None = None
