"""Every instance that the guard knows, by service and generation; what the brain may ask of them."""

import contextlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

from resile.contain.cgroups import Cgroup, CgroupTree
from resile.core.clock import Clock
from resile.core.spawning import Ended, Spawner, SpawnSpec
from resile.daemon.guard.child import Belongings, Child, ChildPhase
from resile.daemon.guard.logs import LogFile, ServiceLog
from resile.daemon.guard.notify import NotifySocket, Said, notify_folder, remove_notify_folder
from resile.daemon.guard.own_log import LOG_NAME
from resile.daemon.guard.reactor import Reactor, attempt
from resile.daemon.protocol import (
    GUARD_FD_VARIABLE,
    Exited,
    Forget,
    Instance,
    Kill,
    Message,
    Reply,
    Signal,
    Spawn,
)
from resile.errors import RejectedError, ResileError

logger = logging.getLogger(__name__)

INSTANCES_MAX = 1024
"""Running and not forgotten ones together; a brain that forgets nothing must not eat the guard."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
"""It becomes part of file names."""


class Children:
    """The table of instances. Not thread-safe.

    Args:
        state: The daemon's state folder.
        tree: Where each gets its group.
        reactor: Calls when something happens.
        clock: Stamps and measures.
        spawner: Starts and reaps.
        tell: Sends a message to the brain, if there is one.
    """

    def __init__(
        self,
        state: Path,
        *,
        tree: CgroupTree,
        reactor: Reactor,
        clock: Clock,
        spawner: Spawner,
        tell: Callable[[Message], None],
    ) -> None:
        self._state = state
        self._tree = tree
        self._reactor = reactor
        self._clock = clock
        self._spawner = spawner
        self._tell = tell
        self._children: dict[tuple[str, int], Child] = {}
        self._by_pid: dict[int, Child] = {}
        self._notify_folder: Path | None = None

    def spawn(self, request: Spawn) -> None:
        """Start an instance, unless it is known; answered when it is started, or cannot be."""
        known = self._children.get((request.service, request.generation))
        if known is not None:
            known.answer_spawn(request.request_id)
            return
        try:
            self._check(request)
            child = self._launch(request)
        except ResileError as exc:
            self._tell(Reply(request_id=request.request_id, error=exc.message, hint=exc.hint))
            return
        except OSError as exc:  # The guard itself is short of descriptors, mostly.
            self._tell(Reply(request_id=request.request_id, error=f"cannot start: {exc}"))
            return
        self._children[request.service, request.generation] = child
        self._by_pid[child.pid] = child

    def signal(self, request: Signal) -> None:
        """Send a signal to an instance's main process."""
        child = self._children.get((request.service, request.generation))
        error = ""
        try:
            if child is None or not child.signal(request.signal):
                error = f"{request.service} generation {request.generation} does not run"
        except OSError as exc:
            error = f"signal {request.signal} cannot be sent: {exc.strerror}"
        self._tell(Reply(request_id=request.request_id, error=error))

    def kill(self, request: Kill) -> None:
        """Kill an instance's group; of one that is unknown, nothing is left already."""
        child = self._children.get((request.service, request.generation))
        if child is None:
            self._tell(Reply(request_id=request.request_id))
        else:
            child.kill(request.request_id)

    def forget(self, request: Forget) -> None:
        """Drop what is known of an instance that has ended."""
        key = (request.service, request.generation)
        child = self._children.get(key)
        if child is not None and child.phase is not ChildPhase.EXITED:
            error = f"{request.service} generation {request.generation} has not ended"
            self._tell(Reply(request_id=request.request_id, error=error))
            return
        self._children.pop(key, None)
        self._tell(Reply(request_id=request.request_id))

    def instances(self) -> tuple[Instance, ...]:
        """List all that started; what is being launched is not among them yet."""
        return tuple(
            child.describe()
            for child in self._children.values()
            if child.phase is not ChildPhase.LAUNCHING
        )

    def exits(self) -> tuple[Exited, ...]:
        """List the exits that are not forgotten."""
        return tuple(c.exited for c in self._children.values() if c.exited is not None)

    def active_count(self) -> int:
        """Count the instances that have not ended."""
        return sum(c.phase is not ChildPhase.EXITED for c in self._children.values())

    def reaped(self, ended: Ended) -> bool:
        """Take the end of a process; False if it was nobody's main process."""
        child = self._by_pid.pop(ended.pid, None)
        if child is None:
            return False
        child.reaped(ended)
        return True

    def stop_all(self) -> float:
        """Ask all at once to end, each with its own signal and drain; give the longest drain."""
        return max((child.stop() for child in tuple(self._children.values())), default=0.0)

    def kill_all(self) -> None:
        """Kill every group."""
        for child in tuple(self._children.values()):
            if child.phase is not ChildPhase.EXITED:
                attempt(child.kill)

    def close(self) -> None:
        """Remove what all of them shared; none of them runs any more."""
        if self._notify_folder is not None:
            remove_notify_folder(self._notify_folder)

    def _check(self, request: Spawn) -> None:
        """Refuse what cannot be done.

        Raises:
            RejectedError: With the reason.
        """
        if not _NAME.fullmatch(request.service):
            raise RejectedError(
                f"service name {request.service!r} cannot be used",
                hint="use letters, digits, '-', '_' and '.', at most 63",
            )
        if f"{request.service}.log" == LOG_NAME:
            raise RejectedError(
                f"service name {request.service!r} cannot be used: {LOG_NAME} is the guard's own",
                hint="give the service another name",
            )
        if not request.argv:
            raise RejectedError(f"service {request.service!r} has no command")
        if len(self._children) >= INSTANCES_MAX:
            raise RejectedError(f"the guard knows {INSTANCES_MAX} instances and takes no more")
        for child in self._children.values():
            if child.service == request.service and child.phase is not ChildPhase.EXITED:
                raise RejectedError(
                    f"{child.service} still runs as generation {child.generation}",
                    hint="kill that generation first",
                )

    def _launch(self, request: Spawn) -> Child:
        """Make what an instance needs, and fork.

        Raises:
            ResileError, OSError: If something cannot be made; nothing is left of it then.
        """
        name = f"{request.service}-{request.generation}"
        with contextlib.ExitStack() as undo:
            group = self._tree.create(name, request.limits)
            undo.callback(group.remove)
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, read_fd)
            with os.fdopen(write_fd, "wb", buffering=0):  # Closed here; the child has its own.
                os.set_blocking(read_fd, False)
                notify = self._notify_socket(name, group, request) if request.is_notify else None
                if notify is not None:
                    undo.callback(notify.close)
                spec = SpawnSpec(
                    argv=request.argv,
                    env=_environment(request, group, notify),
                    cwd=request.cwd,
                    stdout_fd=write_fd,
                    stderr_fd=write_fd,
                    join_files=group.join_files,
                    dies_with_parent=True,
                    has_core_dumps=True,
                )
                launch = self._spawner.launch(spec)
            undo.pop_all()
        return Child(
            request,
            launch,
            Belongings(group, self._log(request), read_fd, notify),
            reactor=self._reactor,
            clock=self._clock,
            tell=self._tell,
            on_discarded=self._discarded,
        )

    def _log(self, request: Spawn) -> ServiceLog:
        file = LogFile(
            self._state / "logs" / f"{request.service}.log",
            bytes_max=request.log_bytes_max,
            files_max=request.log_files_max,
        )
        return ServiceLog(
            file,
            lines_per_s_max=request.log_lines_per_s_max,
            clock=self._clock,
            reactor=self._reactor,
        )

    def _notify_socket(self, name: str, group: Cgroup, request: Spawn) -> NotifySocket:
        key = (request.service, request.generation)

        def said(said: Said) -> None:
            child = self._children.get(key)
            if child is not None:
                child.said(said)

        folder = notify_folder(self._state / "run", self._tree.layout.unit)
        self._notify_folder = folder
        return NotifySocket(folder / name, members=group.pids, on_said=said, clock=self._clock)

    def _discarded(self, child: Child) -> None:
        self._children.pop((child.service, child.generation), None)
        self._by_pid.pop(child.pid, None)


def _environment(request: Spawn, group: Cgroup, notify: NotifySocket | None) -> dict[str, str]:
    """Give the service's environment: what was asked, and what ties it to us."""
    env = {"PYTHONFAULTHANDLER": "1", **request.env, **group.environment}
    env.pop(GUARD_FD_VARIABLE, None)
    if notify is not None:
        env["NOTIFY_SOCKET"] = str(notify.path)
    if request.watchdog_s > 0:
        env["WATCHDOG_USEC"] = str(round(request.watchdog_s * 1e6))
    return env
