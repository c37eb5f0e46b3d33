"""Try, as a process of its own, whether the kernel gives a user namespace or an overlay.

`python -m resile.cli.sandbox_probe user` and `... overlay FOLDER` print nothing and exit with 0
if it works, else the reason and 1. Every namespace and mount ends with this process; nothing
outside FOLDER is touched.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> int:
    """Try what the arguments name; give the exit code."""
    try:
        if arguments[0] == "user":
            _enter_user_namespace()
        else:
            _mount_overlay(Path(arguments[1]))
    except OSError as exc:
        print(exc.strerror or exc)
        return 1
    return 0


def _enter_user_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    _unshare(_CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


def _mount_overlay(folder: Path) -> None:
    """Mount an overlay in the folder, or on a tmpfs there: an overlay cannot lie on an overlay."""
    is_root = os.geteuid() == 0
    if not is_root:
        _enter_user_namespace()
    _unshare(_CLONE_NEWNS)
    _mount("none", "/", "", _MS_REC_PRIVATE, "")
    try:
        _overlay(folder, is_root=is_root)
    except OSError:
        _mount("tmpfs", str(folder), "tmpfs", 0, "size=1m")
        _overlay(folder, is_root=is_root)


def _overlay(folder: Path, *, is_root: bool) -> None:
    lower, upper, work, merged = (folder / name for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, merged):
        path.mkdir(exist_ok=True)
    (lower / "file").touch()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _mount("overlay", str(merged), "overlay", 0, options if is_root else f"{options},userxattr")
    (merged / "file").unlink()
    if not (lower / "file").exists():
        raise OSError("the overlay wrote through to its lower folder")


def _unshare(flags: int) -> None:
    _check(_LIBC.unshare(flags))


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    words = [text.encode() for text in (source, target, kind)]
    _check(_LIBC.mount(*words, ctypes.c_ulong(flags), options.encode()))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
