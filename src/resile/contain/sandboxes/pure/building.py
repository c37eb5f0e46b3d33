"""The steps that build a box: see recipe.py for what each does."""

import fcntl
import os
import socket
import stat
import struct

from resile.contain.sandboxes.pure.kernel import (
    AT_FDCWD,
    EMPTY_PATH,
    FSCONFIG,
    FSMOUNT,
    FSOPEN,
    LIBC,
    MOVE_MOUNT,
    MS_PRIVATE,
    MS_REC,
    NODEV,
    NOEXEC,
    NOSUID,
    OPEN_TREE,
    RDONLY,
    RECURSIVE,
    SETATTR,
    StepError,
    call,
    check,
    encoded,
    put,
)


class Builder:
    """Carries out the steps that build the box."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._slots: list[int] = []

    def build(self, name: str, arguments: list[str]) -> None:
        """Carry out one step; one that may fail is passed over if it does."""
        step = name.removeprefix("?")
        count = len(self._slots)
        try:
            getattr(self, f"do_{step}")(*arguments)
        except (StepError, OSError) as exc:
            if step == "tree" and len(self._slots) == count:
                self._slots.append(-1)
            if name.startswith("?"):
                return
            if isinstance(exc, StepError):
                raise
            raise StepError(step, exc.errno or 0, arguments[0] if arguments else "") from exc

    def do_user(self, path: str, text: str) -> None:
        """Say who is who in a new user namespace."""
        put(path, text, "user")

    def do_private(self) -> None:
        """Keep the box's mounts to itself."""
        mount(None, "/", None, MS_REC | MS_PRIVATE, None, stage="private")

    def do_overlay(self, lower: str, upper: str, work: str, *options: str) -> None:
        """Make an overlay, its folders by descriptor: paths would need escapes."""
        fs = call("overlay", lower, FSOPEN, b"overlay", 1)
        for key, path in (("lowerdir", lower), ("upperdir", upper), ("workdir", work)):
            try:
                fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
            except OSError as exc:
                raise StepError("overlay", exc.errno or 0, path) from exc
            value = f"/proc/self/fd/{fd}".encode()
            call("overlay", path, FSCONFIG, fs, 1, key.encode(), value, 0)
        for option in options:
            key, _, text = option.partition("=")
            setting = (1, key.encode(), text.encode()) if text else (0, key.encode(), None)
            call("overlay", option, FSCONFIG, fs, *setting, 0)
        call("overlay", lower, FSCONFIG, fs, 6, None, None, 0)
        self._slots.append(call("overlay", lower, FSMOUNT, fs, 1, NOSUID | NODEV))

    def do_tree(self, path: str, attributes: str) -> None:
        """Keep a copy of the mounts at a path."""
        fd = call("tree", path, OPEN_TREE, AT_FDCWD, encoded(path), 1 | os.O_CLOEXEC | RECURSIVE)
        self._slots.append(fd)
        restrict_mount(fd, "", EMPTY_PATH | RECURSIVE, int(attributes))

    def do_lock(self) -> None:
        """Make every mount read-only."""
        restrict_mount(AT_FDCWD, "/", RECURSIVE, RDONLY | NOSUID)

    def do_tmpfs(self, path: str, options: str) -> None:
        """Mount an empty file system."""
        mount("tmpfs", path, "tmpfs", NOSUID | NODEV, options, stage="tmpfs")

    def do_folder(self, path: str) -> None:
        """Make a folder."""
        os.mkdir(path, 0o755)

    def do_link(self, target: str, path: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, path)

    def do_place(self, slot: str, path: str) -> None:
        """Mount what is in a slot, and make the place where it lies on an empty file system."""
        if self._slots[int(slot)] >= 0:
            place(self._slots[int(slot)], path)

    def do_hide(self, path: str) -> None:
        """Cover a folder by an empty one, a file by /dev/null."""
        if stat.S_ISDIR(os.stat(path).st_mode):
            self.do_tmpfs(path, "mode=755,size=1m")
        else:
            null = call("hide", path, OPEN_TREE, AT_FDCWD, b"/dev/null", 1 | os.O_CLOEXEC)
            place(null, path)

    def do_proc(self) -> None:
        """Mount a new /proc; where a container around us forbids it, an empty folder."""
        flags = NOSUID | NODEV | NOEXEC | RDONLY
        try:
            mount("proc", "/proc", "proc", flags, None, stage="proc")
        except StepError as exc:
            self._control.send(exc.text.replace(b"failed", b"warned", 1))
            mount("tmpfs", "/proc", "tmpfs", flags, "size=4k,mode=555", stage="proc")

    def do_seal(self, path: str) -> None:
        """Make one mount read-only."""
        restrict_mount(AT_FDCWD, path, 0, RDONLY)

    def do_loopback(self) -> None:
        """Bring the loopback up."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lo:
            fcntl.ioctl(lo, 0x8914, struct.pack("16sh22x", b"lo", 0x41))


def restrict_mount(fd: int, path: str, flags: int, attributes: int) -> None:
    """Give mounts further attributes."""
    wanted = struct.pack("=4Q", attributes, 0, 0, 0)
    call("mount", path, SETATTR, fd, encoded(path), flags, wanted, len(wanted))


def place(fd: int, path: str) -> None:
    """Mount a kept tree at a path."""
    try:
        call("place", path, MOVE_MOUNT, fd, b"", AT_FDCWD, encoded(path), 0x14)
    except StepError:
        if os.path.lexists(path):
            raise
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.mkdir(path, 0o755)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        call("place", path, MOVE_MOUNT, fd, b"", AT_FDCWD, encoded(path), 0x14)


def mount(
    source: str | None, path: str, kind: str | None, flags: int, options: str | None, *, stage: str
) -> None:
    """Mount a file system, or change a mount."""
    words = [None if word is None else encoded(word) for word in (source, path, kind)]
    data = None if options is None else options.encode()
    check(LIBC.mount(*words, flags, data), stage, path)
