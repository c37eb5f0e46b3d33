"""The folders in memory where services find their secrets as files, and how a file there is written anew.

A service has a file system in memory that only it sees, mounted on `STATE/run/secrets/NAME`; we reach it by
/proc/PID/root. Where that is not allowed, it has a folder of this user in memory.

Source: proc_pid_root(5), proc_pid_mountinfo(5).
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from resile.core.clock import Clock
from resile.core.files import make_private_dir, replace_at
from resile.core.process import is_alive
from resile.daemon.secretkeeper.consumers import Holder
from resile.errors import OperationError

FILE_MODE = 0o400
LEFT_S = 60.0
"""A folder that is younger may be of a service that is about to start."""


class Folders:
    """Where they are. Safe to share between threads.

    Args:
        state: The state folder.
        unit: The daemon's, for names that others may see.
        environ: Says which folder in memory is this user's.
    """

    def __init__(self, state: Path, *, unit: str, environ: Mapping[str, str]) -> None:
        self._mounts = state / "run" / "secrets"
        runtime = environ.get("XDG_RUNTIME_DIR", "")
        self._prefix = f"resile-{unit}-"
        self._shared = tuple(map(Path, (*([runtime] if runtime else []), "/dev/shm")))  # noqa: S108

    def mount(self, service: str) -> str:
        """Give the folder that a service mounts its own file system on; made if it is missing.

        Raises:
            OperationError: If it cannot be made.
        """
        folder = self._mounts / service
        make_private_dir(folder)
        return str(folder)

    def shared(self, service: str) -> list[str]:
        """Give where its files go if it may not mount, the best first."""
        return [str(folder / f"{self._prefix}{service}") for folder in self._shared]

    def remove_left(self, used: frozenset[str], *, clock: Clock) -> None:
        """Remove folders that no service uses any more; what may be of a starting one stays."""
        for parent in self._shared:
            for folder in parent.glob(f"{self._prefix}*"):
                with contextlib.suppress(OSError):
                    status = folder.lstat()
                    is_old = clock.now().timestamp() - status.st_mtime >= LEFT_S
                    if str(folder) not in used and status.st_uid == os.geteuid() and is_old:
                        shutil.rmtree(folder)


def write_anew(holder: Holder, name: str, value: bytes) -> None:
    """Put a new value into a service's folder, all or nothing for whoever reads it.

    Args:
        holder: The service, and its folder as it sees it.
        name: The secret.
        value: Its value.

    Raises:
        OperationError: If it cannot be written: the process has ended, or its folder is another one.
    """
    try:
        with _opened(holder) as folder, _inside(folder, name.split("/")[:-1]) as parent:
            _replace(parent, name.rpartition("/")[2], value)
    except OSError as exc:
        raise OperationError(
            f"{holder.folder}/{name} of {holder.label} could not be written: {exc.strerror or exc}",
            hint=f"restart {holder.service}: resile restart {holder.service}",
        ) from exc


@contextlib.contextmanager
def _opened(holder: Holder) -> Iterator[int]:
    """Open the folder of a service as that sees it, following no link on the way.

    Raises:
        OSError: If it cannot be opened.
        OperationError: If it is not what we gave it.
    """
    root = os.open(f"/proc/{holder.process.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not is_alive(holder.process):
            raise OperationError(f"{holder.label} has ended")
        with _inside(root, [part for part in holder.folder.split("/") if part]) as folder:
            status = os.fstat(folder)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o700:
                raise OperationError(f"{holder.folder} of {holder.label} is not a private folder")
            if _file_system(holder.process.pid, status.st_dev) != "tmpfs":
                raise OperationError(f"{holder.folder} of {holder.label} is not in memory")
            yield folder
    finally:
        os.close(root)


@contextlib.contextmanager
def _inside(folder: int, parts: list[str]) -> Iterator[int]:
    """Open a folder below another one, part by part."""
    fd = os.dup(folder)
    try:
        for part in parts:
            below = os.open(
                part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd
            )
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _replace(folder: int, name: str, value: bytes) -> None:
    temporary = f".{name}.{os.urandom(8).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, FILE_MODE, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:  # All of it, or an error: a full folder takes a part.
            file.write(value)
        replace_at(temporary, name, source_fd=folder, target_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _file_system(pid: int, device: int) -> str:
    """Tell the sort of file system that a process sees on a device; empty if it sees none there."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    text = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.split(maxsplit=1)[0]
    return ""
