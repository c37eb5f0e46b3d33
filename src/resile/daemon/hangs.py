"""The last look at a service that hangs: where its processes stand, taken before they are killed."""

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Callable, Sequence
from typing import Final

from resile.core.clock import Clock
from resile.core.events import ActionStarted
from resile.core.process import Identity, identity_of, is_alive, send_signal
from resile.core.vocabulary import FaultKind
from resile.daemon.stacks import ProcessStack, read_stacks, tells_its_stack
from resile.errors import ResileError
from resile.recover import World, service_of

TELL_S: Final = 1.0
"""So long may aborted processes take to write where they are: hundreds of threads take a tenth of it."""
LOOK_S: Final = 3.0
"""No look keeps a kill waiting for longer, whatever the kernel does."""
_POLL_S: Final = 0.01

logger = logging.getLogger(__name__)


class Hangs:
    """Takes the stacks of what is about to be killed because it hangs. Lives on the brain's event loop.

    Args:
        world: Tells why a service is to be killed.
        members: Lists the processes of a service's generation.
        clock: Waits.
    """

    def __init__(
        self, world: World, *, members: Callable[[str, int], Sequence[int]], clock: Clock
    ) -> None:
        self._world = world
        self._members = members
        self._clock = clock
        self._stacks: dict[str, tuple[int, tuple[ProcessStack, ...]]] = {}

    async def look(self, action: ActionStarted) -> None:
        """Look at a service before it is killed, if that is because it hangs.

        Those of its processes that say where they are when they are aborted are asked to: they
        write it into the log, and end. They are to be killed anyhow. They leave no core, which
        would take longer than all the rest.
        """
        name = service_of(action.target)
        fault = self._world.faults.get(action.fault_id)
        if name is None or fault is None or fault.kind is not FaultKind.HANG:
            return
        if fault.target != action.target:
            return
        main_pid = self._world.service(name).pid
        # What keeps us from looking must not keep the kill from being done.
        with contextlib.suppress(TimeoutError, OSError, ResileError):
            async with asyncio.timeout(LOOK_S):
                pids = await asyncio.to_thread(self._members, name, action.generation)
                stacks = await asyncio.to_thread(read_stacks, pids)
                self._stacks[name] = (action.generation, stacks)
                await asyncio.to_thread(self._have_told, pids, main_pid)

    def take(self, service: str, generation: int) -> tuple[ProcessStack, ...]:
        """Give what was seen of a generation, once; nothing if it was not looked at."""
        seen_generation, stacks = self._stacks.pop(service, (0, ()))
        return stacks if seen_generation == generation else ()

    def _have_told(self, pids: Sequence[int], main_pid: int | None) -> None:
        """Have processes write where they are, and wait until they have."""
        # The end of the main process is the end of them all, so it is asked last.
        telling = sorted(filter(tells_its_stack, pids), key=lambda pid: pid == main_pid)
        asked = [who for pid in telling if (who := identity_of(pid)) is not None]
        for who in asked:
            _abort(who)
        deadline_s = self._clock.monotonic() + TELL_S
        while any(map(is_alive, asked)) and self._clock.monotonic() < deadline_s:
            self._clock.sleep(_POLL_S)


def _abort(who: Identity) -> None:
    """Have a process write where it is, and end without a core."""
    try:
        _, most = resource.prlimit(who.pid, resource.RLIMIT_CORE)
        resource.prlimit(who.pid, resource.RLIMIT_CORE, (0, most))
        send_signal(who, signal.SIGABRT)
        send_signal(who, signal.SIGCONT)  # One that was stopped takes the other only then.
    except OSError as exc:  # It has ended, or is another user's.
        logger.debug("hangs.not_asked", extra={"pid": who.pid, "reason": exc.strerror})
