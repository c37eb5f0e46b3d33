"""Playbooks: what is done about which fault, in what order, and how it is judged.

One table is one playbook, `[playbook.NAME]`; a file of the playbooks' folder holds one such table
at its root, with its name. The playbooks that resile ships are written in the same way.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from resile.core.config.base import Command, Count, Flag, FolderPath, Section, setting
from resile.core.config.faults import fault
from resile.core.config.units import DurationIn

STEPS_MAX = 20
"""More steps than that are a program; a command step can start one."""
SHIPPED = (
    "contain_breach",
    "explain_permission",
    "free_lock",
    "free_port",
    "make_room",
    "prune",
    "rearm",
    "refresh_secret",
    "renew_certificate",
    "replace_hung",
    "replace_unready",
    "restart",
    "restart_before_exhaustion",
    "restart_before_oom",
    "restart_exhausted",
    "restart_unready_exhausted",
    "restart_unready_once",
    "roll_back",
    "rotate_secret",
)
"""The names of the playbooks in `resile/recover/playbooks/shipped`; a `then` may name them."""

FaultName = Literal[
    "crash",
    "hang",
    "crash_loop",
    "start_failed",
    "not_ready",
    "dependency_down",
    "disk_nearly_full",
    "check_down",
    "memory_pressure",
    "descriptors_exhausted",
    "pool_exhausted",
    "clock_jump",
    "exhaustion_predicted",
    "escape_attempt",
    "store_damaged",
    "store_lost",
    "store_unreachable",
    "snapshots_fail",
    "data_mismatched",
    "compromise",
    "misuse",
    "rotation_stuck",
    "provider_down",
]
EndName = Literal[
    "unknown",
    "exit",
    "signal",
    "memory_violation",
    "abort",
    "oom",
    "machine_oom",
    "processes",
    "watchdog",
    "hang",
    "start_failed",
]
CauseName = Literal[
    "port_taken",
    "permission",
    "disk_full",
    "descriptors",
    "processes",
    "memory",
    "pool",
    "lock",
    "corruption",
    "dependency",
    "secret",
    "certificate",
    "clock",
]


class PlaybooksSection(Section):
    """Where the system's own playbooks are."""

    folder: FolderPath = setting(
        "playbooks",
        description="Each `*.toml` file in it is one playbook. One of the same name as a shipped "
        "playbook replaces it. A folder that is not there holds none.",
    )


class MatchSection(Section):
    """Which faults a playbook is for. Everything that is written must hold."""

    faults: tuple[FaultName, ...] = Field(
        min_length=1, description="The kinds of fault, one or more."
    )
    targets: tuple[str, ...] = setting(
        ["*"],
        min_length=1,
        description='Patterns of targets, such as "service/api-*" or "check/disk"; one must fit.',
    )
    process: Literal["any", "alive", "dead"] = setting(
        "any", description="Whether a process of the service runs."
    )
    upstream: Literal["any", "works"] = setting(
        "any", description="`works`: not while something that the service needs is broken."
    )
    after: Annotated[float, DurationIn("0s", "1d")] = setting(
        "0s",
        description="Not before the fault is so old, 0s to 1d: it may go away by itself.",
    )
    signals: tuple[str, ...] = setting(
        [], description='The process was ended by one of these, such as "SIGSEGV".'
    )
    exit_codes: tuple[Count, ...] = setting([], description="It ended with one of these.")
    oom: Flag | None = setting(
        None,
        description="true: the kernel killed it for want of memory; false: it did not. "
        "Default: either.",
    )
    ends: tuple[EndName, ...] = setting([], description="Why it ended, in one word; one must fit.")
    causes: tuple[CauseName, ...] = setting(
        [],
        description="What lies behind the fault, where an error, a check or a detector tells it, "
        'such as "port_taken"; one must fit.',
    )
    oom_restart: Flag = setting(False, description='Only for services that say `oom = "restart"`.')
    changed: Flag = setting(
        False,
        description="Only for services that are declared otherwise than when they last worked.",
    )


