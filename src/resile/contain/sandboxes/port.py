"""The port to a launcher. tests/contracts/test_launchers.py holds every adapter to it."""

from collections.abc import Sequence
from typing import Protocol

from resile.contain.cgroups import Cgroup
from resile.contain.sandboxes.model import Box, Message, Stdio


class Boxed(Protocol):
    """A command in its box. Not thread-safe.

    Nothing of it outlives the process that launched it: when that dies, the kernel kills all.
    """

    @property
    def pid(self) -> int:
        """The launcher's own process, on the host."""
        ...

    @property
    def fd(self) -> int:
        """Readable when there is a message, or when the box has ended."""
        ...

    @property
    def notify_fd(self) -> int:
        """The seccomp listener; -1 until `Started` was read, and where nothing is observed."""
        ...

    def read(self) -> Sequence[Message]:
        """Take the messages that have come. Does not block."""
        ...

    @property
    def has_ended(self) -> bool:
        """True when no message will come any more: the launcher is gone."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to the main process; nothing happens if it has ended."""
        ...

    def kill(self) -> None:
        """Kill everything in the box with SIGKILL, as the pid namespace allows. Idempotent."""
        ...

    def close(self) -> None:
        """Kill what runs, reap the launcher and close the descriptors. Idempotent."""
        ...


class Parked(Protocol):
    """A launcher that waits for its box, already a member of a group. Not thread-safe."""

    @property
    def pid(self) -> int:
        """The launcher's own process, on the host."""
        ...

    def launch(self, box: Box, stdio: Stdio) -> Boxed:
        """Give it its box; returns at once. What becomes of it comes as messages.

        To be called once, instead of `close`.

        Args:
            box: The recipe.
            stdio: Duplicated for the command; the caller closes its own.
        """
        ...

    def close(self) -> None:
        """Let it go without a box."""
        ...


class Launcher(Protocol):
    """Builds boxes. Safe to share between threads."""

    @property
    def name(self) -> str:
        """`native`, `bubblewrap` or `python`."""
        ...

    def own_processes(self, cgroup: Cgroup | None) -> int:
        """So many processes of its own live in the command's cgroup, and count for its limit."""
        ...

    def park(self, cgroup: Cgroup | None) -> Parked:
        """Start a launcher that joins the group now and gets its box at once, or later.

        Args:
            cgroup: Where everything belongs from its first instant; None if there is none.

        Raises:
            SpawnError: If it could not be started.
        """
        ...
