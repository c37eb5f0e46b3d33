"""Starts the programs of ours that stand beside an engine: carriers, and the watchdog."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from resile.chaos.ledger import Ledger
from resile.chaos.model import UndoRecord
from resile.core.helper import Helper, start_helper
from resile.core.process import Identity, is_alive, send_signal

_KEPT_VARIABLES: Final = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "PYTHONHOME")
"""What an interpreter needs. Nothing else of an environment, which may hold secrets."""
_STARTED: Final[list[Helper]] = []
"""Those that nobody has waited for; kept, as they are no children of anybody else."""


class OwnCarriers:
    """Starts and ends carriers. Not thread-safe.

    Args:
        ledger: Where they note who they are.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._started: set[str] = set()
        """Faults whose carriers were started here: they note themselves only after a while."""

    def start(self, record: UndoRecord, *, count: int = 1, join_files: Sequence[str] = ()) -> None:
        """Start them, once for each fault; returns before they are at work."""
        if record.fault_id in self._started:
            return
        self._started.add(record.fault_id)
        joins = [word for file in join_files for word in ("--join", file)]
        for number in range(count):
            start_program(
                "carrier",
                *("--ledger", str(self._ledger.folder)),
                *("--fault", record.fault_id),
                *("--number", str(number)),
                *joins,
            )

    def living(self, fault_id: str) -> tuple[Identity, ...]:
        """List those that live."""
        return tuple(who for who in self._ledger.carriers(fault_id) if is_alive(who))

    def kill(self, fault_id: str) -> None:
        """Send each SIGKILL."""
        for who in self.living(fault_id):
            send_signal(who, signal.SIGKILL)
        self._started.discard(fault_id)
        reap()


def start_program(name: str, *arguments: str, kept_fds: Sequence[int] = ()) -> Helper:
    """Start `python -m resile.chaos.NAME` in a session of its own.

    Raises:
        SpawnError: If it could not be started.
    """
    reap()
    argv = [sys.executable, "-m", f"resile.chaos.{name}", *arguments]
    helper = start_helper(argv, kept_fds=kept_fds, env=_environment(os.environ))
    _STARTED.append(helper)
    return helper


def reap() -> None:
    """Forget those that have ended."""
    for helper in list(_STARTED):
        if helper.poll() is not None:
            _STARTED.remove(helper)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in _KEPT_VARIABLES if name in environ}
