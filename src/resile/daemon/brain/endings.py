"""What happens when a process has ended: it is explained and recorded, what is left of it is kept, it is forgotten."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from resile.contain.cgroups import CgroupLimits
from resile.daemon.actions import Exits
from resile.daemon.adopt import exit_payload
from resile.daemon.autopsy import Autopsy, OomKills, examine
from resile.daemon.crashes import Crash, Crashes
from resile.daemon.guard_client import GuardClient
from resile.daemon.hangs import Hangs
from resile.daemon.loop import Loop
from resile.daemon.protocol import Exited
from resile.errors import ResileError
from resile.incidents import IncidentBook, Problem
from resile.recover import World


class Endings:
    """Handles exits. Lives on the brain's event loop.

    Args:
        world: Tells whether an end was wanted.
        book: Counts equal crashes.
        loop: Takes the record.
        guard: Told to forget what is recorded.
        exits: Told, for whoever waits.
        crashes: Keeps the bundles.
        hangs: What was seen of what was killed because it hung.
        limits: What each service may use.
        kills: Tells what the kernel has killed lately for want of memory.
    """

    def __init__(
        self,
        world: World,
        book: IncidentBook,
        *,
        loop: Loop,
        guard: GuardClient,
        exits: Exits,
        crashes: Crashes,
        hangs: Hangs,
        limits: Mapping[str, CgroupLimits],
        kills: Callable[[Exited], OomKills],
    ) -> None:
        self._world = world
        self._book = book
        self._loop = loop
        self._guard = guard
        self._exits = exits
        self._crashes = crashes
        self._hangs = hangs
        self._limits = limits
        self._kills = kills

    async def handle(self, exited: Exited) -> None:
        """Record an exit, write its crash bundle, and only then let the guard forget it.

        What a core tells is added to the bundle afterwards: that may take long.
        """
        bundle = None
        status = self._world.services.get(exited.service)
        if status is not None and exited.generation > status.exited_generation:
            bundle = await self._record(exited)
        self._exits.ended(exited.service, exited.generation)
        with contextlib.suppress(ResileError):
            await self._guard.forget(exited.service, exited.generation)
        if bundle is not None and exited.core_dumped:
            await asyncio.to_thread(self._crashes.add_core_summary, bundle)

    async def _record(self, exited: Exited) -> Path | None:
        limits = self._limits.get(exited.service, CgroupLimits())
        autopsy = examine(self._world, exited, limits=limits, kills=self._kills(exited))
        # What names no core cannot remove it, and a core is left by a wanted SIGQUIT too.
        has_bundle = exited.core_dumped or autopsy.is_crash
        bundle = self._crashes.path_for(exited) if has_bundle else None
        await self._loop.record(exit_payload(exited, autopsy, bundle=str(bundle or "")))
        stacks = self._hangs.take(exited.service, exited.generation)
        if bundle is not None:
            crash = Crash(
                exited=exited,
                autopsy=autopsy,
                problem=self._problem(exited, autopsy),
                stacks=stacks,
            )
            await asyncio.to_thread(self._crashes.write, crash, bundle)
        return bundle

    def _problem(self, exited: Exited, autopsy: Autopsy) -> Problem | None:
        return self._book.problem(exited.service, autopsy.fingerprint)
