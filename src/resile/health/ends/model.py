"""What is known of a process that has ended, and how its end is explained. Frozen values."""

from dataclasses import dataclass

from resile.core.vocabulary import EndKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What resile or an operator wanted of a process when it ended.

    Args:
        is_kill: It was to be killed at once, not asked first.
        hang: What was seen of its hang, in one line; empty if it was not taken for hung.
        is_heartbeat: What was seen is a missing heartbeat.
        because: Why else recovery replaces it, in one line; empty if an operator wanted it.
        is_start_failure: That is because it did not become ready.
    """

    is_kill: bool = False
    hang: str = ""
    is_heartbeat: bool = False
    because: str = ""
    is_start_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """A service's main process that has ended.

    Args:
        exit_code: None if a signal ended it, or nobody saw.
        signal: Its name; empty if none.
        is_lost: Nobody saw how.
        asked: What was wanted of it; None: it was to run.
        is_early: It had not been ready, although it has to prove that it is.
        oom_kills: How many processes of its group the kernel killed for want of memory in its last
            moments; None: nobody counts them.
        has_hit_limit: Its group has been at its own memory limit.
        memory_max_bytes: The most that its group used; 0: not known.
        memory_limit_bytes: What it may use; 0: there is no limit.
        machine_oom_kills: The same count for the whole machine.
        refused_processes: How many processes it was refused at its limit.
        processes_limit: How many it may have at once; 0: there is no limit.
        error: The last thing that it complained of, in one line; may be empty.
        place: Where in its program that was, such as `app.py:work`; may be empty.
    """

    exit_code: int | None = None
    signal: str = ""
    is_lost: bool = False
    asked: Asked | None = None
    is_early: bool = False
    oom_kills: int | None = None
    has_hit_limit: bool = False
    memory_max_bytes: int = 0
    memory_limit_bytes: int = 0
    machine_oom_kills: int = 0
    refused_processes: int = 0
    processes_limit: int = 0
    error: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a process ended.

    Args:
        kind: In one word.
        text: In one line for people that goes behind the process's name.
        is_graceful: It ended of its own accord and in order: it was asked to, or was done.
    """

    kind: EndKind
    text: str
    is_graceful: bool = False

    @property
    def is_crash(self) -> bool:
        """Tell whether something went wrong: it was neither asked to end, nor killed on purpose.

        An end that nobody asked for is a crash even with exit code 0; what hung is one although
        resile ended it.
        """
        return self.kind not in (EndKind.STOPPED, EndKind.KILLED)
