"""Explain why a process ended, from counters and from what was asked of it, not from its exit code alone. Pure.

What comes first explains it:

1. A process of its group was killed for want of memory, and the main one by SIGKILL or with an exit
   code that is not 0.
2. It was taken for hung, and killed for that, whatever signal ended it in the end.
3. A signal that tells of a fault of its own: it crashed, also while it was being stopped.
4. It was asked to end, or was to be killed.
5. It was refused processes at its limit, and failed.
6. Another signal, or its exit code.

A shell ends with 128 and a number when a signal ended its command: that counts as the signal.
"""

import signal
from typing import Final

from resile.core.process import signal_name
from resile.core.signals import MEANINGS, signal_meaning
from resile.core.units import format_size
from resile.core.vocabulary import EndKind
from resile.health.ends.model import Asked, Explanation, ProcessEnd

TEXT_LENGTH_MAX: Final = 240
"""It is part of an incident's title, which is one line."""
_KILL: Final = "SIGKILL"
_SHELL_SIGNAL: Final = 128
_SHELL_FAILURES: Final = {126: "its command cannot be executed", 127: "its command is not there"}
"""Source: "Exit Status" in bash(1)."""
_MEMORY_SIGNALS: Final = frozenset({"SIGSEGV", "SIGBUS", "SIGILL"})
_POLITE_SIGNALS: Final = frozenset({"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"})
"""What a service can be asked with to end (`stop.signal`)."""


def explain(end: ProcessEnd) -> Explanation:
    """Tell why a process ended."""
    judges = (_lost, _out_of_memory, _hung, _faulted, _stopped, _refused, _signalled)
    found = (explanation for judge in judges if (explanation := judge(end)) is not None)
    explained = next(found, None) or _exited(end)
    return Explanation(
        kind=explained.kind,
        text=explained.text[:TEXT_LENGTH_MAX],
        is_graceful=explained.is_graceful,
    )


def _lost(end: ProcessEnd) -> Explanation | None:
    if end.is_lost or (end.exit_code is None and not end.signal):
        return Explanation(kind=EndKind.UNKNOWN, text="ended while nobody could see how")
    return None


def _out_of_memory(end: ProcessEnd) -> Explanation | None:
    """Explain an end by the kernel's want of memory.

    Where the kills of its group are counted, one elsewhere on the machine explains nothing.
    """
    is_killed = _signal_of(end) == _KILL
    if end.oom_kills is None:
        is_oom = is_killed and end.machine_oom_kills > 0 and end.asked is None
    else:
        is_oom = end.oom_kills > 0 and (is_killed or _has_failed(end))
    if not is_oom:
        return None
    how = f"{_how(end)} for want of memory"
    if end.memory_limit_bytes and (end.has_hit_limit or end.oom_kills is None):
        reached = f"reached {format_size(end.memory_max_bytes)}, " if end.memory_max_bytes else ""
        allowed = f"{format_size(end.memory_limit_bytes)} allowed"
        return Explanation(kind=EndKind.OOM, text=f"{how}: {reached}{allowed}{_early(end)}")
    text = f"{how}: the machine had none left{_early(end)}"
    return Explanation(kind=EndKind.MACHINE_OOM, text=text)


def _hung(end: ProcessEnd) -> Explanation | None:
    if end.asked is None or not end.asked.hang:
        return None
    kind = EndKind.WATCHDOG if end.asked.is_heartbeat else EndKind.HANG
    place = f", in {end.place}" if end.place else ""
    return Explanation(kind=kind, text=f"killed by resile because it hung{place}: {end.asked.hang}")


def _faulted(end: ProcessEnd) -> Explanation | None:
    """Explain a signal that the process brought upon itself."""
    name = _signal_of(end)
    if name not in MEANINGS:
        return None
    kind = EndKind.SIGNAL
    if name in _MEMORY_SIGNALS:
        kind = EndKind.MEMORY_VIOLATION
    elif name == "SIGABRT":
        kind = EndKind.ABORT
    where = f", in {end.place}" if end.place else ""
    why = f": {end.error}" if end.error and kind is EndKind.ABORT else ""
    when = _early(end) if end.asked is None else " while it was being stopped"
    text = f"{_how(end)}: {signal_meaning(name)}{where}{when}{why}"
    return Explanation(kind=kind, text=text)


def _stopped(end: ProcessEnd) -> Explanation | None:
    asked = end.asked
    if asked is None:
        return None
    why = f": {asked.because}" if asked.because else ""
    if _signal_of(end) == _KILL:
        how = (
            "killed by resile"
            if asked.is_kill
            else "killed by resile, as it did not end when asked"
        )
        return Explanation(kind=_kind_when_asked(asked, EndKind.KILLED), text=f"{how}{why}")
    is_graceful = not _has_failed(end) or _signal_of(end) in _POLITE_SIGNALS
    code = "" if is_graceful else f", {_how(end)}"
    return Explanation(
        kind=_kind_when_asked(asked, EndKind.STOPPED),
        text=f"ended when asked{code}{why}",
        is_graceful=is_graceful,
    )


def _kind_when_asked(asked: Asked, kind: EndKind) -> EndKind:
    return EndKind.START_FAILED if asked.is_start_failure else kind


def _refused(end: ProcessEnd) -> Explanation | None:
    if not (end.refused_processes and end.processes_limit and _has_failed(end)):
        return None
    times = "a process" if end.refused_processes == 1 else f"{end.refused_processes} processes"
    text = f"{_how(end)}: it was refused {times}, {end.processes_limit} allowed at once"
    return Explanation(kind=EndKind.PROCESSES, text=f"{text}{_early(end)}")


def _signalled(end: ProcessEnd) -> Explanation | None:
    if not _signal_of(end):
        return None
    text = f"{_how(end)}{_early(end)}, and not by resile"
    return Explanation(kind=EndKind.SIGNAL, text=text)


def _exited(end: ProcessEnd) -> Explanation:
    if not _has_failed(end):
        return Explanation(kind=EndKind.EXIT, text=_how(end), is_graceful=True)
    code = end.exit_code or 0
    error = end.error or (_SHELL_FAILURES.get(code, "") if end.is_early else "")
    kind = EndKind.START_FAILED if end.is_early else EndKind.EXIT
    why = f": {error}" if error else ""
    return Explanation(kind=kind, text=f"{_how(end)}{_early(end)}{why}")


def _how(end: ProcessEnd) -> str:
    if end.signal:
        return f"killed by {end.signal}"
    inner = _signal_of(end)
    says = f", the shell's word for {inner}" if inner else ""
    return f"ended with exit code {end.exit_code}{says}"


def _early(end: ProcessEnd) -> str:
    return " before it was ready" if end.is_early and end.asked is None else ""


def _has_failed(end: ProcessEnd) -> bool:
    return end.exit_code != 0


def _signal_of(end: ProcessEnd) -> str:
    """Name the signal that ended it, or its command if it was a shell; empty if none did."""
    if end.signal or end.exit_code is None:
        return end.signal
    number = end.exit_code - _SHELL_SIGNAL
    return signal_name(number) if number in _STANDARD_SIGNALS else ""


_STANDARD_SIGNALS: Final = frozenset(int(one) for one in signal.Signals if one < signal.SIGRTMIN)
