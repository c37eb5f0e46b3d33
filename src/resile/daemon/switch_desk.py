"""The switches of the system: sets them, tells other processes, and carries an emergency stop out.

What is off is what the world folded. The file for other processes follows it; where the file is
the newer one, a command changed it while no brain answered, and the world follows.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import encode
from resile.core.events import EmergencyBegun, Payload, SwitchSet
from resile.core.log_line import log_line
from resile.core.switch_file import Stamp, read_switches, stamp_of, write_switches
from resile.core.switches import OFFS_MAX, Emergency, Switches, part_of, until_of
from resile.daemon.loop import Loop
from resile.errors import OperationError, RejectedError, ResileError
from resile.recover import World

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Between two looks whether a command changed the file while no brain answered."""
AGAIN_S = 5.0
"""Before what could not be carried out or written is tried again."""


class SwitchDesk:
    """Implements `resile.web.SwitchesView`. Lives on the brain's event loop.

    Args:
        state: The state folder.
        root: The folder of the system.
        runs: The folder of contained runs.
        world: Holds what is off.
        loop: Journals.
        clock: Stamps.
    """

    def __init__(
        self, state: Path, *, root: Path, runs: Path, world: World, loop: Loop, clock: Clock
    ) -> None:
        self._state = state
        self._root = root
        self._runs = runs
        self._world = world
        self._loop = loop
        self._clock = clock
        self._written: Switches | None = None
        self._stamp: Stamp = None
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()

    def overview(self) -> Mapping[str, Any]:
        """Give what is off now, and the emergency stop that holds."""
        switches = self._world.switches
        return {
            "switches": [
                {"word": off.word, **encode(off)} for off in switches.active(self._clock.now())
            ],
            "emergency": encode(switches.emergency) if switches.emergency else None,
        }

    async def set(
        self, words: Sequence[str], *, is_on: bool, for_s: float | None, why: str, who: str
    ) -> Mapping[str, Any]:
        """Switch parts off or on; durable, and told to every process, when this returns."""
        payloads = self._wishes(words, is_on=is_on, for_s=for_s, why=why, who=who)
        await self._loop.record_all(payloads, actor=f"operator:{who}")
        await self._tell_others()
        return self.overview()

    async def stop(self, *, is_stopping_services: bool, why: str, who: str) -> Mapping[str, Any]:
        """Begin an emergency stop: remedies are frozen when this returns; the rest follows at once."""
        begun = EmergencyBegun(is_stopping_services=is_stopping_services, why=why, who=who)
        await self._loop.record(begun, actor=f"operator:{who}")
        self._changed.set()
        with contextlib.suppress(
            OperationError
        ):  # It is tried again; nothing waits for a full disk.
            await self._tell_others()
        return self.overview()

    def follow(self) -> None:
        """Look at the world: something was folded."""
        if self._world.switches is not self._written:
            self._changed.set()

    async def run(self) -> None:
        """Keep the file and the world alike, and carry out what is not, until cancelled."""
        while True:
            self._changed.clear()
            # The one waits for no other: a full disk keeps nobody from killing what must not go on.
            is_done = [await self._is_done(work) for work in (self._keep_alike, self._carry_out)]
            if not all(is_done):
                await asyncio.sleep(AGAIN_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()

    async def _is_done(self, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            await work()
        except (ResileError, OSError) as exc:
            fields: dict[str, object] = {"reason": str(exc)}
            logger.error(log_line("switches.failed", fields), extra=fields)  # noqa: TRY400
            return False
        return True

    def _wishes(
        self, words: Sequence[str], *, is_on: bool, for_s: float | None, why: str, who: str
    ) -> list[SwitchSet]:
        """Read what a person wants.

        Raises:
            RejectedError: If anything of it is wrong; all of it is told.
        """
        known = {book.name for book in self._world.spec.playbooks}
        # What is off may be switched on although nobody declares it any more.
        known |= {off.name for off in self._world.switches.offs} if is_on else set()
        found, problems = [], []
        for word in words:
            try:
                found.append(part_of(word, playbooks=known))
            except ValueError as exc:
                problems.append(str(exc))
        until = None
        if not is_on:
            try:
                until = until_of(for_s or 0.0, self._clock.now())
            except ValueError as exc:
                problems.append(str(exc))
            if len(self._world.switches.offs) + len(found) > OFFS_MAX:
                problems.append(f"more than {OFFS_MAX} switches are off")
        if problems:
            raise RejectedError("; ".join(problems), hint="`resile switches` shows what is off")
        return [
            SwitchSet(part=part, name=name, is_on=is_on, until=until, why=why, who=who)
            for part, name in found
        ]

    # Other processes ----------------------------------------------------------------------------

    async def _keep_alike(self) -> None:
        is_foreign = await asyncio.to_thread(stamp_of, self._state) != self._stamp
        if is_foreign or self._written is None:
            await self._heed()
        await self._tell_others()

    async def _heed(self) -> None:
        """Take over what a command changed; a file that cannot be read is written anew."""
        with contextlib.suppress(OperationError):
            found = await asyncio.to_thread(read_switches, self._state)
            if payloads := tuple(_newer(self._world.switches, found)):
                await self._loop.record_all(payloads)
        self._written = None

    async def _tell_others(self) -> None:
        async with self._writing:
            switches = self._world.switches
            if switches is self._written:
                return
            if switches.offs or self._has_file():
                await asyncio.to_thread(write_switches, self._state, switches)
            self._written = switches
            self._stamp = await asyncio.to_thread(stamp_of, self._state)

    def _has_file(self) -> bool:
        return self._stamp is not None or stamp_of(self._state) is not None

    # The emergency stop -------------------------------------------------------------------------

    async def _carry_out(self) -> None:
        emergency = self._world.switches.emergency
        if emergency is None or emergency.is_carried_out:
            return
        told: list[Payload] = []
        done = await asyncio.to_thread(partial(self._do, emergency, told))
        await self._loop.record_all([*told, done])

    def _do(self, emergency: Emergency, told: list[Payload]) -> Payload:
        from resile.daemon.emergency import carry_out  # Takes a while to load: here, in a thread.

        return carry_out(
            emergency,
            state=self._state,
            root=self._root,
            runs=self._runs,
            tell=told.append,
            clock=self._clock,
        )


def _newer(known: Switches, found: Switches) -> Sequence[Payload]:
    """Give what makes the one into the other, if that is newer."""
    if found.changed_at is None or (known.changed_at and found.changed_at <= known.changed_at):
        return ()
    return tuple(known.changes_to(found))
