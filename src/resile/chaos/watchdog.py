"""`python -m resile.chaos.watchdog`: ends the faults whose engine died, or whose time is over.

It is started before the first fault, and ends when there has been none for a while. Whoever writes a record
holds the gate meanwhile, so that it cannot end between a look at it and the record.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from resile.chaos.decide import is_forgettable, why_due
from resile.chaos.hosting import open_host
from resile.chaos.model import EndedBy, UndoRecord
from resile.chaos.port import Host
from resile.chaos.story import Story
from resile.chaos.undoing import undo
from resile.chaos.watching import GATE_NAME, LOCK_NAME
from resile.core.clock import SYSTEM_CLOCK
from resile.core.files import FileLock, try_lock
from resile.core.process import Identity, boot_id, is_alive

logger = logging.getLogger(__name__)

LOOK_S: Final = 0.1
IDLE_S: Final = 1.0
"""It ends so long after the last fault."""
UNDO_TIMEOUT_S: Final = 0.5
"""One fault that does not go must not keep it from the others for long."""
VAIN_S: Final = 600.0
"""What could not be taken back for so long is left to a person: `resile chaos status` shows it."""
_LOCK_WAIT_S: Final = 3.0


class Watchdog:
    """Looks after the faults of one state folder. Not thread-safe.

    Args:
        host: The world.
        story: Tells the journal.
    """

    def __init__(self, host: Host, story: Story) -> None:
        self._host = host
        self._story = story
        self._due_since_s: dict[str, float] = {}

    def look(self) -> bool:
        """End what is due; tell whether anything is left to look after."""
        records = self._host.ledger.records()
        living = frozenset(r.owner for r in records if r.owner is not None and is_alive(r.owner))
        for record in records:
            why = why_due(
                record,
                now_s=self._host.clock.monotonic(),
                boot_id=boot_id(),
                living=living,
                is_stopped=self._host.ledger.is_stopped(),
            )
            is_ended = self._host.ledger.ending(record.fault_id) is not None
            # Its engine lives: it knows that the fault is over, and looks again if it applies it late.
            if why and (not is_ended or is_forgettable(record, living)):
                self._end(record, why, living)
        return any(not self._is_given_up(record) for record in records)

    def _end(self, record: UndoRecord, why: str, living: frozenset[Identity]) -> None:
        """Take a fault back; forget it if nobody can apply it any more."""
        try:
            ending = undo(
                record,
                self._host,
                by=EndedBy.WATCHDOG,
                why=why,
                tell=self._story.tell,
                timeout_s=UNDO_TIMEOUT_S,
            )
            if ending.is_gone and is_forgettable(record, living):
                self._host.ledger.forget(record.fault_id)
                self._due_since_s.pop(record.fault_id, None)
            elif not ending.is_gone:
                self._note_vain(record, ending.detail)
        except Exception as exc:  # noqa: BLE001 - one fault must not keep it from the others
            self._note_vain(record, f"{type(exc).__name__}: {exc}")

    def _note_vain(self, record: UndoRecord, detail: str) -> None:
        if record.fault_id not in self._due_since_s:
            logger.warning("chaos.not_gone fault=%s reason=%s", record.fault, detail)
        self._due_since_s.setdefault(record.fault_id, self._host.clock.monotonic())

    def _is_given_up(self, record: UndoRecord) -> bool:
        since_s = self._due_since_s.get(record.fault_id)
        return since_s is not None and self._host.clock.monotonic() - since_s > VAIN_S


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch until there is nothing to watch; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m resile.chaos.watchdog")
    parser.add_argument("--state", type=Path, required=True, help="the state folder")
    parser.add_argument("--root", type=Path, required=True, help="the system's folder")
    parser.add_argument("--ready-fd", type=int, required=True, help="told when it watches")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # It ends when no fault is left, and not before.
    host = open_host(options.state, options.root)
    lock = _only_one(host)
    if lock is None:
        return 0
    with lock:
        with contextlib.suppress(OSError):  # Who started us may be dead: others may begin faults.
            os.write(options.ready_fd, b"1")
        os.close(options.ready_fd)
        story = Story(options.state / "journal", clock=host.clock, actor="watchdog")
        _watch(Watchdog(host, story), host, lock)
        story.close()
    return 0


def _only_one(host: Host) -> FileLock | None:
    """Be the only one of a folder; None if another is. Who asks whether there is one holds it for an instant."""
    deadline_s = host.clock.monotonic() + _LOCK_WAIT_S
    while host.clock.monotonic() < deadline_s:
        lock = try_lock(host.ledger.folder / LOCK_NAME)
        if lock is not None:
            return lock
        host.clock.sleep(LOOK_S / 10)
    return None


def _watch(watchdog: Watchdog, host: Host, lock: FileLock) -> None:
    """Look again and again, until there has been nothing for a while and nobody is about to begin."""
    idle_since_s = host.clock.monotonic()
    while True:
        now_s = host.clock.monotonic()
        if watchdog.look():
            idle_since_s = now_s
        elif now_s - idle_since_s >= IDLE_S:
            gate = try_lock(host.ledger.folder / GATE_NAME)
            if gate is not None:
                with gate:
                    if not watchdog.look():
                        lock.close()
                        return
        SYSTEM_CLOCK.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
