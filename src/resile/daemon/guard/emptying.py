"""Empty a group without waiting for it: kill, look again a little later, until none is left."""

import logging
from collections.abc import Callable

from resile.contain.cgroups import Cgroup
from resile.core.clock import Clock
from resile.daemon.guard.reactor import Reactor
from resile.errors import CgroupError

logger = logging.getLogger(__name__)

EMPTY_TIMEOUT_S = 10.0
"""A process that takes longer to die hangs in the kernel."""
_PAUSE_FIRST_S = 0.001
_PAUSE_LAST_S = 0.1


class Emptying:
    """The killing of one group's members. Not thread-safe.

    Args:
        group: Whose members are killed.
        reactor: Calls when it is time to look again.
        clock: Bounds the whole.
        on_done: Called once: True if the group is empty, False if it is not and time is over.
    """

    def __init__(
        self, group: Cgroup, reactor: Reactor, *, clock: Clock, on_done: Callable[[bool], None]
    ) -> None:
        self._group = group
        self._reactor = reactor
        self._clock = clock
        self._on_done = on_done
        self._deadline_s = clock.monotonic() + EMPTY_TIMEOUT_S
        self._pause_s = _PAUSE_FIRST_S

    def step(self) -> None:
        """Look, and kill what is left; calls itself again until it is done."""
        if not self._group.is_populated():
            self._on_done(True)
            return
        if self._clock.monotonic() >= self._deadline_s:
            logger.error("guard.group_stuck name=%s pids=%s", self._group.name, self._group.pids())
            self._on_done(False)
            return
        try:
            self._group.kill()
        except CgroupError as exc:
            logger.warning("guard.kill_failed name=%s reason=%s", self._group.name, exc)
        self._reactor.call_later(self._pause_s, self.step)
        self._pause_s = min(2 * self._pause_s, _PAUSE_LAST_S)
