"""Where a new brain begins: the last checkpoint, and every record after it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resile.core.codec import decode, encode
from resile.core.events import (
    CheckChanged,
    Checkpointed,
    Event,
    ProcessExited,
    ProcessStarted,
)
from resile.core.journal import Journal, Query
from resile.health import Streak, taken_over
from resile.incidents import IncidentBook
from resile.recover import SystemSpec, World

logger = logging.getLogger(__name__)

PAGE = 1000
CHECKPOINT_EVERY = 500
"""Records between two checkpoints: a new brain folds at most so many, in some ten milliseconds."""


@dataclass(slots=True)
class Replayed:
    """The state at the end of the journal."""

    world: World
    book: IncidentBook
    streaks: dict[str, Streak]
    since_checkpoint: int = 0

    def apply(self, event: Event) -> None:
        """Fold one event into all of it."""
        self.world.apply(event)
        self.book.apply(event)
        self.since_checkpoint += 1
        payload = event.payload()
        if isinstance(payload, CheckChanged):
            known = self.streaks.get(payload.check)
            self.streaks[payload.check] = taken_over(known, payload)
        elif isinstance(payload, ProcessStarted | ProcessExited):
            # The world knows nothing of a new process; health must not know more than the world.
            for check, binding in self.world.spec.checks.items():
                if binding.service == payload.service:
                    self.streaks.pop(check, None)


def replay(journal: Journal, spec: SystemSpec) -> Replayed:
    """Restore the last checkpoint and fold what came after it. Blocks."""
    found = journal.read(Query(kinds=(Checkpointed.kind,), limit=1, is_newest_first=True))
    state = Replayed(World(spec), IncidentBook(spec), {})
    after_seq = 0
    if found and isinstance(checkpoint := found[0].event.payload(), Checkpointed):
        try:
            state, after_seq = _restore(spec, checkpoint), found[0].seq
        except ValueError:
            # Another version wrote it, or this one has a mistake: the records tell it all.
            logger.exception("replay.checkpoint_unfit", extra={"seq": found[0].seq})
    while records := journal.read(Query(after_seq=after_seq, limit=PAGE)):
        for record in records:
            state.apply(record.event)
        after_seq = records[-1].seq
    return state


def checkpoint_of(world: World, book: IncidentBook, streaks: Mapping[str, Streak]) -> Checkpointed:
    """Make the record from which a later brain begins."""
    return Checkpointed(
        world=world.snapshot(), incidents=book.snapshot(), checks=encode(dict(streaks))
    )


def _restore(spec: SystemSpec, checkpoint: Checkpointed) -> Replayed:
    checks: Mapping[str, Any] = checkpoint.checks
    return Replayed(
        World.restore(spec, checkpoint.world),
        IncidentBook.restore(spec, checkpoint.incidents),
        {check: decode(Streak, data) for check, data in checks.items()},
    )
