"""The effects: start, stop, kill, prune, run. Each is idempotent, so a new brain may do it again.

A run is only if its playbook says so; else a new brain tells that nobody saw its end. A start names its generation: the guard starts it once. A stop or a kill is done when the guard
says that the cgroup is empty; one of a generation that has ended is done at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from resile.core.clock import Clock
from resile.core.events import ActionFinished, ActionStarted, Payload, ProcessStarted
from resile.core.vocabulary import ActionKind
from resile.daemon.launch import LaunchSpec
from resile.daemon.playbook_commands import PlaybookCommands, in_daemon_thread
from resile.daemon.protocol import Instance, Spawn
from resile.errors import OperationError, ResileError

logger = logging.getLogger(__name__)

EXIT_TOLD_TIMEOUT_S = 10.0
"""After a kill was confirmed, the exit is told within milliseconds."""


class ProcessOwner(Protocol):
    """The part of the guard that actions need."""

    async def spawn(self, request: Spawn) -> Instance:
        """Start an instance, once for each generation."""
        ...

    async def signal(self, service: str, generation: int, number: int) -> None:
        """Signal its main process."""
        ...

    async def kill(self, service: str, generation: int) -> None:
        """Kill its whole cgroup."""
        ...


class Performer(Protocol):
    """Does actions of some kinds."""

    async def perform(self, action: ActionStarted) -> tuple[Sequence[Payload], str]:
        """Do it; give what is to be journalled of it, and what came of it in a line.

        Raises:
            ResileError: If it cannot be done; what it says is for a person.
        """
        ...


class Exits:
    """Who waits for which exit. Not thread-safe."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], asyncio.Event] = {}

    def started(self, service: str, generation: int) -> None:
        """Note that an instance runs."""
        self._running.setdefault((service, generation), asyncio.Event())

    def ended(self, service: str, generation: int) -> None:
        """Wake whoever waits for this exit."""
        event = self._running.pop((service, generation), None)
        if event is not None:
            event.set()

    def is_running(self, service: str, generation: int) -> bool:
        """Tell whether an instance runs, as far as its exit was not told."""
        return (service, generation) in self._running

    async def wait_ended(self, service: str, generation: int, *, timeout_s: float) -> bool:
        """Wait for an exit; False if it did not come in time."""
        event = self._running.get((service, generation))
        if event is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await event.wait()
        return event.is_set()


