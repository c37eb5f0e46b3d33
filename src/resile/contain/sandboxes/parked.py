"""A launcher's process before and after it gets its box: what native and pure Python have in common."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from resile.contain.cgroups import Cgroup
from resile.contain.sandboxes.model import Box, Message, Stdio
from resile.contain.sandboxes.recipe import Recipe
from resile.contain.sandboxes.wire import Control
from resile.core.helper import Helper, start_helper


class ControlledBox:
    """A command in its box, watched over a control socket. Not thread-safe."""

    def __init__(self, helper: Helper, control: Control) -> None:
        self._helper = helper
        self._control = control
        self._is_closed = False
        self.pid = helper.pid

    @property
    def fd(self) -> int:
        """Readable when there is a message, or when the box has ended."""
        return self._control.fd

    @property
    def notify_fd(self) -> int:
        """The seccomp listener; -1 until `Started` was read, and where nothing is observed."""
        return self._control.notify_fd

    @property
    def has_ended(self) -> bool:
        """True when no message will come any more."""
        return self._control.has_ended

    def read(self) -> Sequence[Message]:
        """Take the messages that have come. Does not block."""
        return self._control.read()

    def signal(self, number: int) -> None:
        """Send a signal to the main process."""
        self._control.send_signal(number)

    def kill(self) -> None:
        """Let the launcher kill its box. It ends only when all in it have."""
        self._control.shut()

    def close(self) -> None:
        """Kill what runs, reap the launcher and close the descriptors. Blocks until all is dead."""
        if self._is_closed:
            return
        self._is_closed = True
        self.kill()
        self._helper.wait()
        self._control.close()


class Parked:
    """A launcher that waits for its box, already a member of a group. Not thread-safe.

    It is made ahead because the first write to a `cgroup.procs` after a pause takes 8 to 11 ms on
    cgroup v1: the kernel waits for an RCU grace period. It costs a process that sleeps.
    """

    def __init__(
        self,
        argv: Sequence[str],
        recipe_of: Callable[[Box], Recipe],
        *,
        join_files: Sequence[str] = (),
        cgroup_folder: str = "",
        env: dict[str, str] | None = None,
    ) -> None:
        """Start it.

        Raises:
            SpawnError: If it could not be started.
        """
        self._recipe_of = recipe_of
        self._cgroup_folder = cgroup_folder
        self._control = Control()
        try:
            command = (*argv, str(self._control.their_fd), *join_files)
            self._helper = start_helper(command, kept_fds=[self._control.their_fd], env=env)
        except BaseException:
            self._control.close()
            raise
        self._control.close_theirs()

    @property
    def pid(self) -> int:
        """The launcher's own process, on the host."""
        return self._helper.pid

    def launch(self, box: Box, stdio: Stdio) -> ControlledBox:
        """Give it its box; returns at once. To be called once, instead of `close`."""
        cgroup_fd = -1
        try:
            if self._cgroup_folder:
                cgroup_fd = os.open(self._cgroup_folder, os.O_PATH | os.O_CLOEXEC)
            self._control.send_recipe(self._recipe_of(box), stdio, cgroup_fd)
        except BaseException:
            self.close()
            raise
        finally:
            if cgroup_fd >= 0:
                os.close(cgroup_fd)
        return ControlledBox(self._helper, self._control)

    def close(self) -> None:
        """Let it go without a box."""
        self._control.shut()
        self._helper.wait()
        self._control.close()


def unified_folder(cgroup: Cgroup | None) -> str:
    """Give the folder of a group that only lives in a v2 hierarchy; empty for every other."""
    files = cgroup.join_files if cgroup is not None else ()
    folder = Path(files[0]).parent if len(files) == 1 else None
    return str(folder) if folder is not None and (folder / "cgroup.events").exists() else ""
