"""How a transaction tells, when it is sealed, what was changed in a workspace since it began.

Nothing is read at the beginning but the time, so that a beginning costs the same for ten files
and for a hundred thousand. That is safe, because it errs to one side only:

- Something that is there now was changed since if its ctime is the stamp's or later. Nobody can
  set a ctime back (but by the clock, see `stamps`); renames and new links set it too.
- Where nothing is now, and the command made something new: something may have been there that
  somebody deleted. If its folder's ctime is older than the stamp, no name in it came or went.
  Else the names of the folder count that were listed while its ctime was still older (`listing`);
  without such a list it is a conflict.
- A folder that is kept is the same one if its ctime is older, or if the overlay noted its inode
  when it first wrote below it, or if it was listed with this inode. Else it is a conflict.

So a doubt is a conflict, and never a lost update. On file systems that get their times from
elsewhere, and for copies, everything is noted at the beginning instead, and compared.
"""

# ruff: noqa: ARG002 - the port gives its adapters what any of them may need

import os
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Protocol

from resile.contain.transaction.listing import Listing
from resile.store.writeahead.model import Signature, difference, signature_of
from resile.store.writeahead.trees import attributes_digest

SINCE = "since the beginning"


class Base(Protocol):
    """What was in one workspace at the beginning. Paths are relative; the root is `.`.

    Each method gives what happened since, in words, or nothing if nothing did.
    """

    def entry_fault(self, path: str, status: os.stat_result) -> str:
        """Say whether what is there now was changed; of a folder, its names or attributes."""
        ...

    def absence_fault(self, path: str, parent: str, parent_status: os.stat_result) -> str:
        """Say whether something was there where nothing is now."""
        ...

    def folder_fault(self, path: str, status: os.stat_result) -> str:
        """Say whether a folder that is kept is another one now."""
        ...

    def attributes_fault(self, path: str, folder_fd: int, name: str, now: os.stat_result) -> str:
        """Say whether the attributes of a folder that is kept were changed."""
        ...

    def names(self, path: str) -> Collection[str]:
        """Give the names that were in a folder, as far as they are known."""
        ...


class StampBase:
    """Knows the time of the beginning, and what a `Listing` saw soon after it."""

    def __init__(self, threshold_ns: int, *, listing: Listing | None = None) -> None:
        self._threshold_ns = threshold_ns
        self._listing = listing

    def entry_fault(self, path: str, status: os.stat_result) -> str:
        """Compare with the time of the beginning."""
        return f"changed {SINCE}" if status.st_ctime_ns >= self._threshold_ns else ""

    def absence_fault(self, path: str, parent: str, parent_status: os.stat_result) -> str:
        """Ask the folder's time, else the list of its names."""
        if parent_status.st_ctime_ns < self._threshold_ns:
            return ""
        listed = self._listing.folder(parent) if self._listing else None
        if listed is None or listed.inode != parent_status.st_ino:
            return f"its folder was changed {SINCE}"
        return f"deleted {SINCE}" if path.rpartition("/")[2] in listed.names else ""

    def folder_fault(self, path: str, status: os.stat_result) -> str:
        """Ask the folder's time, else the list."""
        if status.st_ctime_ns < self._threshold_ns:
            return ""
        listed = self._listing.folder(path) if self._listing else None
        return (
            "" if listed and listed.inode == status.st_ino else f"its folder was replaced {SINCE}"
        )

    def attributes_fault(self, path: str, folder_fd: int, name: str, now: os.stat_result) -> str:
        """Ask the folder's time, else the list."""
        if now.st_ctime_ns < self._threshold_ns:
            return ""
        listed = self._listing.folder(path) if self._listing else None
        is_same = listed is not None and listed.attributes == attributes_digest(
            folder_fd, name, now
        )
        return "" if is_same else f"changed {SINCE}"

    def names(self, path: str) -> Collection[str]:
        """Know none: who deleted one since has set its folder's time."""
        return ()


class ManifestBase:
    """Knows everything that was there."""

    def __init__(self, entries: Mapping[str, Signature]) -> None:
        self._entries = entries
        self._names: dict[str, set[str]] = defaultdict(set)
        for path in entries:
            if path != ".":
                parent, _, name = path.rpartition("/")
                self._names[parent or "."].add(name)

    def entry_fault(self, path: str, status: os.stat_result) -> str:
        """Compare with what was noted."""
        before = self._entries.get(path)
        fault = difference(before and replace(before, digest=""), signature_of(status))
        return f"{fault} {SINCE}" if fault else ""

    def absence_fault(self, path: str, parent: str, parent_status: os.stat_result) -> str:
        """Look whether something was noted."""
        return f"deleted {SINCE}" if path in self._entries else ""

    def folder_fault(self, path: str, status: os.stat_result) -> str:
        """Compare the folder's identity with what was noted."""
        before = self._entries.get(path)
        is_same = before is not None and before.inode == status.st_ino
        return "" if is_same else f"its folder was replaced {SINCE}"

    def attributes_fault(self, path: str, folder_fd: int, name: str, now: os.stat_result) -> str:
        """Compare them with what was noted."""
        before = self._entries.get(path)
        is_same = before and before.digest == attributes_digest(folder_fd, name, now)
        return "" if is_same else f"changed {SINCE}"

    def names(self, path: str) -> Collection[str]:
        """Give the names that were noted."""
        return self._names.get(path, ())
