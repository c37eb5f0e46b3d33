"""Scenarios of contained commands: one that does not end, one that takes all memory, one that tries to break out."""

import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resile.contain import Host, Limits, Outcome, StopRequest, run
from resile.core.clock import Clock
from resile.core.files import make_private_dir
from resile.core.vocabulary import RunReason, RunState
from resile.drill.acting import now
from resile.drill.port import Begun
from resile.drill.scenarios import RUN_ESCAPE, RUN_MEMORY, RUN_TIME
from resile.errors import ResileError

_TIME_S: Final = 1.0
_ENOUGH_S: Final = 10.0
_MEMORY_BYTES: Final = 64 << 20
_JOIN_S: Final = 20.0
_MARK: Final = "touched"
_TOUCH: Final = f"open({_MARK!r}, 'w').write('x'); "


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a command does, and how it has to end.

    Args:
        code: Python.
        time_s: Its limit.
        reasons: How it has to end.
    """

    code: str
    time_s: float
    reasons: frozenset[RunReason]


TRIALS: Final[Mapping[str, Trial]] = {
    RUN_TIME: Trial(
        code=_TOUCH + "import time; time.sleep(600)",
        time_s=_TIME_S,
        reasons=frozenset({RunReason.TIMEOUT}),
    ),
    RUN_MEMORY: Trial(
        code=_TOUCH + "kept = [bytearray(1 << 20) for _ in range(4096)]",
        time_s=_ENOUGH_S,
        # Where the kernel refuses memory instead of killing for it, the command fails by itself.
        reasons=frozenset({RunReason.OOM, RunReason.EXIT}),
    ),
    RUN_ESCAPE: Trial(
        code=_TOUCH
        + "import ctypes; ctypes.CDLL(None, use_errno=True).mount(b'none', b'/', b'tmpfs', 0, None)",
        time_s=_ENOUGH_S,
        reasons=frozenset({RunReason.VIOLATION}),
    ),
}


class RunAct:
    """A contained command in a folder of its own. Not thread-safe.

    Args:
        name: Which of `TRIALS`.
        host: Where runs are.
        folder: Its folder, made and removed; what a drill that was killed left of it goes first.
        clock: Stamps it.
    """

    def __init__(self, name: str, host: Host, *, folder: Path, clock: Clock) -> None:
        self._clock = clock
        self._trial = TRIALS[name]
        self._host = host
        self._stop: StopRequest | None = None
        self._folder = folder
        self._outcome: Outcome | None = None
        self._is_touched = False
        self._error = ""
        self._thread = threading.Thread(target=self._run, name="drill-run", daemon=True)

    @property
    def subject(self) -> str:
        """The run, once it is over; until then nothing is about it."""
        return f"run/{self._outcome.run_id}" if self._outcome is not None else "run/"

    def begin(self) -> Begun:
        """Start it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        make_private_dir(self._folder)
        self._stop = StopRequest()
        begun = now(self._clock)
        self._thread.start()
        return begun

    def proof(self) -> tuple[bool, str]:
        """Look whether it was ended for what it did."""
        if self._outcome is None:
            return False, self._error or "it runs"
        is_proven = self._outcome.reason in self._trial.reasons
        return is_proven, f"{self._outcome.reason}: {self._outcome.message}"

    def is_over(self) -> bool:
        """Tell whether it has ended."""
        return not self._thread.is_alive()

    def failure(self) -> str:
        """Tell what it has left."""
        if self._outcome is None:
            return self._error or "it has not ended"
        if self._outcome.state is RunState.COMMITTED or self._is_touched:
            return "what it changed is still there"
        return ""

    def end(self, why: str) -> str:
        """Kill it if it runs, and remove its folder."""
        if self._stop is None:
            return ""
        if self._thread.is_alive():
            self._stop.ask(why)
            self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            return "a contained command has not ended"
        self._stop.close()
        self._is_touched = self._is_touched or (self._folder / _MARK).exists()
        shutil.rmtree(self._folder, ignore_errors=True)
        return ""

    def _run(self) -> None:
        limits = Limits(time_s=self._trial.time_s, memory=_MEMORY_BYTES, grace_s=0.5)
        try:
            self._outcome = run(
                [sys.executable, "-I", "-c", self._trial.code],
                limits=limits,
                workspace=self._folder,
                stop=self._stop,
                host=self._host,
            )
        except ResileError as exc:
            self._error = exc.message
