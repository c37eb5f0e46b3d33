"""Sum a core file up: by its notes at once, and by gdb where there is one.

A core may have gigabytes and gdb may take long, so all of it is bounded, one core is looked at at a time, and
nobody waits for it.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from resile.core.spawning import Completed, run_bounded
from resile.daemon.core_notes import CoreNotes, read_core_notes
from resile.errors import SpawnError

GDB_TIMEOUT_S: Final = 15.0
"""It reads symbols of every library: seconds on a slow disk."""
TURN_TIMEOUT_S: Final = 2 * GDB_TIMEOUT_S
"""For another core to be done with: services that crash together wait for each other."""
OUTPUT_BYTES_MAX: Final = 64 << 10
LINES_MAX: Final = 200
LINE_LENGTH_MAX: Final = 300
FRAMES_MAX: Final = 30
"""Of each thread."""
_SETTINGS: Final = (
    "set auto-load off",  # What lies beside a program must not run as code of ours.
    "set debuginfod enabled off",  # It would ask the network.
    "set pagination off",
    "set width 0",
    "set print frame-arguments none",  # Arguments are data, and may be secrets.
)


class CoreSummaries:
    """Sums cores up. Safe to share between threads.

    Args:
        run: Runs gdb.
        turn_timeout_s: How long to wait for gdb to be done with another core.
    """

    def __init__(
        self,
        run: Callable[..., Completed] = run_bounded,
        *,
        turn_timeout_s: float = TURN_TIMEOUT_S,
    ) -> None:
        self._run = run
        self._turn_timeout_s = turn_timeout_s
        self._gdb = threading.Lock()

    def of(self, path: Path) -> Mapping[str, Any] | None:
        """Sum a core up as plain data; None if nothing can be read from it. Blocks for seconds.

        `backtrace` is empty where gdb is missing, busy with other cores for too long, too slow, or has
        nothing to say.
        """
        notes = read_core_notes(path)
        if notes is None:
            return None
        return {**asdict(notes), "backtrace": self._backtrace(path, notes)}

    def _backtrace(self, path: Path, notes: CoreNotes) -> Sequence[str]:
        if not self._gdb.acquire(timeout=self._turn_timeout_s):
            return ()
        try:
            ran = self._run(
                _command(path, notes.program),
                timeout_s=GDB_TIMEOUT_S,
                output_bytes_max=OUTPUT_BYTES_MAX,
                env=_environment(),
                cwd="/",
                keeps_errors=False,
            )
        except SpawnError:  # There is no gdb here.
            return ()
        finally:
            self._gdb.release()
        lines = ran.output.decode(errors="replace").splitlines()
        return [line[:LINE_LENGTH_MAX] for line in lines if _is_told(line)][:LINES_MAX]


def _command(path: Path, program: str) -> tuple[str, ...]:
    settings = [word for setting in _SETTINGS for word in ("-iex", setting)]
    where = (program,) if program and Path(program).is_file() else ()
    ask = f"thread apply all -ascending bt {FRAMES_MAX}"
    return ("gdb", "-batch", "-nx", *settings, "-ex", ask, *where, "--core", str(path))


def _environment() -> dict[str, str]:
    """Give gdb what it needs, and nothing of ours."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": "/"}


def _is_told(line: str) -> bool:
    """Tell a stack's lines from the noise of loading."""
    return line.startswith(("#", "Thread ", "Program terminated"))
