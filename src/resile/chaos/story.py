"""Tells the journal of the system what is done to it on purpose."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from resile.chaos.model import Ending, UndoRecord
from resile.core.clock import Clock
from resile.core.events import FaultUndone, Payload, announce
from resile.core.journal import Journal, open_journal
from resile.errors import ResileError

logger = logging.getLogger(__name__)

Tell = Callable[[Payload], None]
"""Appends an event; never fails, as no fault may stay because its end could not be written down."""


class Story:
    """Appends to the journal of a system, if it has one. Not thread-safe.

    Args:
        folder: The journal's.
        clock: Stamps the events.
        actor: Who writes.
    """

    def __init__(self, folder: Path, *, clock: Clock, actor: str) -> None:
        self._folder = folder
        self._clock = clock
        self._actor = actor
        self._journal: Journal | None = None

    def tell(self, payload: Payload) -> None:
        """Append an event; what cannot be written is logged."""
        try:
            journal = self._opened()
            if journal is not None:
                journal.append(announce(payload, at=self._clock.now(), actor=self._actor))
        except ResileError as exc:
            logger.warning("chaos.untold kind=%s reason=%s", payload.kind, exc.message)
            self.close()

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            with contextlib.suppress(ResileError):
                self._journal.close()
            self._journal = None

    def _opened(self) -> Journal | None:
        """Open the journal; None for a folder that never had a daemon."""
        if self._journal is None and self._folder.is_dir():
            self._journal = open_journal(self._folder, clock=self._clock)
        return self._journal


def undone(record: UndoRecord, ending: Ending) -> FaultUndone:
    """Make the event of an end."""
    return FaultUndone(
        fault_id=record.fault_id,
        fault=record.fault,
        target=record.target,
        by=ending.by,
        why=ending.why,
        is_gone=ending.is_gone,
        detail=ending.detail,
        experiment_id=record.experiment_id,
    )
