"""Makes the entries of folders that are no folders themselves."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from resile.errors import StoreDamagedError, StoreKeyError
from resile.store.model import Entry, EntryType
from resile.store.restore.content import write_all, write_content, wrong_length
from resile.store.restore.folders import Folder, FolderCache, strip_inherited
from resile.store.restore.metadata import MetadataGiver, reason_of
from resile.store.restore.model import Blobs
from resile.store.restore.tally import Tally

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o600
_ENDS_ALL = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}
"""After one of these every other entry would fail as well."""
_FAILURES = (StoreDamagedError, StoreKeyError, OSError)
_TYPES = {
    EntryType.LINK: stat.S_IFLNK,
    EntryType.FIFO: stat.S_IFIFO,
    EntryType.CHAR: stat.S_IFCHR,
    EntryType.BLOCK: stat.S_IFBLK,
}


class FirstName:
    """The first of a file's names, and which inode it has; None until it is written."""

    __slots__ = ("entry", "folder", "identity")

    def __init__(self, folder: Folder, entry: Entry) -> None:
        self.folder = folder
        self.entry = entry
        self.identity: tuple[int, int] | None = None


class EntryMaker:
    """Makes entries; one that fails is noted as lost. Not thread-safe: one for each thread.

    Every method raises StoreError if the store cannot be reached, and OSError if the target can
    take nothing more.
    """

    def __init__(
        self, reader: Blobs, cache: FolderCache, giver: MetadataGiver, tally: Tally
    ) -> None:
        self._reader = reader
        self._cache = cache
        self._giver = giver
        self._tally = tally

    def file(self, folder: Folder, entry: Entry, first: FirstName | None = None) -> bool:
        """Make a file, whole or not at all; tell whether it is there.

        Args:
            folder: Where.
            entry: What.
            first: Told which inode it became, if it has several names.
        """
        try:
            size = self._file(folder, entry, first)
        except _FAILURES as exc:
            note(self._tally, folder, entry.name, exc)
            return False
        self._tally.add(files=1, size=size)
        return True

    def other_name(self, folder: Folder, entry: Entry, first: FirstName) -> bool:
        """Give a file that is there a further name; make it anew where that cannot be."""
        if first.identity is not None:
            try:
                self._add_name(folder, entry, first, first.identity)
            except OSError as exc:
                path = folder.path_of(entry.name)
                self._tally.skip(path, f"its being one file with others: {reason_of(exc)}")
            else:
                self._tally.add(files=1)
                return True
        return self.file(folder, entry)

    def special(self, folder: Folder, entry: Entry) -> bool:
        """Make a link, a fifo or a device; tell whether it is there.

        A device that this user may not make is noted as skipped: it has no content.
        """
        if entry.type in (EntryType.CHAR, EntryType.BLOCK) and os.geteuid() != 0:
            self._tally.skip(folder.path_of(entry.name), "a device: only root makes it")
            return False
        with noting(self._tally, folder, entry.name):
            self._special(folder, entry)
            self._tally.add(files=1)
            return True
        return False

    def _file(self, folder: Folder, entry: Entry, first: FirstName | None) -> int:
        """Make a file; give the bytes that are not counted yet."""
        data = None
        if len(entry.chunks) == 1 and entry.extents is None:
            data = self._reader.read_blob(entry.chunks[0])
            if len(data) != entry.size:
                raise wrong_length()
        folder_fd = self._cache.fd(folder)
        fd = os.open(entry.name, _CREATE, _FILE_MODE, dir_fd=folder_fd)
        try:
            try:
                if data is None:
                    write_content(fd, entry, self._reader, self._tally)
                else:
                    write_all(fd, data)
                owner = folder.owner or _first_owner(fd)
                self._giver.give(fd, entry, owner=owner, where=(folder, entry.name))
                if first is not None:
                    status = os.fstat(fd)
                    first.identity = (status.st_dev, status.st_ino)
            finally:
                os.close(fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(entry.name, dir_fd=folder_fd)
            raise
        return len(data) if data is not None else 0

    def _special(self, folder: Folder, entry: Entry) -> None:
        folder_fd = self._cache.fd(folder)
        kind = _TYPES[entry.type]
        if entry.type is EntryType.LINK:
            os.symlink(entry.target, entry.name, dir_fd=folder_fd)
        else:
            os.mknod(entry.name, kind | _FILE_MODE, entry.rdev, dir_fd=folder_fd)
        fd = os.open(entry.name, _HOLD, dir_fd=folder_fd)
        try:
            status = os.fstat(fd)
            if stat.S_IFMT(status.st_mode) != kind or status.st_nlink != 1:
                raise OSError(errno.ESTALE, "somebody put something else in its place")
            path = b"/proc/self/fd/%d" % fd
            if folder.owner is None and entry.type is not EntryType.LINK:
                strip_inherited(path)
            owner = (status.st_uid, status.st_gid)
            self._giver.give(path, entry, owner=owner, where=(folder, entry.name))
        finally:
            os.close(fd)

    def _add_name(
        self, folder: Folder, entry: Entry, first: FirstName, identity: tuple[int, int]
    ) -> None:
        """Link by descriptor: what somebody put at the first name meanwhile gets no name here."""
        fd = os.open(first.entry.name, _HOLD, dir_fd=self._cache.fd(first.folder))
        try:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != identity:
                raise OSError(errno.ESTALE, "somebody put something else at its first name")
            os.link(
                b"/proc/self/fd/%d" % fd,
                entry.name,
                dst_dir_fd=self._cache.fd(folder),
                follow_symlinks=True,
            )
        finally:
            os.close(fd)


@contextlib.contextmanager
def noting(tally: Tally, folder: Folder, name: bytes) -> Iterator[None]:
    """Note an entry as lost if what is inside fails for it alone; let the rest through."""
    try:
        yield
    except _FAILURES as exc:
        note(tally, folder, name, exc)


def note(
    tally: Tally, folder: Folder, name: bytes, exc: StoreDamagedError | StoreKeyError | OSError
) -> None:
    """Note an entry as lost, or raise what it failed with again if that ends all."""
    if not isinstance(exc, OSError):
        tally.lose(folder.path_of(name), exc.message)
    elif exc.errno in _ENDS_ALL:
        raise exc
    else:
        tally.lose(folder.path_of(name), reason_of(exc))


def _first_owner(fd: int) -> tuple[int, int]:
    """Tell whom a file belongs to that was made in a folder with rules that are not ours."""
    strip_inherited(fd)
    status = os.fstat(fd)
    return status.st_uid, status.st_gid
