"""What an end means, put together from what the guard saw, what recovery wanted and what the kernel counts. Pure."""

from dataclasses import dataclass

from resile.contain.cgroups import CgroupLimits
from resile.core.vocabulary import Cause
from resile.daemon.protocol import Exited
from resile.health.ends import (
    Asked,
    Explanation,
    LastWords,
    ProcessEnd,
    cause_of_end,
    explain,
    fingerprint,
    read_last_words,
)
from resile.recover import World, asked_of, is_early, may_end_well

_AT_LIMIT_SHARE = 0.98
"""What is charged at once may not fit any more although a little is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OomKills:
    """What the kernel has killed lately for want of memory.

    Args:
        group: In the group of the process; None: nobody counts that.
        machine: On the whole machine.
    """

    group: int | None = None
    machine: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Autopsy:
    """Why a process ended.

    Args:
        explanation: In one word and in one line.
        words: What its log tells.
        fingerprint: Names the problem; empty if nothing went wrong.
        cause: What lies behind it; None if nobody knows.
    """

    explanation: Explanation
    words: LastWords
    fingerprint: str = ""
    cause: Cause | None = None

    @property
    def is_crash(self) -> bool:
        """Tell whether something went wrong."""
        return bool(self.fingerprint)


def examine(world: World, exited: Exited, *, limits: CgroupLimits, kills: OomKills) -> Autopsy:
    """Explain an end. Ask before it is folded into the world.

    Args:
        world: What recovery knows.
        exited: What the guard saw.
        limits: What the process and its group may use.
        kills: What was killed when it ended.
    """
    is_current = exited.generation == world.service(exited.service).generation
    asked = asked_of(world, exited.service) if is_current else None
    hang = asked.hang if asked else ""
    words = read_last_words(
        exited.tail, exit_code=exited.exit_code, signal=exited.signal, is_hang=bool(hang)
    )
    explanation = explain(
        ProcessEnd(
            exit_code=exited.exit_code,
            signal=exited.signal,
            asked=asked,
            is_early=is_current and is_early(world, exited.service),
            oom_kills=kills.group,
            has_hit_limit=_has_hit(exited, limits),
            memory_max_bytes=exited.memory_max_bytes,
            memory_limit_bytes=limits.memory_bytes,
            machine_oom_kills=kills.machine,
            refused_processes=exited.refused_processes,
            processes_limit=limits.processes,
            error=words.error,
            place=words.place,
        )
    )
    is_done = exited.exit_code == 0 and may_end_well(world, exited.service)
    if not explanation.is_crash or (asked is None and is_done):
        return Autopsy(explanation=explanation, words=words)
    return Autopsy(
        explanation=explanation,
        words=words,
        fingerprint=_fingerprint(exited, explanation, words, asked),
        cause=cause_of_end(explanation.kind, words.error, exited.tail),
    )


def _has_hit(exited: Exited, limits: CgroupLimits) -> bool:
    """Tell whether its group was at its memory limit: counted, or seen in the most that it used."""
    is_near = exited.memory_max_bytes >= _AT_LIMIT_SHARE * limits.memory_bytes > 0
    return exited.memory_limit_hits > 0 or is_near


def _fingerprint(
    exited: Exited, explanation: Explanation, words: LastWords, asked: Asked | None
) -> str:
    return fingerprint(
        explanation.kind,
        exit_code=exited.exit_code,
        signal=exited.signal,
        frames=words.frames,
        error=words.error,
        check=asked.hang if asked else "",
    )
