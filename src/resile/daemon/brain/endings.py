"""What happens when a process has ended: it is recorded, what is left of it is kept, it is forgotten."""

import asyncio
import contextlib

from resile.core.vocabulary import Desired
from resile.daemon.actions import Exits
from resile.daemon.adopt import exit_payload
from resile.daemon.crashes import Crashes
from resile.daemon.guard_client import GuardClient
from resile.daemon.loop import Loop
from resile.daemon.protocol import Exited
from resile.errors import ResileError
from resile.recover import World


class Endings:
    """Handles exits. Lives on the brain's event loop.

    Args:
        world: Tells whether an end was wanted.
        loop: Takes the record.
        guard: Told to forget what is recorded.
        exits: Told, for whoever waits.
        crashes: Keeps the bundles.
    """

    def __init__(
        self, world: World, *, loop: Loop, guard: GuardClient, exits: Exits, crashes: Crashes
    ) -> None:
        self._world = world
        self._loop = loop
        self._guard = guard
        self._exits = exits
        self._crashes = crashes

    async def handle(self, exited: Exited) -> None:
        """Record an exit, write its crash bundle, and only then let the guard forget it."""
        status = self._world.services.get(exited.service)
        if status is not None and exited.generation > status.exited_generation:
            # What names no core cannot remove it, and a core is left by a wanted SIGQUIT too.
            has_bundle = exited.core_dumped or self._is_crash(exited)
            bundle = self._crashes.path_for(exited) if has_bundle else None
            await self._loop.record(exit_payload(exited, bundle=str(bundle or "")))
            if bundle is not None:
                await asyncio.to_thread(self._crashes.write, exited, bundle)
        self._exits.ended(exited.service, exited.generation)
        with contextlib.suppress(ResileError):
            await self._guard.forget(exited.service, exited.generation)

    def _is_crash(self, exited: Exited) -> bool:
        is_wanted = (
            self._world.is_stopping(exited.service)
            or self._world.service(exited.service).desired is Desired.STOPPED
        )
        return not is_wanted and exited.exit_code != 0
