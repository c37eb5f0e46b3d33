"""What a playbook is: frozen data, made from its TOML table once.

The shipped ones are read by `playbooks/reading.py`; which of them a fault gets, and what steps
they come to in the present world, is told by `playbooks/choose.py` and `playbooks/steps.py`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from resile.core.vocabulary import Cause, FaultKind


class Do(StrEnum):
    """What a step of a playbook does."""

    START = "start"
    STOP = "stop"
    KILL = "kill"
    RESTART = "restart"
    """Stop, then start."""
    PRUNE = "prune"
    COMMAND = "command"
    EXPLAIN = "explain"
    FREE_PORT = "free_port"
    FREE_LOCK = "free_lock"
    ROLL_BACK = "roll_back"
    ROTATE_SECRET = "rotate_secret"  # noqa: S105 - the word
    RENEW_CERTIFICATE = "renew_certificate"
    """Run what the service declares for that, else rotate its secrets."""
    KILL_RUNS = "kill_runs"
    FREEZE = "freeze"
    COLLECT = "collect"
    REARM = "rearm"


class Approval(StrEnum):
    """Who says that a playbook may be used."""

    AUTO = "auto"
    ASK = "ask"
    """A person, each time."""


class Bound(StrEnum):
    """What bounds how often a playbook is used."""

    BUDGET = "budget"
    INTENSITY = "intensity"
    """The restart intensity of the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookStep:
    """One step, before it is worked out for a target.

    Args:
        do: What is done.
        command: The program of a `COMMAND` step.
        timeout_s: It is killed above this. Default 30.
        is_repeatable: It may be run again where nobody knows whether it came to its end.
        has_backoff: A start waits for the service's back-off.
    """

    do: Do
    command: tuple[str, ...] = ()
    timeout_s: float = 30.0
    is_repeatable: bool = False
    has_backoff: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which faults a playbook is for. Everything must hold; what is empty or None holds always.

    Args:
        faults: The kinds.
        targets: Patterns of `service/NAME` and `check/ID`; one must fit.
        is_alive: Whether a process of the service must run, or must not.
        needs_upstream: Not while something that the service needs is broken.
        after_s: Not before the fault, or the end of trouble upstream, is so long ago.
        signals: One of them ended the process.
        exit_codes: It ended with one of them.
        is_oom: Whether the kernel must have killed it for want of memory, or must not.
        ends: Why it ended; one must fit.
        causes: What lies behind it; one must fit.
        needs_oom_restart: The service must say that it is to be restarted before it is killed for
            want of memory.
        needs_change: The service must be declared otherwise than when it last worked.
    """

    faults: frozenset[FaultKind]
    targets: tuple[str, ...] = ("*",)
    is_alive: bool | None = None
    needs_upstream: bool = False
    after_s: float = 0.0
    signals: frozenset[str] = frozenset()
    exit_codes: frozenset[int] = frozenset()
    is_oom: bool | None = None
    ends: frozenset[str] = frozenset()
    causes: frozenset[Cause] = frozenset()
    needs_oom_restart: bool = False
    needs_change: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """When a playbook has helped.

    Args:
        within_s: The symptom is gone so long after the last step; None: as the target needs.
        command: Must exit with 0 once the symptom is gone; empty: nothing is run.
        timeout_s: The command has failed above this.
    """

    within_s: float | None = None
    command: tuple[str, ...] = ()
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """What is done about a fault.

    Args:
        name: Unique.
        why: What it is for.
        match: Which faults it is for.
        steps: One after the other; at least one.
        version: For people.
        priority: The highest is tried first.
        verify: When it has helped.
        undo: What is done when it has not.
        attempts: Tries for one fault; 0: as many as the budget says.
        cool_down_s: Not again on the same target before so long.
        approval: Whether a person must say yes.
        blast_radius: So many services of a group may be worked on at once; 0: any number.
        bound: What bounds how often it is used.
        then: The playbook to try next if this one did not help; may be empty.
        calls_person: A person is called at once if it did not help.
        is_shipped: It came with resile.
    """

    name: str
    why: str
    match: Match
    steps: tuple[PlaybookStep, ...]
    version: int = 1
    priority: int = 100
    verify: Verify = field(default_factory=Verify)
    undo: tuple[PlaybookStep, ...] = ()
    attempts: int = 0
    cool_down_s: float = 0.0
    approval: Approval = Approval.AUTO
    blast_radius: int = 0
    bound: Bound = Bound.BUDGET
    then: str = ""
    calls_person: bool = False
    is_shipped: bool = False
