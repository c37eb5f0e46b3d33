"""The folders of a restore, held open or found again without ever following a link."""

import contextlib
import errno
import os
from collections import OrderedDict
from collections.abc import Iterator

from resile.core.trees import FOLDER_FLAGS, status_of

FOLDER_MODE = 0o700
"""Of a folder until all is in it: nobody else reaches what is not finished."""
_OPEN_MAX = 100
"""For each thread; three threads stay far below the usual 1,024 descriptors of a process."""
_INHERITED = ("system.posix_acl_access", "system.posix_acl_default")
_HAS_NONE = {errno.ENODATA, errno.EOPNOTSUPP}


class Folder:
    """A folder that was made or found. Immutable.

    Args:
        parent: What it is in; None for the topmost.
        name: Its name there.
        identity: Device and inode, by which it is known again.
        owner: Whom what is made in it belongs to at first; None if that is not known, because
            the folder was there before.
        label: Instead of the path to it, where messages name it; None: its own path.
    """

    __slots__ = ("depth", "identity", "label", "name", "owner", "parent")

    def __init__(
        self,
        parent: "Folder | None",
        name: bytes,
        *,
        identity: tuple[int, int],
        owner: tuple[int, int] | None,
        label: bytes | None = None,
    ) -> None:
        self.parent = parent
        self.name = name
        self.identity = identity
        self.owner = owner
        self.label = label
        self.depth: int = parent.depth + 1 if parent else 0

    def path(self) -> bytes:
        """Give its path in the snapshot; empty for the root."""
        names: list[bytes] = []
        folder: Folder | None = self
        while folder is not None and folder.label is None:
            names.append(folder.name)
            folder = folder.parent
        if folder is not None and folder.label:
            names.append(folder.label)
        return b"/".join(reversed(names))

    def path_of(self, name: bytes) -> bytes:
        """Give the path of something in it; of itself if the name is empty."""
        path = self.path()
        if not name:
            return path or b"."
        return path + b"/" + name if path else name


def top_folder(fd: int, *, is_ours: bool, label: bytes = b"") -> Folder:
    """Describe an open folder as the topmost of a restore.

    Args:
        fd: The folder.
        is_ours: Nothing is in it, and nobody else needs it as it is: what new entries would
            inherit from it is taken away.
        label: Its path in the snapshot.
    """
    if is_ours:
        strip_inherited(fd)
    status = os.fstat(fd)
    return Folder(
        None,
        b"",
        identity=_identity(status),
        owner=_owner(status) if is_ours else None,
        label=label,
    )


def strip_inherited(target: int | bytes) -> None:
    """Take away the access lists that a new entry got from its folder."""
    for name in _INHERITED:
        try:
            os.removexattr(target, name)
        except OSError as exc:
            if exc.errno not in _HAS_NONE:
                raise


class FolderCache:
    """Descriptors of folders below one, the least used closed first. Not thread-safe.

    What was closed is opened again from its parent by its name, and must be the same folder: one
    that somebody put in its place is refused.

    Args:
        top: The topmost.
        top_fd: It, open; stays open.
    """

    def __init__(self, top: Folder, top_fd: int, *, open_max: int = _OPEN_MAX) -> None:
        self._top = top
        self._top_fd = top_fd
        self._open_max = open_max
        self._fds: OrderedDict[Folder, int] = OrderedDict()

    def close(self) -> None:
        """Close what is open."""
        while self._fds:
            os.close(self._fds.popitem()[1])

    def fd(self, folder: Folder) -> int:
        """Give a folder's descriptor; it may be closed by the next call for another one.

        Raises:
            OSError: ESTALE, ENOTDIR or ELOOP if something else is in its place now.
        """
        missing: list[Folder] = []
        while (fd := self._known(folder)) < 0:
            missing.append(folder)
            if folder.parent is None:
                raise AssertionError("a folder of another tree")
            folder = folder.parent
        for one in reversed(missing):
            fd = self._open(one, fd)
        return fd

    def make(self, parent: Folder, name: bytes, *, label: bytes | None = None) -> Folder:
        """Make a folder that nobody else may enter yet.

        Raises:
            OSError: EEXIST if something is there; and as mkdir(2).
        """
        parent_fd = self.fd(parent)
        os.mkdir(name, FOLDER_MODE, dir_fd=parent_fd)
        fd = os.open(name, FOLDER_FLAGS, dir_fd=parent_fd)
        try:
            if parent.owner is None:
                strip_inherited(fd)
            status = os.fstat(fd)
        except BaseException:
            os.close(fd)
            raise
        folder = Folder(parent, name, identity=_identity(status), owner=_owner(status), label=label)
        self._keep(folder, fd)
        return folder

    def find(self, parent: Folder, name: bytes) -> Folder | None:
        """Open a folder that is there already; None if nothing is.

        Raises:
            OSError: ENOTDIR or ELOOP if it is something else.
        """
        try:
            fd = os.open(name, FOLDER_FLAGS, dir_fd=self.fd(parent))
        except FileNotFoundError:
            return None
        folder = Folder(parent, name, identity=_identity(os.fstat(fd)), owner=None)
        self._keep(folder, fd)
        return folder

    def _known(self, folder: Folder) -> int:
        if folder is self._top:
            return self._top_fd
        fd = self._fds.get(folder, -1)
        if fd >= 0:
            self._fds.move_to_end(folder)
        return fd

    def _open(self, folder: Folder, parent_fd: int) -> int:
        fd = os.open(folder.name, FOLDER_FLAGS, dir_fd=parent_fd)
        if _identity(os.fstat(fd)) != folder.identity:
            os.close(fd)
            raise _exchanged()
        self._keep(folder, fd)
        return fd

    def _keep(self, folder: Folder, fd: int) -> None:
        """Remember a descriptor; its parent, used just before, is the last that would go."""
        self._fds[folder] = fd
        while len(self._fds) > self._open_max:
            os.close(self._fds.popitem(last=False)[1])


def open_below(top_fd: int, names: tuple[bytes, ...]) -> int:
    """Open a folder step by step from another one, never through a link; the caller closes it.

    Raises:
        OSError: ENOENT, ENOTDIR or ELOOP if a step is missing or something else.
    """
    fd = os.dup(top_fd)
    for name in names:
        try:
            below = os.open(name, FOLDER_FLAGS, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def identity_of(folder_fd: int, name: bytes) -> tuple[int, int] | None:
    """Give the device and inode of an entry; None if there is none."""
    status = status_of(folder_fd, name)
    return None if status is None else _identity(status)


@contextlib.contextmanager
def keeping_times(fd: int) -> Iterator[None]:
    """Let an open folder have the times that it had, whatever is put in it or taken out."""
    status = os.fstat(fd)
    yield
    with contextlib.suppress(PermissionError):
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _owner(status: os.stat_result) -> tuple[int, int]:
    """Tell whom new entries belong to: a folder that we made got its group by the same rule."""
    return os.geteuid(), status.st_gid


def _exchanged() -> OSError:
    return OSError(errno.ESTALE, "somebody put something else in its place")
