"""The brain: reads the journal, adopts what runs, and then keeps the loop going.

It may be killed at any instant. Services go on, because the guard owns them; the next brain
stands where this one stood, because everything that it knew is in the journal.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resile import __version__
from resile.contain import runs_folder
from resile.contain.cgroups import kill_everything
from resile.core.clock import Clock
from resile.core.config import Config
from resile.core.events import (
    BrainStarted,
    BrainStopped,
    GuardLost,
    OperatorRequested,
    Payload,
    announce,
)
from resile.core.journal import Record, SqliteJournal
from resile.core.process import identity_of
from resile.core.vocabulary import Verb
from resile.daemon.actions import Actions, Exits
from resile.daemon.adopt import begun_again, plan_adoption
from resile.daemon.ballast import BALLAST_NAME, Ballast
from resile.daemon.brain.endings import Endings
from resile.daemon.brain.history import read_uptime
from resile.daemon.brain.projections import Incidents, Recovery
from resile.daemon.brain.sampling import Sampling
from resile.daemon.brain.sources import Sources
from resile.daemon.brain.watching import UNASKED, Watching
from resile.daemon.broadcast import Broadcast
from resile.daemon.console import Console
from resile.daemon.crashes import Crashes
from resile.daemon.desks import Desks, open_desks
from resile.daemon.escapes import EscapeWatch
from resile.daemon.foresight import Foresight, ForesightPlan
from resile.daemon.groups import group_of, members_of
from resile.daemon.guard_client import GuardClient, Told
from resile.daemon.hangs import Hangs
from resile.daemon.launch import LaunchSpec
from resile.daemon.left_faults import watch_left_faults
from resile.daemon.loop import Loop
from resile.daemon.measures import Measures
from resile.daemon.memory_watch import MemoryWatch
from resile.daemon.playbook_commands import PlaybookCommands
from resile.daemon.protocol import Exited, Instance, Notified, StopWanted
from resile.daemon.remedies import Declarations, open_remedies, pruner
from resile.daemon.replay import CHECKPOINT_EVERY, checkpoint_of, replay
from resile.daemon.run_sweep import RunSweep, recover_left
from resile.daemon.servers import Servers
from resile.daemon.store_keeping import StoreKeeping
from resile.daemon.stories import Stories
from resile.daemon.switch_desk import SwitchDesk
from resile.daemon.trouble_watch import TroubleWatch
from resile.daemon.view import BrainView
from resile.daemon.wiring import check_specs, command_environ, launch_specs, system_spec
from resile.errors import JournalError, ResileError
from resile.recover.points import RecoveryPoints

logger = logging.getLogger(__name__)

PING_S = 1.0
"""The guard's patience is thirty of these."""
UNDECLARED_RETRY_S = 5.0
SERVERS_GRACE_S = 4.0
"""The servers' own grace, and a little."""
GUARD_LOST_CODE = 1


