"""Keep one brain running: start it, listen for its pings, start the next one when it is gone.

A brain that ends with the exit code of a wrong configuration or a broken journal before it ever
pinged, while no service runs, would do so for ever: it is given up. So is one that always dies
before its first ping, whatever its code, while no service runs: an import error, mostly. While
services run, the next brain is tried for ever, and the services are left alone.
"""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resile.contain.cgroups import Cgroup, CgroupLimits, CgroupTree
from resile.core.clock import Clock
from resile.core.spawning import Ended, Spawner, SpawnSpec
from resile.daemon.guard.emptying import Emptying
from resile.daemon.guard.link import BrainLink
from resile.daemon.guard.reactor import Reactor, Timer
from resile.daemon.protocol import GUARD_FD_VARIABLE, Message
from resile.errors import CgroupError, ResileError, SpawnError

logger = logging.getLogger(__name__)

DELAY_FIRST_S = 0.05
DELAY_LAST_S = 5.0
PROVEN_LIFE_S = 2.0
"""A brain that pinged and lived so long works: what ended it is no reason to wait for the next."""
VAIN_LIVES_MAX = 10
"""So many brains in a row, none of which ever pinged, are enough to know that none will."""
FIRST_PING_TIMEOUT_S = 60.0
"""It folds the journal first, on a machine that may be overloaded."""
PING_TIMEOUT_S = 30.0
HANG_UP_TIMEOUT_S = 5.0
"""A brain that closed its line has so long to end by itself."""
_GIVEN_UP_CODES = frozenset({2, 3, 4, 5})
"""errors.py: wrong input, refused, journal unreadable, journal broken."""


def delay_after(previous_s: float, life_s: float, *, has_pinged: bool) -> float:
    """Give the delay before the next start: doubled each time, anew after a proven life."""
    if previous_s <= 0 or (has_pinged and life_s >= PROVEN_LIFE_S):
        return DELAY_FIRST_S
    return min(DELAY_LAST_S, 2 * previous_s)


def is_hopeless(
    exit_code: int | None, *, has_pinged: bool, vain_lives: int, active_count: int
) -> bool:
    """Tell whether another start would end in the same way, with nobody to stay for."""
    if has_pinged or active_count:
        return False
    return exit_code in _GIVEN_UP_CODES or vain_lives >= VAIN_LIVES_MAX


@dataclass(slots=True)
class _Brain:
    """The one that runs."""

    pid: int
    group: Cgroup
    link: BrainLink
    began_s: float
    heard_s: float
    has_pinged: bool = False
    silence: Timer | None = None
    hang_up: Timer | None = None


