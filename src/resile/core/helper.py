"""Programs of our own that run beside us and talk over a descriptor. A second home of subprocess.

They stand apart from core.spawning, as the guard needs that module but not the half megabyte that
subprocess takes.
"""

import errno
import subprocess
from collections.abc import Mapping, Sequence

from resile.errors import SpawnError

_SHORT = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""The machine is short of processes, memory or descriptors: a retry may help."""


class Helper:
    """A program of our own that runs beside us. Not thread-safe."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def terminate(self) -> None:
        """Send it SIGTERM; nothing happens if it has ended."""
        self._process.terminate()

    def kill(self) -> None:
        """Send it SIGKILL; nothing happens if it has ended."""
        self._process.kill()

    def poll(self) -> int | None:
        """Reap it if it has ended, and give its exit code as `wait` does; None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait until it has ended, and reap it; give its exit code, or the negative of the signal."""
        return self._process.wait()


def start_helper(
    argv: Sequence[str],
    *,
    kept_fds: Sequence[int],
    env: Mapping[str, str] | None = None,
    is_heard: bool = False,
) -> Helper:
    """Start a program in a session of its own, with /dev/null as 0, 1 and 2.

    Args:
        argv: The program, by its path.
        kept_fds: Descriptors that it inherits under the same number.
        env: Its whole environment. Default: empty.
        is_heard: It has our 1 and 2, for its log. Default: nobody hears what it says.

    Raises:
        SpawnError: If it could not be started.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=None if is_heard else subprocess.DEVNULL,
            stderr=None if is_heard else subprocess.DEVNULL,
            env=env or {},
            pass_fds=kept_fds,
            start_new_session=True,
        )
    except OSError as exc:
        raise SpawnError(
            f"cannot start {argv[0]!r}: {exc.strerror}",
            hint="run `resile doctor` to see what this machine allows",
            is_transient=exc.errno in _SHORT,
        ) from exc
    return Helper(process)
