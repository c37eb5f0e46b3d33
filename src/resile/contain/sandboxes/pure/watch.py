"""The process outside the box: starts it, watches over it, and reaps it."""

import json
import os
import select
import signal
import socket
import struct
import sys

from resile.contain.sandboxes.pure.building import Builder
from resile.contain.sandboxes.pure.init import Init, telling
from resile.contain.sandboxes.pure.kernel import (
    LIBC,
    NEW_PID,
    NEW_USER,
    PDEATHSIG,
    POLLRDHUP,
    StepError,
    Steps,
    check,
    put,
)

Recipe = tuple[int, Steps]

BOOT = os.path.join(os.path.dirname(__file__), "boot.py")


def watch(control: socket.socket, join_files: list[str]) -> None:
    """Be the process outside the box: kill it when the supervisor is gone, and reap it."""
    for path in join_files:
        put(path, "0", "cgroup")
    supervisor = struct.unpack("3i", control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    watched_fd = os.pidfd_open(supervisor[0])
    if watched_fd in select.select([control.fileno(), watched_fd], [], [])[0]:
        return  # A fork of the supervisor may still hold the other end of the socket.
    message, fds, _, _ = socket.recv_fds(control, 16, 5)
    if not message:
        return  # Parked, and not wanted any more.
    recipe_fd, *stdio = fds[:4]
    given = recipe(recipe_fd)
    steps = given[1]
    lifeline, error_fd = os.pipe(), -1
    if steps[0][0] == "bubblewrap":
        inherited = (control.fileno(), recipe_fd, lifeline[0], *stdio)
        box_fd, error_fd = wrapped(steps[0][1], inherited)
    else:
        box_fd = forked(control, given, lifeline, stdio)
    for fd in (*stdio, lifeline[0], recipe_fd):
        os.close(fd)
    poll = select.poll()
    poll.register(control, POLLRDHUP)
    poll.register(watched_fd, select.POLLIN)
    poll.register(box_fd, select.POLLIN)
    if box_fd not in dict(poll.poll()):
        signal.pidfd_send_signal(box_fd, signal.SIGKILL)
        select.select([box_fd], [], [])  # It ends when all that was in it has.
    os.wait()
    if error_fd >= 0 and (said := os.read(error_fd, 1000)).startswith(b"bwrap: "):
        raise StepError("bubblewrap", 0, said.decode(errors="replace").strip())


def forked(
    control: socket.socket, given: Recipe, lifeline: tuple[int, int], stdio: list[int]
) -> int:
    """Start pid 1 of the box in new namespaces; give its pidfd."""
    flags, steps = given
    check(LIBC.unshare(flags & (NEW_USER | NEW_PID)), "namespaces")
    pid = os.fork()
    if pid:
        return os.pidfd_open(pid)
    with telling(control):
        LIBC.prctl(PDEATHSIG, signal.SIGKILL)  # The lifeline tells if it came too late.
        os.close(lifeline[1])
        check(LIBC.unshare(flags & ~(NEW_USER | NEW_PID)), "namespaces")
        old_umask = os.umask(0o022)
        at = [name for name, _ in steps].index("command")
        builder = Builder(control)
        for name, arguments in steps[:at]:
            builder.build(name, arguments)
        os.umask(old_umask)
        Init(control, lifeline[0], stdio).run(steps[at + 1 :])
    os._exit(125)


def wrapped(arguments: list[str], inherited: tuple[int, ...]) -> tuple[int, int]:
    """Let bubblewrap build the box with boot.py as its pid 1.

    Returns:
        The pidfd of pid 1, and a descriptor from which to read what bubblewrap complains of.
    """
    program, *options = arguments
    (info_fd, info_write_fd), (error_fd, error_write_fd) = os.pipe(), os.pipe()
    options_fd = os.memfd_create("options")
    os.write(options_fd, b"".join(os.fsencode(option) + b"\0" for option in options))
    os.lseek(options_fd, 0, os.SEEK_SET)
    argv = [program, "--args", str(options_fd), "--info-fd", str(info_write_fd), "--as-pid-1"]
    argv += ["--die-with-parent", "--", sys.executable, "-I", "-S", BOOT, "init"]
    if os.fork() == 0:
        for fd in (*inherited, options_fd, info_write_fd):
            os.set_inheritable(fd, True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # Who asks all of a group to end means others.
        os.dup2(error_write_fd, 2)
        os.execv(program, [*argv, *map(str, inherited)])  # noqa: S606 - no shell is meant
    for fd in (info_write_fd, error_write_fd, options_fd):
        os.close(fd)
    text = b""
    while b"}" not in text and (chunk := os.read(info_fd, 4096)):
        text += chunk
    try:
        return os.pidfd_open(json.loads(text)["child-pid"]), error_fd
    except (ValueError, KeyError, OSError):
        os.wait()
        said = os.read(error_fd, 1000).decode(errors="replace").strip()
        raise StepError("bubblewrap", 0, said) from None


def recipe(fd: int) -> Recipe:
    """Read the recipe: flags, steps."""
    size = os.fstat(fd).st_size
    words = [os.fsdecode(word) for word in os.pread(fd, size, 0).split(b"\0")]
    steps, at = [], 1
    while at < len(words) - 1:
        count = int(words[at + 1])
        steps.append((words[at], words[at + 2 : at + 2 + count]))
        at += 3 + count
    return int(words[0]), steps
