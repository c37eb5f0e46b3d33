"""File systems in a file, mounted, whose power is cut: a copy of the file is what the disk has at that moment.

Needs root, `mount` and `mkfs.ext4`. What was not synced is in the memory of the kernel, and in no copy.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from resile.core.kernel import sync_file_system

IMAGE_BYTES = 32 << 20
COPIES_MAX = 20
_TRIES_MAX, _PAUSE_S = 50, 0.05
_COMMIT_S = 600
"""The kernel writes by itself only so often: nothing is there but what was synced."""


def can_mount() -> bool:
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and bool(_mkfs())


class DiskImage:
    """An ext4 file system in a file. Not thread-safe.

    Args:
        folder: Where the file and what it is mounted on are; exists.
    """

    def __init__(self, folder: Path) -> None:
        self._image = folder / "image"
        self._copy = folder / "copy"
        self.root = folder / "mounted"
        self._copy_root = folder / "mounted-copy"
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        options = ["-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,nodiscard"]
        subprocess.run([str(_mkfs()), *options, str(self._image)], check=True)
        for path in (self.root, self._copy_root):
            path.mkdir()
        _mount(self._image, self.root)

    def close(self) -> None:
        """Unmount it. Idempotent."""
        _unmount(self._copy_root)
        _unmount(self.root)

    def sync(self) -> None:
        """Have everything written that is in memory."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(fd)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def cut(self) -> Iterator[Path]:
        """Give the files as they are after a power cut now, which only what was synced survives."""
        for _ in range(COPIES_MAX):
            shutil.copyfile(self._image, self._copy)
            if _is_same(self._image, self._copy):
                break
        else:
            raise AssertionError("the image changes all the time")
        _mount(self._copy, self._copy_root)
        try:
            yield self._copy_root
        finally:
            _unmount(self._copy_root)


def _mkfs() -> str | None:
    return shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _mount(image: Path, root: Path) -> None:
    words = ["mount", "-o", f"loop,commit={_COMMIT_S}", str(image), str(root)]
    subprocess.run(words, check=True)


def _unmount(root: Path) -> None:
    """Unmount; another thread's child may have it open in the instant before it runs its program."""
    for _ in range(_TRIES_MAX):
        if not root.is_mount():
            return
        done = subprocess.run(["umount", str(root)], capture_output=True, text=True, check=False)
        if not done.returncode:
            return
        time.sleep(_PAUSE_S)
    raise AssertionError(f"{root} cannot be unmounted: {done.stderr}")


def _is_same(one: Path, other: Path) -> bool:
    return subprocess.run(["cmp", "-s", str(one), str(other)], check=False).returncode == 0
