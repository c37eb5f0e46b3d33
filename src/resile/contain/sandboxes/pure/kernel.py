"""System calls that Python has no function for, and what failed in them."""

import ctypes
import os
import platform

Steps = list[tuple[str, list[str]]]

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mount.argtypes = [*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p]
LIBC.syscall.restype = ctypes.c_long
CAPSET, SECCOMP = {"x86_64": (126, 317), "aarch64": (91, 277)}[platform.machine()]
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, SETATTR = 428, 429, 430, 431, 432, 442
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT, CLOSE_RANGE = 444, 445, 446, 436
AT_FDCWD, EMPTY_PATH, RECURSIVE = -100, 0x1000, 0x8000
RDONLY, NOSUID, NODEV, NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
NEW_USER, NEW_PID = 0x10000000, 0x20000000
PDEATHSIG, DUMPABLE, CAPBSET_READ, CAPBSET_DROP, NO_NEW_PRIVS, CAP_AMBIENT = 1, 4, 23, 24, 38, 47
POLLRDHUP = 0x2000
FILE_RIGHTS = 1 | 2 | 4 | 1 << 14 | 1 << 15
"""What landlock can say about what is no folder: execute, write, read, truncate, ioctl."""
SIGNALS_COUNT = 65


class StepError(Exception):
    """A step that failed."""

    def __init__(self, stage: str, number: int, path: str = "") -> None:
        super().__init__(stage, number, path)
        self.text = os.fsencode(f"failed {stage} {number} {path}")


def call(stage: str, path: str, number: int, *arguments: int | bytes | None) -> int:
    """Make a system call."""
    words = [
        ctypes.c_long(word) if isinstance(word, int) else ctypes.c_char_p(word)
        for word in arguments
    ]
    return check(LIBC.syscall(ctypes.c_long(number), *words), stage, path)


def check(result: int, stage: str, path: str = "") -> int:
    """Give a result, or raise what went wrong."""
    if result < 0:
        raise StepError(stage, ctypes.get_errno(), path)
    return result


def put(path: str, text: str, stage: str) -> None:
    """Write to one of the kernel's files."""
    try:
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)
    except OSError as exc:
        raise StepError(stage, exc.errno or 0, path) from exc


def encoded(path: str) -> bytes:
    """Give a path as the kernel wants it."""
    return os.fsencode(path)
