"""One generation of a service, from its fork until its group is empty.

LAUNCHING becomes RUNNING when its program is executed; if that fails it is gone, as if it had
never been asked for. RUNNING becomes EXITED when its main process is reaped and the rest killed.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from resile.contain.cgroups import Cgroup
from resile.core.clock import Clock
from resile.core.process import identity_of
from resile.core.spawning import Ended, Launch
from resile.daemon.guard.emptying import Emptying
from resile.daemon.guard.logs import ServiceLog
from resile.daemon.guard.notify import NotifySocket, Said
from resile.daemon.guard.reactor import Reactor
from resile.daemon.protocol import Exited, Instance, Message, Notified, Reply, Spawn
from resile.errors import CgroupError, SpawnError

logger = logging.getLogger(__name__)

_READ_BYTES = 1 << 16
"""One turn takes so much of one service's output, then it is the others' turn."""
_LAST_BYTES_MAX = 4 << 20
"""What is read of a dead service's output at most: a pipe holds 1 MiB at most by default."""


class ChildPhase(Enum):
    """Where it stands."""

    LAUNCHING = "launching"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Belongings:
    """What was made for an instance before its fork, and goes with it."""

    group: Cgroup
    log: ServiceLog
    output_fd: int
    notify: NotifySocket | None


class Child:
    """One instance. Not thread-safe: lives on the guard's reactor.

    Args:
        request: What the brain asked for.
        launch: The fork.
        belongings: Owned from now on.
        reactor: Calls when something happens.
        clock: Stamps and measures.
        tell: Sends a message to the brain.
        on_discarded: Called if it could not be started, when nothing of it is left.
    """

    def __init__(
        self,
        request: Spawn,
        launch: Launch,
        belongings: Belongings,
        *,
        reactor: Reactor,
        clock: Clock,
        tell: Callable[[Message], None],
        on_discarded: Callable[["Child"], None],
    ) -> None:
        identity = identity_of(launch.pid)
        self.phase = ChildPhase.LAUNCHING
        self.pid = launch.pid
        self.exited: Exited | None = None
        self._launch = launch
        self._group = belongings.group
        self._log = belongings.log
        self._output_fd = belongings.output_fd
        self._notify = belongings.notify
        self._reactor = reactor
        self._clock = clock
        self._tell = tell
        self._on_discarded = on_discarded
        self._stop_signal = request.stop_signal
        self._drain_s = request.drain_s
        self._began_s = clock.monotonic()
        self._ended: Ended | None = None
        self._ended_at: datetime | None = None
        self._ended_s = 0.0
        self._survivor_count = 0
        self._emptying: Emptying | None = None
        self._is_empty = False
        self._spawn_ids = [request.request_id]
        self._kill_ids: list[int] = []
        self._instance = Instance(
            service=request.service,
            generation=request.generation,
            pid=launch.pid,
            start_ticks=identity.start_ticks if identity else 0,
            cgroup=self._group.name,
            started_at=clock.now(),
        )
        reactor.watch(launch.fd, self.launched)
        reactor.watch(self._output_fd, self._read_output)
        if self._notify is not None:
            reactor.watch(self._notify.fileno(), self._notify.read)

    @property
    def service(self) -> str:
        """Which service it is of."""
        return self._instance.service

    @property
    def generation(self) -> int:
        """Which start of the service it is."""
        return self._instance.generation

    def describe(self) -> Instance:
        """Say what is known; an exit without its last lines, which `Exited` alone carries."""
        exited = None if self.exited is None else replace(self.exited, tail=())
        return replace(self._instance, exited=exited)

    def answer_spawn(self, request_id: int) -> None:
        """Answer a request to start it: now, or when it is started."""
        if self.phase is ChildPhase.LAUNCHING:
            self._spawn_ids.append(request_id)
        else:
            self._tell(Reply(request_id=request_id, instances=(self.describe(),)))

    def launched(self) -> None:
        """Take the result of the exec."""
        if self.phase is not ChildPhase.LAUNCHING:
            return
        self._reactor.unwatch(self._launch.fd)
        try:
            self._launch.finish()
        except SpawnError as exc:
            self._discard(exc)
            return
        self.phase = ChildPhase.RUNNING
        for request_id in self._spawn_ids:
            self.answer_spawn(request_id)

    def reaped(self, ended: Ended) -> None:
        """Take the end of the main process, and begin to kill what it left."""
        self.launched()
        if self.phase is not ChildPhase.RUNNING:
            return
        self._ended = ended
        self._ended_at = self._clock.now()
        self._ended_s = self._clock.monotonic()
        # In a group that we are killing, nobody is left behind by an end of its own.
        if self._emptying is None and self._group.is_populated():
            left = (pid for pid in self._group.pids() if pid != self.pid)
            self._survivor_count = sum(identity_of(pid) is not None for pid in left)
        self._begin_emptying()

    def signal(self, number: int) -> bool:
        """Send a signal to the main process; False if it has ended.

        It is not reaped yet, so that its pid is still its own.
        """
        if self._ended is not None or self.phase is ChildPhase.EXITED:
            return False
        os.kill(self.pid, number)
        return True

    def stop(self) -> float:
        """Ask it to end, and kill it if it has not after its drain; give that drain in seconds."""
        if self.phase is ChildPhase.EXITED:
            return 0.0
        self._reactor.call_later(self._drain_s, self.kill)
        with contextlib.suppress(OSError):  # One that cannot be asked is killed all the same.
            self.signal(self._stop_signal)
        return self._drain_s

    def kill(self, request_id: int | None = None) -> None:
        """Kill the whole group; the request is answered when nothing of it is left."""
        if request_id is not None:
            self._kill_ids.append(request_id)
        if self.phase is ChildPhase.EXITED:
            self._answer_kills("")
        else:
            self._begin_emptying()

    def _begin_emptying(self) -> None:
        if self._emptying is None:
            self._emptying = Emptying(
                self._group, self._reactor, clock=self._clock, on_done=self._emptied
            )
            self._emptying.step()
        elif self._is_empty:
            self._finish()

    def _emptied(self, is_empty: bool) -> None:
        self._is_empty = is_empty
        if not is_empty:
            self._emptying = None  # Whoever asks again has another try.
            self._answer_kills("its processes do not die")
        if self._ended is not None:
            self._finish()

    def _finish(self) -> None:
        """Tell the end, now that nobody can write to the log or the sockets any more."""
        if self._ended is None or self._ended_at is None:
            return
        usage = self._group.usage()
        self._drain_output()
        self.phase = ChildPhase.EXITED
        self.exited = Exited(
            service=self.service,
            generation=self.generation,
            pid=self.pid,
            exit_code=self._ended.exit_code,
            signal=self._ended.signal,
            core_dumped=self._ended.core_dumped,
            oom_kills=usage.oom_kills,
            memory_limit_hits=usage.memory_limit_hits or 0,
            refused_processes=usage.refused_processes or 0,
            uptime_s=round(self._ended_s - self._began_s, 6),
            cpu_user_s=self._ended.cpu_user_s,
            cpu_system_s=self._ended.cpu_system_s,
            memory_max_bytes=usage.memory_max_bytes or self._ended.memory_max_bytes,
            survivors_killed=self._survivor_count,
            at=self._ended_at,
            tail=self._log.tail(),
        )
        self._tell(self.exited)
        self._answer_kills("")
        self._release()

    def _discard(self, error: SpawnError) -> None:
        self._release()
        for request_id in (*self._spawn_ids, *self._kill_ids):
            self._tell(Reply(request_id=request_id, error=error.message, hint=error.hint))
        self._on_discarded(self)

    def _release(self) -> None:
        """Let everything go that was made for it."""
        self._close_output()
        self._log.close()
        if self._notify is not None:
            self._reactor.unwatch(self._notify.fileno())
            self._notify.close()
        try:
            self._group.remove()
        except CgroupError as exc:
            logger.warning("guard.group_left name=%s reason=%s", self._group.name, exc)

    def _answer_kills(self, error: str) -> None:
        text = f"{self.service} generation {self.generation}: {error}" if error else ""
        hint = "they hang in the kernel (state D in ps), mostly on a disk or a network mount"
        for request_id in self._kill_ids:
            self._tell(Reply(request_id=request_id, error=text, hint=hint if error else ""))
        self._kill_ids.clear()

    def _drain_output(self) -> None:
        """Take the last that a dead service wrote; somebody outside the group may write on."""
        for _ in range(_LAST_BYTES_MAX // _READ_BYTES):
            if not self._read_output():
                return

    def _read_output(self) -> bool:
        """Take some output; tell whether there may be more."""
        if self._output_fd < 0:
            return False
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self._output_fd, _READ_BYTES)
            if chunk:
                self._log.feed(chunk)
                return True
            self._close_output()
        return False

    def _close_output(self) -> None:
        if self._output_fd >= 0:
            self._reactor.unwatch(self._output_fd)
            os.close(self._output_fd)
            self._output_fd = -1

    def said(self, said: Said) -> None:
        """Take what the service says of itself, and pass it on."""
        if self.phase is ChildPhase.EXITED:
            return
        if said.is_watchdog:
            self._instance = replace(self._instance, last_ping_at=self._clock.now())
        if said.is_ready:
            self._instance = replace(self._instance, is_ready=True)
        self._tell(
            Notified(
                service=self.service,
                generation=self.generation,
                is_ready=said.is_ready,
                is_stopping=said.is_stopping,
                is_watchdog=said.is_watchdog,
                status=said.status,
            )
        )