class Actions:
    """Performs what the decisions ask for. Not thread-safe: lives on the brain's event loop.

    Args:
        owner: Who owns the processes.
        launches: How each service is started and stopped.
        exits: Told by the brain when an exit is durable.
        clock: For durations.
        prune: Removes what may go, and says in one line what it freed; runs in a thread.
        commands: Runs the commands of playbooks; in threads. Default: there are none.
        before_kill: Looks at what is about to be killed; it never raises, and takes a few seconds
            at most. Default: nobody looks.
    """

    def __init__(
        self,
        *,
        owner: ProcessOwner,
        launches: Mapping[str, LaunchSpec],
        exits: Exits,
        clock: Clock,
        prune: Callable[[], str],
        commands: PlaybookCommands | None = None,
        before_kill: Callable[[ActionStarted], Awaitable[None]] | None = None,
    ) -> None:
        self._before_kill = before_kill
        self._remedies: Performer | None = None
        self._owner = owner
        self._launches = launches
        self._exits = exits
        self._clock = clock
        self._prune = prune
        self._commands = commands
        self._resumed_s: dict[str, float] = {}
        self._begun_before_s: dict[str, float] = {}

    def equip(self, remedies: Performer) -> None:
        """Say who does what is not about starting and stopping; without one that cannot be done."""
        self._remedies = remedies

    def relaunch(self, launches: Mapping[str, LaunchSpec]) -> None:
        """Take how services are started and stopped from now on."""
        self._launches = launches

    def note_begun(self, target: str, seconds_ago: float) -> None:
        """Note that an action to be performed again was begun by a dead brain so long ago.

        A drain is not begun anew, or brains that die faster than it would never come to the kill.
        """
        self._begun_before_s[target.removeprefix("service/")] = max(0.0, seconds_ago)

    def note_resumed(self, action_id: str, seconds_ago: float) -> None:
        """Note that a command was begun by a dead brain so long ago."""
        self._resumed_s[action_id] = max(0.0, seconds_ago)

    async def perform(self, action: ActionStarted) -> Sequence[Payload]:
        """Do it, and give what is to be journalled of it."""
        begun_s = self._clock.monotonic()
        seen: Sequence[Payload] = ()
        try:
            seen, detail = await self._do(action)
            is_ok = True
        except ResileError as exc:
            is_ok, detail = False, f"{exc.message} {exc.hint}".strip()
        except Exception as exc:
            # An action without an end would stay in flight for ever, and hold the shutdown up.
            logger.exception("action.failed", extra={"action": action.action})
            is_ok, detail = False, repr(exc)
        finished = ActionFinished(
            action_id=action.action_id,
            target=action.target,
            is_ok=is_ok,
            detail=detail,
            took_s=round(self._clock.monotonic() - begun_s, 6),
            fault_id=action.fault_id,
        )
        return (*seen, finished)

    async def _do(self, action: ActionStarted) -> tuple[Sequence[Payload], str]:
        if action.action is ActionKind.KILL and self._before_kill is not None:
            await self._before_kill(action)
        if action.action is ActionKind.RUN:
            return (), await self._run_command(action)
        verbs = {
            ActionKind.START: self._start,
            ActionKind.STOP: self._stop,
            ActionKind.KILL: self._kill,
            ActionKind.PRUNE: self._make_room,
        }
        verb = verbs.get(action.action)
        if verb is not None:
            return await verb(action.target.removeprefix("service/"), action.generation)
        if self._remedies is None:
            raise OperationError(f"nobody here can do this: {action.action}")
        return await self._remedies.perform(action)

    async def _run_command(self, action: ActionStarted) -> str:
        if self._commands is None or not action.command:
            raise OperationError("there is no command to run")
        commands, begun_s = self._commands, self._resumed_s.pop(action.action_id, None)
        if begun_s is None:
            return await in_daemon_thread(lambda: commands.run(action))
        return await in_daemon_thread(lambda: commands.resume(action, begun_s=begun_s))

    async def _start(self, service: str, generation: int) -> tuple[Sequence[Payload], str]:
        launch = self._launches.get(service)
        if launch is None:
            raise OperationError(f"service {service!r} is not declared any more")
        self._exits.started(service, generation)
        try:
            instance = await self._owner.spawn(launch.spawn(service, generation))
        except ResileError:
            self._exits.ended(service, generation)
            raise
        if instance.exited is not None:
            self._exits.ended(service, generation)
        started = ProcessStarted(
            service=service,
            generation=generation,
            pid=instance.pid,
            start_ticks=instance.start_ticks,
            cgroup=instance.cgroup,
        )
        return (started,), f"pid {instance.pid}"

    async def _stop(self, service: str, generation: int) -> tuple[Sequence[Payload], str]:
        launch = self._launches.get(service)
        if not self._exits.is_running(service, generation):
            return (), "was not running"
        if launch is not None:
            await self._owner.signal(service, generation, launch.stop_signal)
            left_s = max(0.0, launch.drain_s - self._begun_before_s.pop(service, 0.0))
            if await self._exits.wait_ended(service, generation, timeout_s=left_s):
                return (), "ended when asked"
        return await self._kill(service, generation)

    async def _kill(self, service: str, generation: int) -> tuple[Sequence[Payload], str]:
        if not self._exits.is_running(service, generation):
            return (), "was not running"
        await self._owner.kill(service, generation)
        if not await self._exits.wait_ended(service, generation, timeout_s=EXIT_TOLD_TIMEOUT_S):
            raise OperationError(f"{service} was killed, but its exit was not told")
        return (), "killed"

    async def _make_room(self, _target: str, _generation: int) -> tuple[Sequence[Payload], str]:
        return (), await asyncio.to_thread(self._prune)
