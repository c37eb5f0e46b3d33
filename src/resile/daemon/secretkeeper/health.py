"""Whether the provider answers: told when it is lost and when it is found. Safe to share between threads."""

import threading
from collections.abc import Callable
from datetime import datetime

from resile.core.clock import Clock
from resile.core.events import ProviderFound, ProviderLost
from resile.daemon.secretkeeper.recording import Tell
from resile.errors import ResileError

LOST_LOOK_S = 1.0
"""A provider that is back is found so soon."""
WELL_LOOK_S = 30.0


class Health:
    """Follows one provider.

    Args:
        kind: What it is called.
        check: Asks whether it works; raises a ResileError if not.
        tell: Journals; may fail.
        clock: Stamps and paces.
    """

    def __init__(self, kind: str, *, check: Callable[[], None], tell: Tell, clock: Clock) -> None:
        self._kind = kind
        self._check = check
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._lost_at: datetime | None = None
        self._looked_s = -WELL_LOOK_S
        self.reason = ""
        """Why it does not answer; empty: it does."""

    def look(self) -> None:
        """Ask the provider if that is due, and tell what has changed. Blocks."""
        pause_s = LOST_LOOK_S if self.reason else WELL_LOOK_S
        if self._clock.monotonic() - self._looked_s < pause_s:
            return
        self._looked_s = self._clock.monotonic()
        try:
            self._check()
        except ResileError as exc:
            self._lost(exc.message)
        else:
            self._found()

    def doubt(self) -> None:
        """Note that a question failed: it is looked at soon."""
        self._looked_s = -WELL_LOOK_S

    def _lost(self, reason: str) -> None:
        with self._lock:
            self.reason = reason
            if self._lost_at is not None:
                return
            self._lost_at = self._clock.now()
            lost = ProviderLost(provider=self._kind, reason=reason, began_at=self._lost_at)
        self._told(lost)

    def _found(self) -> None:
        with self._lock:
            self.reason = ""
            lost_at, self._lost_at = self._lost_at, None
        if lost_at is not None:
            away_s = max(0.0, (self._clock.now() - lost_at).total_seconds())
            self._told(ProviderFound(provider=self._kind, away_s=round(away_s, 3)))

    def _told(self, payload: ProviderLost | ProviderFound) -> None:
        try:
            self._tell(payload)
        except ResileError:
            # The journal is away as well: the state is on the page, and the next change is told.
            return