class BrainKeeper:
    """Starts brains, one at a time. Not thread-safe.

    Args:
        argv: The brain's command.
        cwd: Where it runs.
        tree: Where each gets its group.
        reactor: Calls when something happens.
        clock: Measures.
        spawner: Starts and reaps.
        on_message: Called with each message of the brain.
        on_connected: Called when a new brain has been started; it may be told things now.
        on_gone: Called with its exit code (None: a signal) and whether it ever pinged; calls
            `start_later` if there shall be a next one.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        tree: CgroupTree,
        reactor: Reactor,
        clock: Clock,
        spawner: Spawner,
        on_message: Callable[[Message], None],
        on_connected: Callable[[], None],
        on_gone: Callable[[int | None, bool], None],
    ) -> None:
        self._argv = tuple(argv)
        self._cwd = cwd
        self._tree = tree
        self._reactor = reactor
        self._clock = clock
        self._spawner = spawner
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_gone = on_gone
        self._brain: _Brain | None = None
        self._next_start: Timer | None = None
        self._count = 0
        self._delay_s = 0.0
        self._life_s = 0.0
        self._has_pinged = False
        self._has_ever_pinged = False
        self._vain_lives = 0
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """Tell whether a brain has been started and not reaped."""
        return self._brain is not None

    @property
    def vain_lives(self) -> int:
        """Count the brains that ended without a ping; 0 for ever once any brain has pinged."""
        return 0 if self._has_ever_pinged else self._vain_lives

    def start(self) -> None:
        """Start a brain now; if that fails, try again later.

        Raises:
            ResileError: If the very first one cannot be started.
        """
        self._next_start = None
        self._count += 1
        try:
            self._start()
        except ResileError as exc:
            if self._count == 1:
                raise
            logger.error("guard.brain_not_started reason=%s", exc)  # noqa: TRY400 - it says enough
            self._has_pinged = False
            self.start_later()

    def start_later(self) -> None:
        """Start the next brain after the delay that the last one's life has earned."""
        self._delay_s = delay_after(self._delay_s, self._life_s, has_pinged=self._has_pinged)
        self._next_start = self._reactor.call_later(self._delay_s, self.start)

    def send(self, message: Message) -> None:
        """Send to the brain; dropped if none runs."""
        if self._brain is not None:
            self._brain.link.send(message)

    def pinged(self) -> None:
        """Note that the brain is alive."""
        if self._brain is not None:
            self._brain.has_pinged = self._has_ever_pinged = True
            self._brain.heard_s = self._clock.monotonic()

    def reaped(self, ended: Ended) -> bool:
        """Take the end of a process; False if it was not the brain."""
        brain = self._brain
        if brain is None or brain.pid != ended.pid:
            return False
        self._brain = None
        brain.link.close()
        for timer in (brain.silence, brain.hang_up):
            if timer is not None:
                timer.cancel()
        logger.log(
            logging.INFO if self._is_over else logging.WARNING,
            "guard.brain_ended pid=%d exit_code=%s signal=%s",
            ended.pid,
            ended.exit_code,
            ended.signal,
        )
        self._sweep(brain.group)
        self._life_s = self._clock.monotonic() - brain.began_s
        self._has_pinged = brain.has_pinged
        self._vain_lives += 1
        self._on_gone(ended.exit_code, brain.has_pinged)
        return True

    def end(self) -> None:
        """Start no more brain, and let the running one end: it sees the line closed."""
        self._is_over = True
        if self._next_start is not None:
            self._next_start.cancel()
        if self._brain is not None:
            self._brain.link.close()
            self._hung_up(self._brain)

    def _start(self) -> None:
        group = self._tree.create(f"brain.{self._count}", CgroupLimits())
        try:
            ours, theirs = socket.socketpair()
        except OSError as exc:
            raise SpawnError(f"no line to the brain: {exc.strerror}", is_transient=True) from exc
        spec = SpawnSpec(
            argv=self._argv,
            env={**os.environ, **group.environment, GUARD_FD_VARIABLE: str(theirs.fileno())},
            cwd=str(self._cwd),
            stdout_fd=1,
            stderr_fd=2,
            kept_fds=(theirs.fileno(),),
            join_files=group.join_files,
        )
        try:
            launch = self._spawner.launch(spec)
            launch.finish()
        except SpawnError:
            ours.close()
            group.remove()
            raise
        finally:
            theirs.close()
        self._adopt(launch.pid, group, ours)

    def _adopt(self, pid: int, group: Cgroup, sock: socket.socket) -> None:
        now_s = self._clock.monotonic()
        link = BrainLink(sock, self._reactor, on_message=self._on_message, on_lost=self._lost)
        self._brain = _Brain(pid=pid, group=group, link=link, began_s=now_s, heard_s=now_s)
        self._watch_silence(self._brain)
        self._on_connected()

    def _watch_silence(self, brain: _Brain) -> None:
        patience_s = PING_TIMEOUT_S if brain.has_pinged else FIRST_PING_TIMEOUT_S
        rest_s = brain.heard_s + patience_s - self._clock.monotonic()
        is_silent = rest_s <= 0
        # Armed before the kill: one that fails is tried again.
        brain.silence = self._reactor.call_later(
            patience_s if is_silent else rest_s, lambda: self._watch_silence(brain)
        )
        if is_silent:
            logger.error("guard.brain_silent pid=%d patience_s=%s", brain.pid, patience_s)
            brain.group.kill()

    def _lost(self) -> None:
        if self._brain is not None:
            self._hung_up(self._brain)

    def _hung_up(self, brain: _Brain) -> None:
        if brain.hang_up is None:
            brain.hang_up = self._reactor.call_later(HANG_UP_TIMEOUT_S, brain.group.kill)

    def _sweep(self, group: Cgroup) -> None:
        """Kill what the brain left: a check's command, mostly."""

        def done(is_empty: bool) -> None:
            if is_empty:
                try:
                    group.remove()
                except CgroupError as exc:
                    logger.warning("guard.group_left name=%s reason=%s", group.name, exc)

        Emptying(group, self._reactor, clock=self._clock, on_done=done).step()
