"""What tells in a staged tree whether an entry is new, kept, untouched or deleted.

An overlay says it with whiteouts, opaque folders and the origin of what it copied up; a copy says
it by what was noted of each entry when it was copied.
"""

# ruff: noqa: ARG002 - the port gives its adapters what any of them may need

import os
import stat
from collections.abc import Collection, Mapping
from typing import Protocol

from resile.contain.transaction import _kernel
from resile.errors import TransactionError
from resile.store.writeahead.model import Signature, difference, signature_of
from resile.store.writeahead.trees import FILE_BITS, attributes_digest, entry_path, let_in

_HANDLE_HEAD = 21
"""Bytes of struct ovl_fb before the handle: version, magic, length, flags, type, 16 of uuid."""
_HANDLE_TYPE_AT = 4


class Marks(Protocol):
    """How a staged tree is read. `folder_fd` and `name` name an entry of the staged tree."""

    def is_deleted(self, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Tell whether the entry stands for a deletion."""
        ...

    def is_kept_folder(self, path: str, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Tell whether a folder continues the one of the workspace, if there is one."""
        ...

    def is_untouched(self, path: str, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Tell whether the entry itself surely was not changed, whatever is in it."""
        ...

    def is_origin(self, folder_fd: int, name: str, lower_fd: int) -> bool:
        """Tell whether the entry surely continues what the workspace has at this name now."""
        ...

    def deleted_names(self, path: str, present: Collection[str]) -> Collection[str]:
        """Give the names in a folder that are deleted and have no entry that says so."""
        ...


class OverlayMarks:
    """Reads the upper folder of an overlay.

    Args:
        prefix: Of the overlay's attributes: `trusted.overlay.` or `user.overlay.`.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def is_deleted(self, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Tell a whiteout: a character device 0:0, or an empty file with an attribute."""
        if stat.S_ISCHR(status.st_mode):
            return status.st_rdev == 0
        is_empty_file = stat.S_ISREG(status.st_mode) and status.st_size == 0
        return is_empty_file and self._attribute(folder_fd, name, "whiteout") is not None

    def is_kept_folder(self, path: str, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Tell whether it is merged: it is not marked as opaque (`x` is not that mark)."""
        for feature in ("redirect", "metacopy"):
            if self._attribute(folder_fd, name, feature) is not None:
                raise _unsupported(path, feature)
        return self._attribute(folder_fd, name, "opaque") != b"y"

    def is_untouched(self, path: str, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Know nothing: what is in an upper folder may have been changed."""
        if (
            stat.S_ISREG(status.st_mode)
            and self._attribute(folder_fd, name, "metacopy") is not None
        ):
            raise _unsupported(path, "metacopy")
        return False

    def is_origin(self, folder_fd: int, name: str, lower_fd: int) -> bool:
        """Compare the handle that the overlay noted with that of the workspace's entry."""
        noted = self._attribute(folder_fd, name, "origin")
        if noted is None or len(noted) <= _HANDLE_HEAD:
            return False
        handle = _kernel.file_handle(lower_fd, name)
        return handle == (noted[_HANDLE_TYPE_AT], noted[_HANDLE_HEAD:])

    def deleted_names(self, path: str, present: Collection[str]) -> Collection[str]:
        """Give none: each deletion is a whiteout."""
        return ()

    def _attribute(self, folder_fd: int, name: str, attribute: str) -> bytes | None:
        try:
            with let_in(folder_fd, name, FILE_BITS):
                return os.getxattr(
                    entry_path(folder_fd, name), self._prefix + attribute, follow_symlinks=False
                )
        except OSError:
            return None


class CopyMarks:
    """Reads a copy, by what was noted of each of its entries.

    Args:
        base: Of the workspace.
        copies: Of the copy; folders carry the digest of their attributes.
    """

    def __init__(self, base: Mapping[str, Signature], copies: Mapping[str, Signature]) -> None:
        self._copies = copies
        self._names: dict[str, list[str]] = {}
        for path in base.keys() - {"."}:
            parent, _, name = path.rpartition("/")
            self._names.setdefault(parent or ".", []).append(name)

    def is_deleted(self, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Tell that nothing in a copy stands for a deletion."""
        return False

    def is_kept_folder(self, path: str, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Tell whether it is the folder that was copied to this path."""
        copied = self._copies.get(path)
        return copied is not None and copied.is_folder and copied.inode == status.st_ino

    def is_untouched(self, path: str, folder_fd: int, name: str, status: os.stat_result) -> bool:
        """Compare with what was noted right after copying."""
        copied = self._copies.get(path)
        if copied is None or copied.inode != status.st_ino:
            return False
        if copied.mode != status.st_mode:
            return False  # It may keep us from reading what else it carries.
        if copied.is_folder:
            return copied.digest == attributes_digest(folder_fd, name, status)
        return difference(copied, signature_of(status)) == ""

    def is_origin(self, folder_fd: int, name: str, lower_fd: int) -> bool:
        """Leave it to what was noted of the workspace."""
        return False

    def deleted_names(self, path: str, present: Collection[str]) -> Collection[str]:
        """Give what was copied into a folder and is not there any more."""
        return set(self._names.get(path, ())) - set(present)


def _unsupported(path: str, feature: str) -> TransactionError:
    return TransactionError(
        f"{path} was written with the overlay feature {feature}",
        hint="Mount overlays with redirect_dir=off,index=off,metacopy=off.",
    )
