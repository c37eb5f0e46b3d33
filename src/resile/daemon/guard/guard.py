"""The guard: owns the processes and decides nothing. The brain asks, and may die at any time.

What happens when one of them is killed with SIGKILL:

- a service: its group is emptied, and the brain is told;
- the brain: services go on; a new brain is started and told every exit that is not forgotten;
- the guard: the kernel kills each service's main process with it (PR_SET_PDEATHSIG). The brain
  sees its line closed and kills what is left in the groups (`resile.contain.kill_everything`).
  If both are killed, what the services had started lives on until the next guard on this folder,
  whose first act is the same sweep.

One thread: it forks.
"""

import json
import logging
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from resile.contain.cgroups import CgroupProbe, kill_everything, probe, remember
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.files import FileLock, lock_file, make_private_dir, write_durable
from resile.core.process import identity_of, signal_name
from resile.core.spawning import Ended, Spawner, set_subreaper
from resile.daemon.guard.children import Children
from resile.daemon.guard.keeper import BrainKeeper, is_hopeless
from resile.daemon.guard.own_log import LOG_NAME, OwnLog
from resile.daemon.guard.reactor import Reactor, attempt
from resile.daemon.guard.systemd import ServiceManager
from resile.daemon.protocol import (
    Forget,
    Kill,
    List,
    Message,
    Ping,
    Quit,
    Reply,
    Signal,
    Spawn,
    StopWanted,
)
from resile.daemon.token import make_token, remove_token
from resile.errors import AlreadyRunningError, ResileError

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 60.0
"""More than the longest drain of a usual configuration; the caller knows better."""
END_TIMEOUT_S = 12.0
"""So long the last killing may take; a little more than one group may."""
_POLL_S = 0.02
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Guard:
    """One guard of one state folder. Not thread-safe; one in a process.

    Args:
        state: The daemon's state folder.
        brain_argv: The brain's command.
        cwd: Where the brain runs.
        stop_timeout_s: So long the brain may take to stop everything in order, once a signal
            asked for it; a second signal ends it at once. Default 60.
        clock: Stamps and measures.
    """

    def __init__(
        self,
        state: Path,
        *,
        brain_argv: Sequence[str],
        cwd: Path,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._state = state.resolve()
        self._brain_argv = tuple(brain_argv)
        self._cwd = cwd
        self._stop_timeout_s = stop_timeout_s
        self._clock = clock
        self._exit_code = 0
        self._is_stop_wanted = ""
        self._is_ending = False

    def run(self) -> int:
        """Guard until the brain says `Quit`, or a signal ends it; give the exit code.

        Raises:
            AlreadyRunningError: If another guard owns the folder.
            ResileError: If the folder, the groups or the first brain cannot be made.
        """
        run = self._state / "run"
        for folder in (self._state, run, self._state / "logs"):
            make_private_dir(folder)
        with _locked(run):
            killed = kill_everything(self._state, clock=self._clock)
            if killed:
                logger.warning("guard.swept groups=%s", ",".join(killed))
            set_subreaper()
            groups = probe(self._state, is_mover=True)
            if groups.warning:
                logger.warning("guard.cgroups kind=%s %s", groups.tree.layout.kind, groups.warning)
            remember(self._state, groups.tree.layout)
            try:
                make_token(run)
                self._write_facts(run / "guard.json", groups)
                self._guard(groups)
            finally:
                (run / "guard.json").unlink(missing_ok=True)
                remove_token(run)
                kill_everything(self._state, clock=self._clock)
        return self._exit_code

    def _guard(self, groups: CgroupProbe) -> None:
        """Start the first brain, and react until the end."""
        self._reactor = reactor = Reactor(self._clock)
        OwnLog(self._state / "logs" / LOG_NAME, reactor=reactor).watch()
        self._manager = ServiceManager(os.environ, reactor)
        self._spawner = Spawner()
        self._children = Children(
            self._state,
            tree=groups.tree,
            reactor=reactor,
            clock=self._clock,
            spawner=self._spawner,
            tell=self._tell,
        )
        self._keeper = BrainKeeper(
            self._brain_argv,
            cwd=self._cwd,
            tree=groups.tree,
            reactor=reactor,
            clock=self._clock,
            spawner=self._spawner,
            on_message=self._received,
            on_connected=self._brain_connected,
            on_gone=self._brain_gone,
        )
        try:
            reactor.catch((signal.SIGCHLD, *_STOPPING), self._signalled)
            self._keeper.start()
            reactor.run()
        finally:
            self._keeper.end()
            self._children.close()
            reactor.close()

    def _tell(self, message: Message) -> None:
        self._keeper.send(message)

    def _received(self, message: Message) -> None:
        """Do what the brain asks."""
        match message:
            case Ping():
                self._keeper.pinged()
                self._manager.ready()
                self._tell(Reply(request_id=message.request_id))
            case List():
                instances = self._children.instances()
                self._tell(Reply(request_id=message.request_id, instances=instances))
            case Spawn() if self._is_ending:
                self._tell(Reply(request_id=message.request_id, error="the guard is ending"))
            case Spawn():
                self._children.spawn(message)
            case Signal():
                self._children.signal(message)
            case Kill():
                self._children.kill(message)
            case Forget():
                self._children.forget(message)
            case Quit():
                self._end(message.code, request_id=message.request_id)
            case _:
                logger.warning("guard.unexpected_message tag=%s", message.tag)

    def _brain_connected(self) -> None:
        """Tell a new brain what the last one may not have written down."""
        for exited in self._children.exits():
            self._tell(exited)
        if self._is_stop_wanted:
            self._tell(StopWanted(signal=self._is_stop_wanted))

    def _brain_gone(self, exit_code: int | None, has_pinged: bool) -> None:
        if self._is_ending:
            return
        if self._is_stop_wanted:
            self._stop_alone()
        elif is_hopeless(
            exit_code,
            has_pinged=has_pinged,
            vain_lives=self._keeper.vain_lives,
            active_count=self._children.active_count(),
        ):
            logger.error("guard.brain_given_up exit_code=%s", exit_code)
            self._end(exit_code or 1)
        else:
            self._keeper.start_later()

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif self._is_stop_wanted:
            self._end(1)
        else:
            self._is_stop_wanted = signal_name(number)
            self._begin_stop()

    def _begin_stop(self) -> None:
        self._manager.stopping()
        if self._keeper.is_running:
            self._tell(StopWanted(signal=self._is_stop_wanted))
            self._reactor.call_later(self._stop_timeout_s, self._stop_alone)
        else:
            self._stop_alone()

    def _reap(self) -> None:
        """Reap whoever has died: main processes, the brain, and orphans, which nobody asks after."""
        while (ended := self._spawner.reap()) is not None:
            attempt(partial(self._take, ended))

    def _take(self, ended: Ended) -> None:
        if not (self._children.reaped(ended) or self._keeper.reaped(ended)):
            logger.debug("guard.orphan_reaped pid=%d", ended.pid)

    def _stop_alone(self) -> None:
        """Stop everything without a brain: all at once, as only the brain knows the order."""
        if self._is_ending:
            return
        logger.error("guard.stops_alone active=%d", self._children.active_count())
        deadline_s = self._clock.monotonic() + self._children.stop_all()

        def look() -> None:
            if self._children.active_count() == 0 or self._clock.monotonic() >= deadline_s:
                self._end(1)
            else:
                self._reactor.call_later(_POLL_S, look)

        look()

    def _end(self, exit_code: int, *, request_id: int | None = None) -> None:
        """Kill every service, then let the brain go, then stop."""
        if self._is_ending:
            return
        self._is_ending = True
        self._exit_code = exit_code
        self._manager.stopping()
        self._children.kill_all()
        deadline_s = self._clock.monotonic() + END_TIMEOUT_S

        def look() -> None:
            is_late = self._clock.monotonic() >= deadline_s
            if self._children.active_count() and not is_late:
                self._reactor.call_later(_POLL_S, look)
                return
            if request_id is not None:
                self._tell(Reply(request_id=request_id))
            self._keeper.end()
            self._wait_for_brain(self._clock.monotonic() + END_TIMEOUT_S)

        look()

    def _wait_for_brain(self, deadline_s: float) -> None:
        """Stop when the brain is gone; the keeper kills one that does not go."""
        if self._keeper.is_running and self._clock.monotonic() < deadline_s:
            self._reactor.call_later(_POLL_S, lambda: self._wait_for_brain(deadline_s))
        else:
            self._reactor.stop()

    def _write_facts(self, path: Path, groups: CgroupProbe) -> None:
        """Let others see who guards this folder, and with what."""
        identity = identity_of(os.getpid())
        if identity is None:
            raise AssertionError("this process runs")
        facts = {
            "version": 1,
            "pid": identity.pid,
            "start_ticks": identity.start_ticks,
            "boot_id": identity.boot_id,
            "started_at": self._clock.now().isoformat(),
            "cgroups": groups.tree.layout.kind.value,
            "warning": groups.warning,
        }
        write_durable(path, json.dumps(facts).encode())


def _locked(run: Path) -> FileLock:
    """Own the folder, or say who does.

    Raises:
        AlreadyRunningError: If another guard owns it.
        ResileError: If the lock cannot be taken.
    """
    try:
        return lock_file(run / "guard.lock")
    except AlreadyRunningError as exc:
        raise AlreadyRunningError(
            f"a guard runs on {run.parent} already: {exc.message}",
            hint="`resile status` shows it, `resile down` stops it",
        ) from exc


def report(error: ResileError) -> str:
    """Write an error for the terminal: what is so, and what to do."""
    return f"resile: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else "")
