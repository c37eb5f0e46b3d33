"""Pid 1 of a box, and how it fails."""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterator

from resile.contain.sandboxes.pure.command import become, drop_capabilities
from resile.contain.sandboxes.pure.kernel import (
    DUMPABLE,
    LIBC,
    POLLRDHUP,
    StepError,
    Steps,
)


class Init:
    """Pid 1 of the box: forks the command, reaps orphans, passes on signals."""

    def __init__(self, control: socket.socket, lifeline_fd: int, stdio: list[int]) -> None:
        self._control = control
        self._lifeline_fd = lifeline_fd
        self._stdio = stdio
        self._has_ended = False

    def run(self, steps: Steps) -> None:
        """Start the command, and stay until we are killed or the supervisor is gone."""
        LIBC.prctl(DUMPABLE, 0)  # What runs in the box shall not look into its pid 1.
        woken_fd, wake_fd = os.pipe()
        os.set_blocking(wake_fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_fd, warn_on_full_buffer=False)
        failed_fd, fail_fd = os.pipe()
        pid = os.fork()
        if pid == 0:
            become(self._control, self._stdio, steps, fail_fd)
        os.close(fail_fd)
        for fd in self._stdio:
            os.close(fd)
        drop_capabilities()
        if os.read(failed_fd, 1):
            os._exit(125)
        self._control.send(b"started")
        self._reap(pid)
        poll = select.poll()
        poll.register(self._control, select.POLLIN | POLLRDHUP)
        poll.register(self._lifeline_fd, select.POLLIN)
        poll.register(woken_fd, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            events = ready.get(self._control.fileno(), 0)
            if self._lifeline_fd in ready or events & (POLLRDHUP | select.POLLHUP):
                os._exit(0)
            if events & select.POLLIN:
                self._pass_on(pid)
            if woken_fd in ready:
                os.read(woken_fd, 4096)
                self._reap(pid)

    def _pass_on(self, pid: int) -> None:
        word, _, number = self._control.recv(64).decode().partition(" ")
        if word == "signal" and not self._has_ended:
            with contextlib.suppress(OSError):
                os.kill(pid, int(number))

    def _reap(self, command_pid: int) -> None:
        """Reap all that is dead; tell if the command is among it, and whether others live on."""
        end = -1
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                end = found[1] if found[0] == command_pid else end
        if end < 0:
            return
        self._has_ended = True
        try:
            os.kill(-1, 0)
            survivors = 1
        except OSError:
            survivors = 0
        self._control.send(f"ended {end} {survivors}".encode())


@contextlib.contextmanager
def telling(control: socket.socket) -> Iterator[None]:
    """Tell the supervisor what failed, and end."""
    try:
        yield
    except StepError as exc:
        text = exc.text
    except OSError as exc:
        text = os.fsencode(f"failed launcher {exc.errno or 0} {exc.filename or ''}")
    else:
        return
    with contextlib.suppress(OSError):
        control.send(text)
    os._exit(125)