class StepSection(Section):
    """One step. The steps are done one after the other; what has nothing to do is passed over."""

    do: Literal[
        "start",
        "stop",
        "kill",
        "restart",
        "prune",
        "command",
        "explain",
        "free_port",
        "free_lock",
        "roll_back",
        "rotate_secret",
        "renew_certificate",
        "kill_runs",
        "freeze",
        "collect",
        "rearm",
    ] = Field(
        description="`start`, `stop`, `kill` and `restart` work on the service, together with its "
        "group where the group's strategy says so; `prune` removes old logs, crash bundles and what "
        "is declared `prunable`; `command` runs a program; `explain` finds out what a person must "
        "know, and always fails with it; `free_port` kills what is left of this system on the port; "
        "`free_lock` has the service restarted that holds a database's lock; `roll_back` goes back "
        "to how the service was declared when it last worked; `rotate_secret` rotates the secrets "
        "that it gets; `renew_certificate` runs its `renew`, else rotates them; `kill_runs` kills "
        "the contained runs in question; `freeze` stops the service, or holds contained runs, until "
        "a person lets them go; `collect` writes a file of evidence; `rearm` looks at everything "
        "anew."
    )
    command: Command | None = setting(
        None,
        description="The program and its arguments; no shell reads it. It runs in the folder of "
        "resile.toml, with RESILE_TARGET, RESILE_PLAYBOOK and RESILE_ACTION in its environment.",
    )
    timeout: Annotated[float, DurationIn("100ms", "1h")] = setting(
        "30s", description="A command is killed above this, 100ms to 1h."
    )
    repeatable: Flag = setting(
        False,
        description="The command may be run again where nobody knows whether it came to its end. "
        "Else its end counts as unknown, and only the verification tells.",
    )
    backoff: Flag = setting(
        False,
        description="A start waits for the service's back-off, which grows with every restart.",
    )

    @field_validator("command", mode="after")
    @classmethod
    def _fits_what_is_done(
        cls, command: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        do = info.data.get("do")
        if do == "command" and command is None:
            raise fault("is missing", hint='write command = ["PROGRAM", "ARGUMENT"]')
        if do not in (None, "command") and command is not None:
            raise fault(f'"{do}" runs no command', hint='write do = "command"')
        return command


class VerifySection(Section):
    """When a playbook has helped: the symptom is gone, and the command (if any) exits with 0."""

    within: Annotated[float, DurationIn("1s", "1d")] | None = setting(
        None,
        description="The symptom must be gone so long after the last step, 1s to 1d. Default: the "
        "service's ready_timeout and a minute; 2m for a check.",
    )
    command: Command | None = setting(
        None, description="Run once the symptom is gone; anything but exit code 0 is a failure."
    )
    timeout: Annotated[float, DurationIn("100ms", "1h")] = setting(
        "30s", description="The command has failed above this, 100ms to 1h."
    )


class PlaybookSection(Section):
    """What is done about a fault."""

    version: Count = setting(1, ge=1, le=1_000_000, description="Counts its changes; for people.")
    why: str = Field(min_length=1, description="What it is for, in a sentence.")
    priority: Count = setting(
        100,
        ge=0,
        le=1000,
        description="Of all that fit a fault the one with the highest is tried first, 0 to 1000. "
        "The shipped ones have 50.",
    )
    match: MatchSection = Field(description="Which faults it is for.")
    steps: tuple[StepSection, ...] = Field(
        min_length=1, max_length=STEPS_MAX, description="What is done, 1 to 20 steps."
    )
    verify: VerifySection = setting({}, description="When it has helped.")
    undo: tuple[StepSection, ...] = setting(
        [],
        max_length=STEPS_MAX,
        description="What is done when it has not helped, at most 20 steps.",
    )
    attempts: Count = setting(
        0,
        ge=0,
        le=100,
        description="Tries for one fault, 0 to 100; 0: as many as `[resile.budget]` says.",
    )
    cool_down: Annotated[float, DurationIn("0s", "7d")] = setting(
        "0s", description="Not again on the same target before so long, 0s to 7d."
    )
    approval: Literal["auto", "ask"] = setting(
        "auto",
        description="`ask`: it is proposed, and waits for `resile playbooks approve`. Nothing else "
        "is done about the fault until it is answered.",
    )
    blast_radius: Annotated[Count, Field(ge=1, le=1000)] | None = setting(
        None,
        description="So many services of the target's group may be worked on at once, 1 to 1000. "
        "Default: any.",
    )
    bounded_by: Literal["budget", "intensity"] = setting(
        "budget",
        description="`intensity`: not the budget but the service's restart intensity bounds it.",
    )
    escalate: Flag = setting(
        False, description="A person is called at once if it did not help, and told what it found."
    )
    then: str = setting(
        "", description="The playbook to try next if this one did not help, before all others."
    )