class Brain:
    """One life of a brain. Lives on one event loop.

    Args:
        config: What the user declared.
        config_file: Where.
        state: The state folder.
        journal: Open.
        guard_socket: The inherited end of the line to the guard.
        environ: What services inherit.
        clock: Where time comes from.
    """

    def __init__(
        self,
        config: Config,
        *,
        config_file: Path,
        state: Path,
        journal: SqliteJournal,
        guard_socket: socket.socket,
        environ: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._config = config
        self._folder = config_file.parent
        self._state = state
        self._journal = journal
        self._clock = clock
        self._declarations = Declarations(config, state=state)
        spec = system_spec(config, changed=self._declarations.changed())
        replayed = replay(journal, spec)
        self._world, self._book = replayed.world, replayed.book
        self._streaks = replayed.streaks
        self._since_checkpoint = replayed.since_checkpoint
        self._uptime = read_uptime(journal, now=clock.now())
        self._stories = Stories.read(journal)
        self._checks = check_specs(config, environ=environ)
        self._done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._early: list[Told] | None = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ballast = Ballast(state / "journal" / BALLAST_NAME)
        self._guard = GuardClient(guard_socket, on_told=self._on_told, on_lost=self._on_lost)
        self._exits = Exits()
        self._launches_of = partial(
            launch_specs, environ=environ, state=state, config_file=config_file
        )
        launches = self._launches_of(self._declarations.effective())
        hangs = Hangs(self._world, members=lambda *which: members_of(state, *which), clock=clock)
        crashes = Crashes(
            state,
            folders={name: launch.cwd for name, launch in launches.items()},
            keep=config.resile.crashes_max,
            clock=clock,
        )
        commands = self._playbook_commands(environ, config_file)
        self._actions = self._make_actions(launches, commands, crashes, hangs)
        self._memory = self._watch_memory(launches)
        self._broadcast = Broadcast(journal.read)
        self._loop = self._make_loop()
        self._endings = self._make_endings(crashes, hangs, launches)
        self._watching = Watching(self._world, loop=self._loop, checks=self._checks, clock=clock)
        self._console = Console(clock=clock)
        self._measures = Measures()
        self._measures.recovery.read(journal)
        self._points = RecoveryPoints(periods_s=self._periods_s, began_at=clock.now())
        self._servers = Servers(config=config.resile.http, state=state, clock=clock)
        self._desks = self._open_desks(environ, config_file)
        self._equip()
        self._switches = self._open_switches(environ, config_file)
        self._foresight = self._look_ahead()
        self._sweep = RunSweep(lambda: recover_left(state, environ, clock), say=self._console.say)
        self._view = self._make_view()

    async def run(self) -> int:
        """Adopt, then work until everything is stopped or the guard is lost; give the exit code."""
        instances = await self._guard.connect()
        self._servers.open(is_patient=bool(instances))
        self._adopt(instances)
        escapes = EscapeWatch(self._journal, self._book, tell=self._loop.record_all)
        troubles = self._watch_troubles()
        hears = {"figures": self._measures.store, "work": self._desks.store.hear_keeper}
        keeping = StoreKeeping(self._config, self._state, self._journal, hears=hears)
        async with asyncio.TaskGroup() as group:
            workers = [
                group.create_task(work, name=name)
                for name, work in (
                    ("loop", self._loop.run()),
                    ("ping", self._ping()),
                    ("sample", self._sampling().run()),
                    ("sweep", self._sweep.run()),
                    ("escapes", escapes.run()),
                    ("faults", watch_left_faults(self._watch_faults, say=self._console.say)),
                    ("troubles", troubles.run()),
                    ("foresight", self._foresight.run()),
                    ("switches", self._switches.run()),
                    ("store", keeping.run(self._world, self._loop)),
                    ("lanes", self._desks.lanes.serve()),
                    ("secrets", self._desks.secrets.serve()),
                    ("servers", self._servers.serve(self._view)),
                )
            ]
            code = await self._done
            self._servers.close()
            await asyncio.wait({workers[-1]}, timeout=SERVERS_GRACE_S)
            for worker in workers:
                worker.cancel()
        await self._end(code)
        return code

    def _watch_faults(self) -> bool:
        from resile.chaos import open_host, watch_again

        return watch_again(open_host(self._state, self._folder))

    def _playbook_commands(self, environ: Mapping[str, str], config_file: Path) -> PlaybookCommands:
        return PlaybookCommands(
            folder=config_file.parent,
            environ=command_environ(environ, state=self._state, config_file=config_file),
            clock=self._clock,
        )

    def _watch_memory(self, launches: Mapping[str, LaunchSpec]) -> MemoryWatch:
        limits = {name: one.limits.memory_bytes for name, one in launches.items()}
        return MemoryWatch(
            self._world,
            limits={name: limit for name, limit in limits.items() if limit},
            group_of=lambda *which: group_of(self._state, *which),
            clock=self._clock,
        )

    def _make_actions(
        self,
        launches: Mapping[str, LaunchSpec],
        commands: PlaybookCommands,
        crashes: Crashes,
        hangs: Hangs,
    ) -> Actions:
        return Actions(
            owner=self._guard,
            launches=launches,
            exits=self._exits,
            clock=self._clock,
            prune=pruner(self._config, folder=self._folder, state=self._state, crashes=crashes),
            commands=commands,
            before_kill=hangs.look,
        )

    def _equip(self) -> None:
        remedies = open_remedies(
            self._config,
            world=self._world,
            state=self._state,
            folder=self._folder,
            journal=self._journal,
            checks=self._checks,
            desks=self._desks,
            declarations=self._declarations,
            relaunch=lambda config: self._actions.relaunch(self._launches_of(config)),
            look_again=self._watching.scheduler.look_again,
            clock=self._clock,
        )
        self._actions.equip(remedies)

    def _make_endings(
        self, crashes: Crashes, hangs: Hangs, launches: Mapping[str, LaunchSpec]
    ) -> Endings:
        return Endings(
            self._world,
            self._book,
            loop=self._loop,
            guard=self._guard,
            exits=self._exits,
            crashes=crashes,
            hangs=hangs,
            limits={name: launch.limits for name, launch in launches.items()},
            kills=self._memory.kills,
        )

    def _make_loop(self) -> Loop:
        return Loop(
            journal=self._journal,
            projections=[Recovery(self._world), Incidents(self._book, self._world)],
            clock=self._clock,
            perform=self._actions.perform,
            checkpoint=self._checkpoint,
            on_records=self._on_records,
            on_trouble=self._on_trouble,
        )

    @property
    def _periods_s(self) -> dict[str, float]:
        """The times between two snapshots, by folder."""
        return {str(one.folder): one.every for one in self._config.snapshot.values()}

    def _watch_troubles(self) -> TroubleWatch:
        return TroubleWatch(
            self._journal,
            self._book,
            tell=self._loop.record_all,
            periods_s=self._periods_s,
            points=self._points,
            clock=self._clock,
        )

    def _open_desks(self, environ: Mapping[str, str], config_file: Path) -> Desks:
        return open_desks(
            self._config,
            self._state,
            self._journal,
            self._loop,
            environ,
            root=config_file.resolve().parent,
            world=self._world,
            measures=self._measures,
            points=self._points,
            clock=self._clock,
        )

    def _open_switches(self, environ: Mapping[str, str], config_file: Path) -> SwitchDesk:
        return SwitchDesk(
            self._state,
            root=config_file.resolve().parent,
            runs=runs_folder(environ),
            world=self._world,
            loop=self._loop,
            clock=self._clock,
        )

    def _look_ahead(self) -> Foresight:
        foresight = Foresight(
            ForesightPlan.of(self._config, self._checks, state=self._state),
            world=self._world,
            book=self._book,
            tell=self._loop.tell,
            sources=Sources(self._watching, self._desks),
            clock=self._clock,
        )
        foresight.read(self._journal)
        return foresight

    def _make_view(self) -> BrainView:
        return BrainView(
            name=self._config.resile.name,
            world=self._world,
            book=self._book,
            uptime=self._uptime,
            stories=self._stories,
            journal=self._journal,
            scheduler=self._watching.scheduler,
            checks=self._checks,
            broadcast=self._broadcast,
            loop=self._loop,
            clock=self._clock,
            measures=self._measures,
            desks=self._desks,
            switches=self._switches,
            samples=lambda: self._watching.samples,
            foresight=self._foresight,
            address=lambda: self._servers.address,
            pids=(os.getpid(), os.getppid()),
        )

    # Beginning and end --------------------------------------------------------------------------

    def _adopt(self, instances: Sequence[Instance]) -> None:
        adoption = plan_adoption(self._world, instances)
        identity = str(identity_of(os.getppid()) or "")
        is_same_guard = self._world.is_guarded_by(os.getppid(), identity)
        self._loop.tell(
            BrainStarted(
                pid=os.getpid(),
                guard_pid=os.getppid(),
                guard_identity=identity,
                release=__version__,
                config_digest=self._config.digest,
                adopted=adoption.adopted,
            ),
            *adoption.payloads,
        )
        for instance in adoption.running:
            self._exits.started(instance.service, instance.generation)
        for instance in adoption.undeclared:
            self._spawn(self._end_undeclared(instance))
        self._watching.start(self._streaks, adoption.running, self._journal)
        self._foresight.adopt(adoption.running)
        # Before what is in flight is performed again: a stop that finds nothing left to stop is
        # over at once, and an end that is told after it would look like a crash.
        early, self._early = self._early or [], None
        for told in early:
            self._on_told(told)
        if is_same_guard:
            now = self._clock.now()
            for action in self._world.in_flight.values():
                begun_s = (now - action.started_at).total_seconds()
                self._actions.note_begun(action.target, begun_s)
                self._actions.note_resumed(action.action_id, begun_s)
            self._loop.resume(map(begun_again, self._world.in_flight.values()))

    async def _end_undeclared(self, instance: Instance) -> None:
        """End what runs although nobody declares it any more: nothing runs unsupervised."""
        self._console.say(f"{instance.service} is not declared any more: it is ended")
        while True:
            try:
                await self._guard.kill(instance.service, instance.generation)
                await self._guard.forget(instance.service, instance.generation)
            except ResileError as exc:
                logger.error("brain.not_ended", extra={"reason": exc.message})  # noqa: TRY400
                await asyncio.sleep(UNDECLARED_RETRY_S)
            else:
                return

    async def _end(self, code: int) -> None:
        self._broadcast.close()
        self._desks.close()
        self._foresight.close()
        await self._watching.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if code == GUARD_LOST_CODE:
            killed = await asyncio.to_thread(kill_everything, self._state)
            await self._last_words(GuardLost(pid=self._world.guard_pid, killed=killed))
            return
        await self._last_words(BrainStopped(reason="everything was stopped"))
        self._console.say("everything is stopped")
        await self._guard.quit(code)
        await self._guard.close()

    async def _last_words(self, payload: Payload) -> None:
        """Record the end, and the state to begin from; a journal that fails cannot hold us up."""
        event = announce(payload, at=self._clock.now(), actor="brain")
        with contextlib.suppress(JournalError):
            await asyncio.wrap_future(self._journal.append_soon(event))
            self._world.apply(event)
            self._book.apply(event)
            state = announce(
                checkpoint_of(self._world, self._book, {}), at=self._clock.now(), actor="brain"
            )
            await asyncio.wrap_future(self._journal.append_soon(state))

    # What comes in ------------------------------------------------------------------------------

    def _on_told(self, told: Told) -> None:
        if self._early is not None:
            self._early.append(told)
        elif isinstance(told, Exited):
            # A task, not a call: the reply to the spawn was received before this exit, and what
            # waits for it must tell the start first.
            self._spawn(self._endings.handle(told))
        elif isinstance(told, Notified):
            self._watching.notice(told)
        elif isinstance(told, StopWanted):
            self._console.say(f"{told.signal}: stopping everything")
            self._loop.tell(OperatorRequested(verb=Verb.SHUTDOWN, who=told.signal), actor=UNASKED)

    def _on_lost(self) -> None:
        if not self._done.done():
            self._console.say("the guard is lost: ending everything that it owned")
            self._done.set_result(GUARD_LOST_CODE)

    def _on_trouble(self, error: JournalError | None) -> None:
        if error is None:
            self._view.journal_trouble = ""
            self._watching.tell_again()
            self._console.say("the journal can be written again")
            return
        has_room = self._ballast.release()
        if not self._view.journal_trouble:
            self._console.say(f"the journal cannot be written: {error.message} {error.hint}")
            logger.error("journal.failed", extra={"error": error.message, "ballast": has_room})
        self._view.journal_trouble = error.message

    def _on_records(self, records: Sequence[Record]) -> None:
        self._since_checkpoint += len(records)
        for record in records:
            self._uptime.apply(record.event)
            self._measures.apply(record.event)
            self._desks.secrets.apply(record.event)
            self._watching.apply(record.event.payload(), record.event.at)
            self._foresight.apply(record.event.payload())
            self._console.show(record)
        self._switches.follow()
        self._stories.add(records)
        self._broadcast.publish(records)
        is_over = self._world.is_shutdown_wanted and self._world.is_all_stopped
        if is_over and not self._done.done():
            self._done.set_result(0)

    # What goes on -------------------------------------------------------------------------------

    def _checkpoint(self) -> Payload | None:
        if self._since_checkpoint < CHECKPOINT_EVERY:
            return None
        self._since_checkpoint = 0
        return checkpoint_of(self._world, self._book, self._watching.scheduler.streaks())

    async def _ping(self) -> None:
        while True:
            with contextlib.suppress(ResileError):  # a lost guard is told by `_on_lost`
                await self._guard.ping()
            await asyncio.sleep(PING_S)

    def _sampling(self) -> Sampling:
        return Sampling(
            self._world,
            loop=self._loop,
            watching=self._watching,
            memory=self._memory,
            declarations=self._declarations,
            ballast=self._ballast,
            may_restore=lambda: not self._view.journal_trouble,
            clock=self._clock,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
