"""The few things that are done to a cgroup's folder, whatever its version."""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from resile.errors import CgroupError

_MAKE_ATTEMPTS = 5
"""Another daemon may remove the shared folder above ours between two steps."""
_REMOVE_ATTEMPTS = 3
_SHORT_BYTES_MAX = 4096


def make_folder(path: str) -> None:
    """Make a group and those above it; nothing happens if it is there.

    Raises:
        OSError: If the kernel refuses.
    """
    for attempt in range(_MAKE_ATTEMPTS):
        try:
            os.mkdir(path)  # noqa: PTH102 - before each run, and mostly it is there
        except FileExistsError:
            return
        except FileNotFoundError:
            if attempt == _MAKE_ATTEMPTS - 1:
                raise
            with contextlib.suppress(FileNotFoundError):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
        else:
            return


def remove_folder(path: str) -> None:
    """Remove a group and the empty groups below it; nothing happens if it is gone.

    Raises:
        CgroupError: If somebody is in it.
    """
    with contextlib.suppress(OSError):
        os.rmdir(path)  # noqa: PTH106 - after each run, and mostly nothing is below
        return
    for folder in reversed(list(walk(path))):
        _remove_one(folder)


def remove_tree(path: str) -> None:
    """Remove a daemon's folder and the shared one above it, each only if nothing is in it."""
    with contextlib.suppress(OSError):
        Path(path).rmdir()
        Path(path).parent.rmdir()


def walk(path: str) -> Iterator[str]:
    """Give a group and all below it, each before what is in it; nothing if it is gone."""
    if not Path(path).is_dir():
        return
    yield path
    for name in children(path):
        yield from walk(f"{path}/{name}")


def children(path: str) -> tuple[str, ...]:
    """List the groups right below one, sorted; none if it is gone."""
    with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir()))
    return ()


def members(path: str) -> tuple[int, ...]:
    """List the processes in a group and those below it, ascending."""
    found: set[int] = set()
    for folder in walk(path):
        found.update(int(line) for line in read(f"{folder}/cgroup.procs").split())
    return tuple(sorted(found))


def read(path: str) -> str:
    """Read one of the kernel's small files; empty if it is gone or not supported."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    except OSError:  # ENODEV: the group was removed between open and read.
        return ""
    finally:
        os.close(fd)
    return b"".join(parts).decode()


def read_int(path: str) -> int | None:
    """Read a file that holds one number; None if it is gone, not supported or "max"."""
    text = _read_short(path).strip()
    return int(text) if text.isdigit() else None


def read_field(path: str, name: str) -> int | None:
    """Read one field of a file of `name number` lines; None if there is none."""
    wanted = name.encode()
    for line in _read_short(path).splitlines():
        key, _, value = line.partition(b" ")
        if key == wanted:
            return int(value)
    return None


def write(path: str, text: str) -> None:
    """Write to one of the kernel's files, in one go.

    Raises:
        OSError: If the kernel refuses.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def switch_on(folder: str, controllers: Iterable[str]) -> None:
    """Let the groups right below one have limits; what the kernel refuses stays off."""
    with contextlib.suppress(OSError):
        write(f"{folder}/cgroup.subtree_control", " ".join(f"+{c}" for c in sorted(controllers)))


def _read_short(path: str) -> bytes:
    """Read a file below a page, which comes whole; empty if it is gone or not supported."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _SHORT_BYTES_MAX)
    except OSError:  # As in `read`.
        return b""
    finally:
        os.close(fd)


def _remove_one(folder: str) -> None:
    for attempt in range(_REMOVE_ATTEMPTS):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            return
        except OSError as exc:
            # A process that has just died may count for an instant longer.
            if exc.errno == errno.EBUSY and attempt < _REMOVE_ATTEMPTS - 1:
                os.sched_yield()
                continue
            raise CgroupError(
                f"cgroup {folder} cannot be removed: {exc.strerror}",
                hint="some process is still in it; see its cgroup.procs",
                is_transient=exc.errno == errno.EBUSY,
            ) from exc
        else:
            return


def can_write(path: str) -> bool:
    """Tell whether we may write to a file, by opening it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
