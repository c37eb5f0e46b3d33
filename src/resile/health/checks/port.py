"""What a way of looking gets and gives, and the words for what it saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from resile.core.clock import Clock
from resile.core.process import Identity
from resile.core.spawning import Completed
from resile.core.units import format_duration
from resile.core.vocabulary import CheckState
from resile.health.model import CheckSpec, Validity

REASON_LENGTH_MAX = 300
"""A reason is one line on a page and in the journal."""


class RunCommand(Protocol):
    """Runs a command to its end: `resile.core.spawning.run_bounded`, or a fake."""

    def __call__(
        self,
        argv: Sequence[str],
        /,
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Completed:
        """Run `argv` for at most `timeout_s`; nothing of its group is left running afterwards.

        `env` is the whole environment; None means our own.

        Raises:
            SpawnError: If it could not be started.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LookContext:
    """What looks share. All of it is safe to share between threads.

    Args:
        clock: Where the time comes from.
        run: Runs a command.
        process_of: Gives the process of a service; None if it does not run.
        silence_s_of: Gives the seconds since the last heartbeat of a source, or since beats
            from it can be expected; None while they cannot.
    """

    clock: Clock
    run: RunCommand
    process_of: Callable[[str], Identity | None]
    silence_s_of: Callable[[str], float | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look saw, in one word and in one line; and the server's certificate, if it had one."""

    state: CheckState
    reason: str
    certificate: Validity | None = None


class Look(Protocol):
    """A way of looking. Blocks, and keeps to the spec's time-out.

    It may raise OSError (TimeoutError for "no answer in time") and ResileError: they are DOWN,
    with their text as the reason, unless it was we who had no descriptors or no memory.
    """

    def __call__(self, spec: CheckSpec, context: LookContext, /) -> Finding:
        """Look once."""
        ...


class Deadline:
    """The end of a look's time, over all its steps."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._end_s = clock.monotonic() + timeout_s

    def left_s(self) -> float:
        """Tell how much time is left, above 0.

        Raises:
            TimeoutError: If none is.
        """
        left_s = self._end_s - self._clock.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


def up(reason: str) -> Finding:
    """Say that it works."""
    return Finding(CheckState.UP, reason)


def degraded(reason: str) -> Finding:
    """Say that it works with less than it should."""
    return Finding(CheckState.DEGRADED, reason)


def down(reason: str) -> Finding:
    """Say that it does not work."""
    return Finding(CheckState.DOWN, reason)


def unknown(reason: str) -> Finding:
    """Say that nothing could be seen: it changes no state."""
    return Finding(CheckState.UNKNOWN, reason)


def no_answer(timeout_s: float, why: str = "") -> Finding:
    """Say that the time-out passed, and why if that is known."""
    return down(f"no answer within {format_duration(timeout_s)}" + (f", {why}" if why else ""))


def one_line(text: str) -> str:
    """Make a reason of any text: its first line that is not blank, cut, unprintables replaced."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    printable = "".join(char if char.isprintable() else "?" for char in line)
    if len(printable) <= REASON_LENGTH_MAX:
        return printable
    return printable[: REASON_LENGTH_MAX - 1] + "…"
