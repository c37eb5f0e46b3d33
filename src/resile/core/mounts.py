"""What is mounted where, as far as whoever moves whole trees must know."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OWN_TIMES = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs"}
)
"""File systems that stamp their files with this kernel's clock. On all others (nfs, cifs, fuse,
9p and whatever comes) a server's clock may run behind, so that times prove nothing."""
_MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mounted file system.

    Args:
        point: Where.
        fs_type: As the kernel names it.
        is_read_only: The mount or the file system may not be written.
        number: The kernel's, which no other has while it is mounted.
    """

    point: Path
    fs_type: str
    is_read_only: bool
    number: int = 0


def read_mounts() -> tuple[Mount, ...]:
    """Read what this process sees mounted.

    Raises:
        OSError: Without /proc.
    """
    return parse_mounts(_MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))


@lru_cache(maxsize=1)  # One run after another finds the same text.
def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Read the lines of /proc/self/mountinfo (proc_pid_mountinfo(5)); later ones lie above."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, filesystem = left.split(" "), right.split(" ")
        options = {*fields[5].split(","), *filesystem[2].split(",")}
        mounts.append(
            Mount(
                point=Path(_OCTAL.sub(_unescaped, fields[4])),
                fs_type=filesystem[0],
                is_read_only="ro" in options,
                number=int(fields[0]),
            )
        )
    return tuple(mounts)


def mount_of(path: Path, mounts: tuple[Mount, ...]) -> Mount | None:
    """Find the mount that a path is on."""
    text = f"{path}/"
    found, length = None, 0
    for mount in mounts:  # As text: a machine has hundreds, and every run asks several times.
        point = f"{str(mount.point).rstrip('/')}/"
        if text.startswith(point) and len(point) >= length:
            found, length = mount, len(point)
    return found


def mounts_inside(path: Path, mounts: tuple[Mount, ...]) -> list[Path]:
    """List what is mounted below a path, without the path itself."""
    above = f"{str(path).rstrip('/')}/"
    return sorted({m.point for m in mounts if m.point != path and str(m.point).startswith(above)})


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
