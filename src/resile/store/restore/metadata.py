"""Gives entries what they carried beside their content: owner, attributes, mode, times."""

import os
import stat

from resile.store.model import Entry, EntryType
from resile.store.restore.folders import Folder
from resile.store.restore.tally import Tally

Where = tuple[Folder, bytes]
"""A folder and a name in it; with an empty name the folder itself."""
_SET_ID = stat.S_ISUID | stat.S_ISGID


class MetadataGiver:
    """Applies metadata; what the system refuses is noted, not raised. Safe between threads.

    Owner first, because a change of owner takes set-id bits and capabilities; attributes while
    the mode still lets us; times last.

    Only root restores set-id bits: a forged store could else leave a program that runs as
    whoever restored it. They are left out too where the owner could not be given.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._is_root = os.geteuid() == 0

    def give(
        self,
        target: int | bytes,
        entry: Entry,
        *,
        owner: tuple[int, int],
        where: Where,
    ) -> None:
        """Bring one entry to its metadata.

        Args:
            target: Its descriptor, or a path through /proc/self/fd where that cannot be written.
            entry: What it carries.
            owner: Whom it belongs to now.
            where: Its folder and its name there, for messages.
        """
        mode = entry.mode
        is_owned = owner == (entry.uid, entry.gid) or self._give_owner(target, entry, where)
        if entry.xattrs:
            self._give_attributes(target, entry, where)
        if entry.type is not EntryType.LINK:
            if mode & _SET_ID and entry.type is not EntryType.FOLDER:
                mode = self._allowed(mode, where, is_owned=is_owned)
            self._give_mode(target, mode, where)
        try:
            os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
        except OSError as exc:
            self._skip(where, "its time", exc)

    def _give_owner(self, target: int | bytes, entry: Entry, where: Where) -> bool:
        if not self._is_root:
            self._tally.add_foreign()
            return False
        try:
            os.chown(target, entry.uid, entry.gid)
        except OSError as exc:
            self._skip(where, "its owner", exc)
            return False
        return True

    def _give_attributes(self, target: int | bytes, entry: Entry, where: Where) -> None:
        for name, value in entry.xattrs.items():
            try:
                os.setxattr(target, name, value)
            except (OSError, ValueError) as exc:
                self._skip(where, f"its attribute {name!a}", exc)

    def _give_mode(self, target: int | bytes, mode: int, where: Where) -> None:
        try:
            os.chmod(target, mode)  # noqa: PTH101 - a descriptor is no path
        except OSError as exc:
            self._skip(where, "its mode", exc)

    def _allowed(self, mode: int, where: Where, *, is_owned: bool) -> int:
        if self._is_root and is_owned:
            return mode
        folder, name = where
        self._tally.skip(
            folder.path_of(name), "its set-id bits: only root restores them, with their owner"
        )
        return mode & ~_SET_ID

    def _skip(self, where: Where, what: str, exc: OSError | ValueError) -> None:
        folder, name = where
        self._tally.skip(folder.path_of(name), f"{what}: {reason_of(exc)}")


def reason_of(exc: OSError | ValueError) -> str:
    """Give the system's words for a failure."""
    return (exc.strerror if isinstance(exc, OSError) else "") or str(exc)
