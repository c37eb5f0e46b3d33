"""What a snapshot leaves out of a live folder: a restore in place finds a place for it in the new."""

import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from resile.core.mounts import mounts_inside, read_mounts
from resile.core.trees import status_of
from resile.errors import RejectedError
from resile.store.restore.folders import FOLDER_MODE, keeping_times, open_below, strip_inherited
from resile.store.restore.model import shown
from resile.store.walk import Rules, left_out


def check_no_mounts(home_fd: int, paths: Iterable[tuple[bytes, ...]]) -> None:
    """Refuse to exchange folders that something is mounted in: it would go with the old.

    Args:
        home_fd: What they are in.
        paths: The names from there on that lead to each.

    Raises:
        RejectedError: If something is; it names the first.
    """
    mounts, home = read_mounts(), Path(f"/proc/self/fd/{home_fd}").readlink()
    for path in paths:
        if found := mounts_inside(home.joinpath(*map(os.fsdecode, path)), mounts):
            raise RejectedError(
                f"{shown(os.fsencode(found[0]))} is mounted in what would be exchanged",
                hint="unmount it first, or restore beside: resile restore ID --to DIR",
            )


def find_kept(
    live_fd: int, room_fd: int, name: bytes, rules: Rules, *, within: str
) -> tuple[bytes, ...]:
    """Name what rules leave out of a live folder and the new one has not; the topmost of each.

    The folders to it that the new has not are made, as they are in the live one.

    Args:
        live_fd: The live folder.
        room_fd: Where the new was built.
        name: Its name there; it may be no folder.
        rules: What the snapshot leaves out.
        within: The folder's path in the snapshot.

    Raises:
        OSError: If a live folder cannot be read.
        RejectedError: If the new has something else where a folder is needed.
    """
    live = Path(f"/proc/self/fd/{live_fd}")
    kept, blocked = [], []
    for path in sorted(map(os.fsencode, left_out(live, rules, within=within, on_error=_fail))):
        *above, last = path.split(b"/")
        try:
            parent_fd = _way_to(live_fd, room_fd, name, above)
        except NotADirectoryError:
            blocked.append(path)
            continue
        try:
            if status_of(parent_fd, last) is None:
                kept.append(path)
        finally:
            os.close(parent_fd)
    if blocked:
        first = os.path.join(os.fsencode(within), blocked[0])  # noqa: PTH118 - these are bytes
        raise RejectedError(
            f"{len(blocked)} paths that are left out of the snapshot have no place in it, the first"
            f" is {shown(first)}: what it is in is no folder there",
            hint="move them away, or restore beside: resile restore ID --to DIR",
        )
    return tuple(kept)


def _fail(exc: OSError) -> None:
    raise exc


def _way_to(live_fd: int, room_fd: int, top: bytes, names: Sequence[bytes]) -> int:
    """Open a folder in the new, made with those above it if need be; the caller closes it."""
    fd = open_below(room_fd, (top,))
    for depth, name in enumerate(names, 1):
        try:
            if status_of(fd, name) is None:
                _make_like(live_fd, tuple(names[:depth]), fd)
            below = open_below(fd, (name,))
        finally:
            os.close(fd)
        fd = below
    return fd


def _make_like(live_fd: int, path: tuple[bytes, ...], parent_fd: int) -> None:
    """Make a folder with the metadata of a live one; its owner may always write to it."""
    with keeping_times(parent_fd):
        os.mkdir(path[-1], FOLDER_MODE, dir_fd=parent_fd)
    source_fd = open_below(live_fd, path)
    target_fd = open_below(parent_fd, path[-1:])
    try:
        strip_inherited(target_fd)
        status = os.fstat(source_fd)
        if os.geteuid() == 0:
            os.fchown(target_fd, status.st_uid, status.st_gid)
        shutil.copystat(f"/proc/self/fd/{source_fd}", f"/proc/self/fd/{target_fd}")
        os.fchmod(target_fd, stat.S_IMODE(status.st_mode) | FOLDER_MODE)
    finally:
        os.close(source_fd)
        os.close(target_fd)
