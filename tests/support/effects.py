"""Records what a program does to files below a folder, for `tests.support.crashes`.

`trace_effects` takes it from the system calls of a real command (by strace), `RecordingFiles` from
code that takes the `Files` port, `RecordingDisk` from a store that takes the `Disk` port.
"""

import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.disks import (
    Effect,
    Link,
    Make,
    MakeFolder,
    Note,
    Remove,
    Rename,
    Resize,
    Sync,
    Write,
)
from tests.support.syscalls import Call, trace

from resile.core.files import SYSTEM_FILES, Files
from resile.store.backends.disk import SYSTEM_DISK, Disk

_CHANGING = (
    *("open", "openat", "creat", "mkdir", "mkdirat", "write", "writev", "pwrite64", "lseek"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "syncfs", "sync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir"),
)
_UNKNOWN = (
    *("pwritev", "pwritev2", "copy_file_range", "sendfile", "splice", "ioctl"),
    *("symlink", "symlinkat", "mknod", "mknodat"),
)
_CLONES = ("FICLONE", "FICLONERANGE")
_OUTPUTS = ("1", "2")
_FD = re.compile(r"(-?\d+|AT_FDCWD)(?:<((?:\\x..)*)>)?(\(deleted\))?")
_TEXT = re.compile(r'"((?:\\x..)*)"')
_OWN_FD = "/proc/self/fd/"


