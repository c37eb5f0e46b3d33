"""The steps of the child: it takes everything away from itself, and becomes the command."""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import stat
import struct
from typing import NoReturn

from resile.contain.sandboxes.pure.kernel import (
    CAP_AMBIENT,
    CAPBSET_DROP,
    CAPBSET_READ,
    CAPSET,
    CLOSE_RANGE,
    FILE_RIGHTS,
    LANDLOCK_ADD,
    LANDLOCK_CREATE,
    LANDLOCK_RESTRICT,
    LIBC,
    NO_NEW_PRIVS,
    SECCOMP,
    SIGNALS_COUNT,
    StepError,
    Steps,
    call,
    check,
)


def become(control: socket.socket, stdio: list[int], steps: Steps, fail_fd: int) -> NoReturn:
    """Turn into the command, or tell why not."""
    try:
        signal.set_wakeup_fd(-1)
        for number in range(1, SIGNALS_COUNT):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        os.setsid()
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        call("files", "", CLOSE_RANGE, 3, 0xFFFFFFFF, 4)
        child = Child(control)
        for name, arguments in steps:
            child.take(name, arguments)
    except StepError as exc:
        control.send(exc.text)
    except OSError as exc:
        control.send(os.fsencode(f"failed {exc.filename or 'launcher'} {exc.errno or 0} "))
    finally:
        os.write(fail_fd, b"x")
        os._exit(125)


class Child:
    """Carries out the steps of the child: what is refused comes last."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._ruleset = self._listener = -1
        self._env: dict[str, str] = {}
        self._programs: tuple[str, ...] = ()

    def take(self, name: str, arguments: list[str]) -> None:
        """Carry out one step."""
        step = name.removeprefix("?")
        try:
            getattr(self, f"do_{step}")(*arguments)
        except OSError as exc:
            if not name.startswith("?"):
                path = arguments[0] if step in ("cwd", "execute") else ""
                raise StepError(step, exc.errno or 0, path) from exc

    def do_limit(self, which: str, value: str) -> None:
        """Set a resource limit, but never above the hard one."""
        hard = resource.getrlimit(int(which))[1]
        wanted = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(int(which), (wanted, wanted))

    def do_capabilities(self) -> None:
        """Drop every capability."""
        drop_capabilities()

    def do_cwd(self, path: str) -> None:
        """Change to a folder."""
        os.chdir(path)

    def do_privileges(self) -> None:
        """Never gain a privilege again."""
        check(LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "privileges")

    def do_landlock(self, files: str, network: str, scopes: str, size: str) -> None:
        """Begin a set of rules."""
        handled = struct.pack("=3Q", int(files), int(network), int(scopes))
        self._ruleset = call("landlock", "", LANDLOCK_CREATE, handled, int(size), 0)

    def do_allow(self, access: str, path: str) -> None:
        """Give rights back below a path."""
        fd = os.open(path, os.O_PATH)
        rights = int(access)
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= FILE_RIGHTS
        rule = struct.pack("=Qi", rights, fd)
        call("landlock", path, LANDLOCK_ADD, self._ruleset, 1, rule, 0)
        os.close(fd)

    def do_restrict(self) -> None:
        """Put the rules into force."""
        call("landlock", "", LANDLOCK_RESTRICT, self._ruleset, 0)

    def do_seccomp(self, flags: str, code: str) -> None:
        """Set the filter, and keep its listener."""
        data = bytes.fromhex(code)
        buffer = ctypes.create_string_buffer(data, len(data))
        program = struct.pack("HxxxxxxQ", len(data) // 8, ctypes.addressof(buffer))
        try:
            fd = call("seccomp", "", SECCOMP, 1, int(flags), program)
        except StepError:  # Before Linux 5.19.
            fd = call("seccomp", "", SECCOMP, 1, int(flags) & ~32, program)
        self._listener = fd if int(flags) & 8 else -1

    def do_environment(self, *pairs: str) -> None:
        """Note the environment."""
        self._env = dict(pair.split("=", 1) for pair in pairs)

    def do_programs(self, *paths: str) -> None:
        """Note where the program may be."""
        self._programs = paths

    def do_execute(self, *argv: str) -> None:
        """Tell who we are, and become the first program that is there."""
        socket.send_fds(self._control, [b"main"], [self._listener] if self._listener >= 0 else [])
        number = 0
        for path in self._programs:
            try:
                os.execve(path, argv, self._env)  # noqa: S606 - no shell is meant
            except OSError as exc:
                error = exc.errno or 0
                if number != errno.EACCES or error not in (errno.ENOENT, errno.ENOTDIR):
                    number = error
                if number not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                    break
        raise StepError("exec", number, argv[0])


def drop_capabilities() -> None:
    """Drop every capability from every set."""
    LIBC.prctl(CAP_AMBIENT, 4, 0, 0, 0)
    for number in range(64):
        if LIBC.prctl(CAPBSET_READ, number, 0, 0, 0) == 1:
            check(LIBC.prctl(CAPBSET_DROP, number, 0, 0, 0), "capabilities")
    call("capabilities", "", CAPSET, struct.pack("=Ii", 0x20080522, 0), bytes(24))
