"""Commands in boxes, for checks."""

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence

from resile.contain import Cgroup
from resile.contain.model import Network
from resile.contain.sandboxes import (
    BindMount,
    Box,
    Launcher,
    LaunchFailed,
    MainEnded,
    Message,
    NativeLauncher,
    OverlayMount,
    Started,
    Stdio,
    open_launcher,
)

_DEADLINE_S = 20.0


@contextlib.contextmanager
def boxed(
    group: Cgroup,
    *argv: str,
    mounts: Sequence[OverlayMount | BindMount] = (),
    launcher: str = NativeLauncher.name,
) -> Iterator["Boxed"]:
    """Run a command in a box until the body ends; it has started before the body begins."""
    box = Boxed(group, argv, mounts, open_launcher(launcher))
    try:
        box.wait_start()
        yield box
    finally:
        box.close()


class Boxed:
    """A command in a launcher's box, and its output."""

    def __init__(
        self,
        group: Cgroup,
        argv: tuple[str, ...],
        mounts: Sequence[OverlayMount | BindMount],
        launcher: Launcher,
    ) -> None:
        self._output_fd, output_fd = os.pipe()
        null_fd = os.open(os.devnull, os.O_RDONLY)
        box = Box(
            argv=argv,
            env=dict(os.environ),
            cwd=str(mounts[0].target) if mounts else "/",
            mounts=tuple(mounts),
            network=Network.HOST,
            is_observed=False,
        )
        stdio = Stdio(stdin_fd=null_fd, stdout_fd=output_fd, stderr_fd=2)
        try:
            self._box = launcher.park(group).launch(box, stdio)
        finally:
            os.close(output_fd)
            os.close(null_fd)
        self._messages: list[Message] = []
        self.launcher_pid = self._box.pid

    def wait_start(self) -> None:
        self._wait(lambda: any(isinstance(m, Started) for m in self._messages))

    def wait_end(self) -> MainEnded | None:
        """Wait for the end; None if its pid 1 was killed with everything."""
        self._wait(lambda: any(isinstance(m, MainEnded) for m in self._messages))
        return next((m for m in self._messages if isinstance(m, MainEnded)), None)

    def read_line(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self._output_fd], [], [], _DEADLINE_S)[0], line
            byte = os.read(self._output_fd, 1)
            assert byte, (line, self._box.read())
            line += byte
        return line.decode().strip()

    def close(self) -> None:
        self._box.close()
        os.close(self._output_fd)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + _DEADLINE_S
        while not condition() and not self._box.has_ended:
            assert time.monotonic() < deadline_s, self._messages
            select.select([self._box.fd], [], [], 1.0)
            self._messages += self._box.read()
            failed = [m for m in self._messages if isinstance(m, LaunchFailed)]
            assert not failed, failed
