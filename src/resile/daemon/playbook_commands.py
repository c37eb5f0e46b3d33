"""Runs the commands of playbooks: bounded, in the folder of `resile.toml`, and never two at once of one action.

A brain may die while a command runs. The next one waits for what is left of it, as long as its
time lasts, and then kills it; only a command that may be repeated is run again.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.events import ActionStarted
from resile.core.spawning import Completed, run_bounded
from resile.core.units import format_duration
from resile.errors import OperationError

ACTION_VARIABLE = "RESILE_ACTION"
"""Tells a command which action it is, and a new brain which processes belong to it."""
OUTPUT_SHOWN_MAX = 200
"""The end of the last line: what most programs say of their failure."""
UNKNOWN = "nobody saw its end"
_LOOK_S = 0.1


async def in_daemon_thread(work: Callable[[], str]) -> str:
    """Do what may take an hour in a thread of its own, which does not keep the process from ending.

    There are at most as many as there are targets: each has one action at a time.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def tell(result: str, error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result, error = "", None
        try:
            result = work()
        except Exception as exc:  # noqa: BLE001 - it is raised again where it is waited for
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name="playbook-command", daemon=True).start()
    return await done


class PlaybookCommands:
    """Runs commands. Blocks; safe to share between threads.

    Args:
        folder: Where they run.
        environ: What they inherit.
        clock: Bounds the waits.
        run: Runs one. Default: `run_bounded`.
    """

    def __init__(
        self,
        *,
        folder: Path,
        environ: Mapping[str, str],
        clock: Clock = SYSTEM_CLOCK,
        run: Callable[..., Completed] = run_bounded,
    ) -> None:
        self._folder = folder
        self._environ = environ
        self._clock = clock
        self._run = run

    def run(self, action: ActionStarted) -> str:
        """Run a command to its end; give in a few words what came of it.

        Raises:
            OperationError: If it could not be started, failed, or took too long.
        """
        done = self._run(
            action.command,
            timeout_s=action.timeout_s,
            env=self._environ_of(action),
            cwd=str(self._folder),
            clock=self._clock,
        )
        program = action.command[0]
        if done.is_timed_out:
            raise OperationError(f"{program} was killed after {format_duration(action.timeout_s)}")
        if done.exit_code == 0:
            return f"{program} exited with 0"
        how = f"was killed by {done.signal}" if done.signal else f"exited with {done.exit_code}"
        raise OperationError(f"{program} {how}{_last_line(done.output)}")

    def resume(self, action: ActionStarted, *, begun_s: float) -> str:
        """End what a dead brain began, so long ago: run it again, or tell that its end is unknown.

        Raises:
            OperationError: As `run`.
        """
        self._wait_or_kill(action, left_s=max(0.0, action.timeout_s - begun_s))
        return self.run(action) if action.is_repeatable else UNKNOWN

    def _wait_or_kill(self, action: ActionStarted, *, left_s: float) -> None:
        deadline = self._clock.monotonic() + left_s
        while pids := list(_processes_of(action.action_id)):
            if self._clock.monotonic() >= deadline:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                return
            self._clock.sleep(_LOOK_S)

    def _environ_of(self, action: ActionStarted) -> dict[str, str]:
        return {
            **self._environ,
            ACTION_VARIABLE: action.action_id,
            "RESILE_TARGET": action.target,
            "RESILE_PLAN": action.plan_id,
            "RESILE_FAULT": action.fault_id,
        }


def _processes_of(action_id: str) -> Iterator[int]:
    mark = f"{ACTION_VARIABLE}={action_id}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[-OUTPUT_SHOWN_MAX:]}" if last else ""
