"""Lays secrets as files into a folder in memory, which no other process sees where that is allowed.

Source: mount_namespaces(7), user_namespaces(7), tmpfs(5).
"""

import contextlib
import ctypes
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from resile.daemon.handing.errors import HandingError

SIZE = "8m"
"""More than the values of a service may have together, and a bound all the same."""
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x4000, 1 << 19
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2


def lay_files(files: Mapping[str, bytes], mount: str, folders: Sequence[str]) -> str:
    """Write the files into a folder in memory; give the folder.

    Args:
        files: By name of secret.
        mount: An empty folder that a file system of our own may be mounted on.
        folders: Where they go if that is not allowed, the best first.
    """
    folder, reason = mount, _mount_private(mount)
    if reason:
        folder = _shared_folder(folders)
        sys.stderr.write(
            f"resile: no private mount here ({reason}): secrets are in {folder}, "
            "where other processes of this user can read them\n"
        )
    for name, value in files.items():
        path = Path(folder, name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        with os.fdopen(fd, "wb") as file:  # All of it, or an error: a full folder takes a part.
            file.write(value)
    return folder


def _mount_private(folder: str) -> str:
    """Mount a file system in memory that only this process and its children see; say why if that fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    death_signal = ctypes.c_int(0)
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(death_signal), 0, 0, 0)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNS) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) != 0:
            return os.strerror(ctypes.get_errno())
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{uid} {uid} 1")
            _write("/proc/self/gid_map", f"{gid} {gid} 1")
        except OSError as exc:
            return exc.strerror or str(exc)
        # A change of credentials may have cleared it.
        libc.prctl(_PR_SET_PDEATHSIG, death_signal.value, 0, 0, 0)
    # Mounts of the machine still arrive here; ours does not go out.
    if libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None) != 0:
        return os.strerror(ctypes.get_errno())
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    options = f"mode=0700,size={SIZE},nr_inodes=4k"
    for more in (",noswap", ""):  # Linux 6.4, and only outside of user namespaces.
        data = (options + more).encode()
        if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, data) == 0:
            return ""
    return os.strerror(ctypes.get_errno())


def _shared_folder(folders: Sequence[str]) -> str:
    """Make a folder that only this user can enter, without what an earlier process left in it."""
    for folder in map(Path, folders):
        if not folder.parent.is_dir():
            continue
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise HandingError(f"{folder} is not a folder of this user: remove it")
        folder.chmod(0o700)
        _empty(folder)
        return str(folder)
    raise HandingError("there is no folder in memory: set XDG_RUNTIME_DIR, or mount /dev/shm")


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            _empty(entry)
            entry.rmdir()
        else:
            entry.unlink()


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
