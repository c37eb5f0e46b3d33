"""What people have been told about services, and what they answered."""

import threading
from typing import Final

from resile.core.clock import Clock
from resile.core.ids import new_id
from resile.core.vocabulary import NoticeChoice, ServiceState
from resile.degradation.book import Change
from resile.degradation.decide import RANK, is_recovering
from resile.degradation.model import NOTICE_LENGTH_MAX, Notice
from resile.errors import ConfigError
from resile.policies import nearest

CHOICES_SHOWN: Final = ", ".join(NoticeChoice)


class Notices:
    """The notices of one manager, one for each service at most. Safe to share between threads.

    Args:
        clock: Stamps them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, Notice] = {}
        self._quiet: set[str] = set()
        """Services whose notice somebody has answered with CONTINUE."""
        self.renew()

    def renew(self) -> None:
        """Make the lock anew, as in the child of a fork."""
        self._lock = threading.Lock()

    def consider(self, change: Change) -> Notice | None:
        """Give the notice that a change calls for; None if people need not be told.

        Who is down for somebody else's sake has none: the root has it. It is told when it comes
        down or gets worse, and once more when it is well.
        """
        name, state = change.entry.service.name, change.after.state
        with self._lock:
            known = self._told.get(name)
            if change.after.blocked_by or is_recovering(change.entry.visible):
                return None
            if state is ServiceState.HEALTHY:
                self._quiet.discard(name)
                return None if self._told.pop(name, None) is None else self._over(name)
            if known is not None and RANK[state] <= RANK[known.state]:
                return None
            self._quiet.discard(name)
            self._told[name] = notice = Notice(
                id=new_id("ntc", at=self._clock.now()),
                service=name,
                state=state,
                text=_text(change),
                at=self._clock.now(),
            )
            return notice

    def open(self) -> tuple[Notice, ...]:
        """Give those that wait for an answer, the oldest first."""
        with self._lock:
            told = [n for name, n in self._told.items() if name not in self._quiet]
        return tuple(sorted(told, key=lambda notice: notice.id))

    def get(self, notice_id: str) -> Notice:
        """Give an open notice.

        Raises:
            ConfigError: If there is none: it may be over, or answered.
        """
        known = {notice.id: notice for notice in self.open()}
        if notice_id not in known:
            raise ConfigError(
                f"no notice {notice_id!r:.60} is open",
                hint=nearest(notice_id, known) if known else "it may be over, or answered",
            )
        return known[notice_id]

    def silence(self, notice: Notice) -> None:
        """Take a notice as answered: only something worse about its service is told again."""
        with self._lock:
            if self._told.get(notice.service) is notice:
                self._quiet.add(notice.service)

    def _over(self, name: str) -> Notice:
        now = self._clock.now()
        return Notice(
            id=new_id("ntc", at=now),
            service=name,
            state=ServiceState.HEALTHY,
            text=f"{name} works again.",
            at=now,
            choices=(),
        )


def _text(change: Change) -> str:
    """Write what people are told: the service's own words, or what is so."""
    service, visible = change.entry.service, change.entry.visible
    if service.notice:
        return service.notice
    what = {
        ServiceState.DEGRADED: "works, but not as it should",
        ServiceState.FAILED: "does not answer; its fallback does"
        if service.steps
        else "does not answer",
        ServiceState.CRITICAL: "does not answer, and nothing answers in its place",
    }[change.after.state]
    return f"{service.name} {what}: {visible.reason or 'no reason was given'}"[:NOTICE_LENGTH_MAX]