def trace_effects(
    command: list[str],
    root: Path,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[Effect]:
    """Run a command, which must do its work below `root` in one process; its threads are followed.

    What it writes to its standard output or error becomes a `Note`: let it tell there what it has
    acknowledged. What is written through a shared map of memory is not seen.

    Raises:
        AssertionError: If the command failed, or did something below `root` that the disks of
            `tests.support.disks` do not know, such as making a link.
    """
    code, calls = trace(command, calls=(*_CHANGING, *_UNKNOWN), folder=folder, environ=environ)
    if code:
        raise AssertionError(f"{command} ends with {code}")
    recorder = _Recorder(root.resolve(), (folder or Path.cwd()).resolve())
    for call in calls:
        recorder.take(call)
    return recorder.effects


class RecordingFiles:
    """Real files that remember what was done to them. Not thread-safe.

    Args:
        root: Names in the effects are relative to it.
        files: What does the work. Default: the machine's files.
    """

    def __init__(self, root: Path, files: Files = SYSTEM_FILES) -> None:
        self.effects: list[Effect] = []
        self._root = root
        self._files = files

    def create(self, path: Path, data: bytes, *, mode: int) -> None:
        """Make a new file with this content, synced."""
        self._files.create(path, data, mode=mode)
        name = self._name(path)
        self.effects += [Make(name), Write(name, 0, data), Sync(name)]

    def replace(self, source: Path, target: Path) -> None:
        """Rename, over the target if there is one."""
        self._files.replace(source, target)
        self.effects.append(Rename(self._name(source), self._name(target)))

    def remove(self, path: Path) -> None:
        """Remove a file if there is one."""
        if path.exists():
            self.effects.append(Remove(self._name(path)))
        self._files.remove(path)

    def protect(self, path: Path) -> None:
        """Take everybody's permission to write away: no part of what is recorded."""
        self._files.protect(path)

    def sync_folder(self, folder: Path) -> None:
        """Make the folder's entries durable."""
        self._files.sync_folder(folder)
        self.effects.append(Sync(self._name(folder)))

    def _name(self, path: Path) -> str:
        return "" if path == self._root else str(path.relative_to(self._root))


class RecordingDisk:
    """A real disk of a store that remembers what was done below a folder. Safe to share between threads.

    One step is done at a time, so that what is remembered is in the order in which it was done.

    Args:
        root: The folder; names in the effects are relative to it. What is elsewhere is not remembered.
        write_bytes_max: How much a write takes at once: small ones make many states.
        disk: What does the work. Default: the machine's.
    """

    def __init__(self, root: Path, *, write_bytes_max: int, disk: Disk = SYSTEM_DISK) -> None:
        self.effects: list[Effect] = []
        self._root = root.resolve()
        self._write_bytes_max = write_bytes_max
        self._disk = disk
        self._lock = threading.Lock()

    def make_folder(self, name: str, *, folder_fd: int | None) -> None:
        """Make a folder; remembered if it is new."""
        path = Path(name) if folder_fd is None else _path_of(folder_fd) / name
        with self._lock:
            is_new = not path.exists()
            self._disk.make_folder(name, folder_fd=folder_fd)
            if is_new and path != self._root:
                self._note(path, MakeFolder)

    def create(self, name: str, *, folder_fd: int) -> int:
        """Make a file."""
        with self._lock:
            fd = self._disk.create(name, folder_fd=folder_fd)
            self._note(_path_of(folder_fd) / name, Make)
            return fd

    def write(self, fd: int, data: memoryview) -> int:
        """Append some of it."""
        with self._lock, data[: self._write_bytes_max] as some:
            count = self._disk.write(fd, some)
            self._note(_path_of(fd), lambda name: Write(name, None, bytes(some[:count])))
            return count

    def sync(self, fd: int) -> None:
        """Make a file, or the names in a folder, durable."""
        with self._lock:
            self._disk.sync(fd)
            self._note(_path_of(fd), Sync)

    def link(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Give a file a second name."""
        with self._lock:
            self._disk.link(source, target, source_fd=source_fd, target_fd=target_fd)
            self._note_two(source, target, source_fd, target_fd, Link)

    def replace(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """Rename."""
        with self._lock:
            self._disk.replace(source, target, source_fd=source_fd, target_fd=target_fd)
            self._note_two(source, target, source_fd, target_fd, Rename)

    def remove(self, name: str, *, folder_fd: int) -> None:
        """Remove a name."""
        with self._lock:
            self._disk.remove(name, folder_fd=folder_fd)
            self._note(_path_of(folder_fd) / name, Remove)

    def _note(self, path: Path, effect: Callable[[str], Effect]) -> None:
        if path == self._root:
            self.effects.append(effect(""))
        elif path.is_relative_to(self._root):
            self.effects.append(effect(str(path.relative_to(self._root))))

    def _note_two(
        self,
        source: str,
        target: str,
        source_fd: int,
        target_fd: int,
        effect: Callable[[str, str], Effect],
    ) -> None:
        path = _path_of(target_fd) / target
        if not path.is_relative_to(self._root):
            return
        target_name = str(path.relative_to(self._root))
        self._note(_path_of(source_fd) / source, lambda name: effect(name, target_name))


class _Recorder:
    """Makes effects of calls. Descriptors are known by number, so of one process only."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.effects: list[Effect] = []
        self._root = os.fsdecode(root)
        self._folder = os.fsdecode(folder)
        self._opened: dict[str, str] = {}
        self._offsets: dict[str, int | None] = {}
        self._nameless: set[str] = set()
        self._before: list[int] = []

    def take(self, call: Call) -> None:
        """Add what the call did, if it did anything below the root."""
        self._before.append(len(self.effects))
        if call.result < 0:
            return
        if call.name in _UNKNOWN:
            self._refuse(call)
        elif call.name in ("open", "openat", "creat"):
            self._open(call)
        elif call.name in ("fsync", "fdatasync", "syncfs", "sync"):
            self._sync(call)
        elif _FD.match(call.arguments) and not call.name.endswith(("at", "at2")):
            self._use(call)
        else:
            self._name_anew(call)

    def _refuse(self, call: Call) -> None:
        if call.name == "ioctl" and not any(clone in call.arguments for clone in _CLONES):
            return
        words = call.arguments.split(", ")
        paths = [*self._paths(call.arguments), *(_descriptor(word)[1] for word in words)]
        if any(self._relative(path) is not None for path in paths):
            raise AssertionError(f"no disk here knows {call.name}: {paths}")

    def _open(self, call: Call) -> None:
        fd, path, is_deleted = _descriptor(f"{call.result}{call.returned}")
        self._opened[fd] = path
        self._offsets[fd] = None if "O_APPEND" in call.arguments else 0
        name = self._relative(path)
        if name is None:
            return
        if is_deleted and "O_TMPFILE" in call.arguments:
            self._nameless.add(name)
            self.effects.append(Make(name, is_nameless=True))
        elif "O_CREAT" in call.arguments or call.name == "creat":
            self.effects.append(Make(name))
        if "O_TRUNC" in call.arguments or call.name == "creat":
            self.effects.append(Resize(name, 0))

    def _sync(self, call: Call) -> None:
        seen = self._before[call.begun_after]
        if call.name == "sync":
            self.effects.append(Sync(None, seen))
            return
        name = self._file(call.arguments)
        if name is not None:
            self.effects.append(Sync(None if call.name == "syncfs" else name, seen))

    def _use(self, call: Call) -> None:
        """Take a call that works on an open file."""
        fd, _, _ = _descriptor(call.arguments)
        name = self._file(call.arguments)
        data = b"".join(_bytes(text) for text in _TEXT.findall(call.arguments))
        if name is None:
            if call.name == "write" and fd in _OUTPUTS:
                self.effects.append(Note(os.fsdecode(data).strip()))
            return
        last = call.arguments.split(", ")[1:]
        if call.name == "lseek":
            self._offsets[fd] = None if self._offsets.get(fd, 0) is None else call.result
        elif call.name == "pwrite64":
            self.effects.append(Write(name, int(last[-1]), data[: call.result]))
        elif call.name == "ftruncate":
            self.effects.append(Resize(name, int(last[-1])))
        elif call.name == "fallocate":
            if last[0] != "0":
                raise AssertionError(f"no disk here knows fallocate with {last[0]}")
            end = int(last[1]) + int(last[2])
            self.effects.append(Resize(name, end, may_shrink=False))
        else:
            at = self._offsets.get(fd, 0)
            self.effects.append(Write(name, at, data[: call.result]))
            self._offsets[fd] = None if at is None else at + call.result

    def _name_anew(self, call: Call) -> None:
        """Take a call that works on names."""
        names = [self._relative(path) for path in self._paths(call.arguments)]
        known = [name for name in names if name is not None]
        if not known:
            return
        if len(known) != len(names) or "RENAME_EXCHANGE" in call.arguments:
            raise AssertionError(f"no disk here knows {call.name} of {names}")
        if call.name.startswith("mkdir"):
            self.effects.append(MakeFolder(*known))
        elif call.name.startswith("rename"):
            self.effects.append(Rename(*known))
        elif call.name.startswith("link"):
            self.effects.append(Link(*known))
        elif call.name == "truncate":
            self.effects.append(Resize(*known, int(call.arguments.split(", ")[1])))
        else:
            self.effects.append(Remove(*known))

    def _paths(self, arguments: str) -> list[str]:
        """Give the whole paths that a call names, each below the folder that stands before it."""
        found, above = [], self._folder
        for word in arguments.split(", "):
            text = _TEXT.fullmatch(word)
            if text is None:
                above = _descriptor(word)[1] if _FD.fullmatch(word) else above
                continue
            path = _text(text[1])
            if path.startswith(_OWN_FD):
                found.append(self._opened[path.removeprefix(_OWN_FD)])
            else:
                found.append(os.path.normpath(f"{above}/{path}" if path[:1] != "/" else path))
        return found

    def _file(self, arguments: str) -> str | None:
        """Give the name of the open file that a call works on; None if nobody will see it again."""
        _, path, is_deleted = _descriptor(arguments)
        name = self._relative(path)
        return None if is_deleted and name not in self._nameless else name

    def _relative(self, path: str) -> str | None:
        if path == self._root:
            return ""
        return path.removeprefix(f"{self._root}/") if path.startswith(f"{self._root}/") else None


def _path_of(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()


def _descriptor(text: str) -> tuple[str, str, bool]:
    """Read `4</a/path>(deleted)`: number, path, and whether it has no name."""
    found = _FD.match(text)
    if found is None:
        return "", "", False
    return found[1], _text(found[2] or ""), found[3] is not None


def _text(escaped: str) -> str:
    return os.fsdecode(_bytes(escaped))


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
