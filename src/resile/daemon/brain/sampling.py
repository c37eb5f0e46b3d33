"""What the brain looks at once a second: processes, memory, the clock; and what has proven to work since."""

import asyncio
from collections.abc import Callable

from resile.core.clock import Clock
from resile.daemon.ballast import Ballast
from resile.daemon.brain.watching import Watching
from resile.daemon.loop import Loop
from resile.daemon.memory_watch import MemoryWatch
from resile.daemon.remedies import Declarations
from resile.recover import World

SAMPLE_S = 1.0
BALLAST_EVERY = 60
"""Samples between two tries to set the ballast aside again."""


class Sampling:
    """Lives on the brain's event loop.

    Args:
        world: What recovery knows.
        loop: Takes what is new.
        watching: Measures processes.
        memory: Looks at memory.
        declarations: Are proven by services that work.
        ballast: Set aside again when it was used.
        may_restore: Tells whether there is room for it.
        clock: Is watched, and stamps.
    """

    def __init__(
        self,
        world: World,
        *,
        loop: Loop,
        watching: Watching,
        memory: MemoryWatch,
        declarations: Declarations,
        ballast: Ballast,
        may_restore: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._world = world
        self._loop = loop
        self._watching = watching
        self._memory = memory
        self._declarations = declarations
        self._ballast = ballast
        self._may_restore = may_restore
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled."""
        rounds = 0
        while True:
            self._watching.sample()
            self._loop.watch_clock()
            self._loop.tell(*self._memory.look())
            self._declarations.note_proven(self._world, self._clock.now())
            if rounds % BALLAST_EVERY == 0 and self._may_restore():
                await asyncio.to_thread(self._ballast.restore)
            rounds += 1
            await asyncio.sleep(SAMPLE_S)
