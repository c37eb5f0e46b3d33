"""Reading and copying trees by open folders: no path is ever walked through a link."""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator

from resile.core.trees import FOLDER_FLAGS, status_of
from resile.errors import TransactionError
from resile.store.writeahead.model import DEPTH_MAX, STAGE_PREFIX, Metadata, Signature, signature_of

FOLDER_BITS = stat.S_IRUSR | stat.S_IXUSR
"""What an owner needs to list a folder and to reach what is in it."""
FILE_BITS = stat.S_IRUSR
_ENTRY_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FICLONE = 0x40049409
_BLOCK_BYTES = 1 << 20
_IS_NO_REFLINK = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM}
_IS_NO_RANGE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
_HAS_NO_ATTRIBUTES = {errno.EOPNOTSUPP, errno.ENODATA}
_OVERLAY_ATTRIBUTES = ("trusted.overlay.", "user.overlay.")
_LABEL = "security.selinux"
"""The policy gives each new file its label; a copy of it would often be refused."""


def entry_path(folder_fd: int, name: str) -> str:
    """Give a path to an entry of an open folder, for calls that take no folder."""
    return f"/proc/self/fd/{folder_fd}/{name}"


@contextlib.contextmanager
def open_entry(folder_fd: int, name: str) -> Iterator[tuple[os.stat_result, str]]:
    """Hold an inode without opening what it is: give its status and a path to it."""
    fd = os.open(name, _ENTRY_FLAGS, dir_fd=folder_fd)
    try:
        yield os.fstat(fd), f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def open_folder(folder_fd: int, name: str) -> contextlib.AbstractContextManager[int]:
    """Open a folder in a folder, never through a link."""
    return _opened(folder_fd, name, FOLDER_FLAGS)


def open_file(folder_fd: int, name: str) -> contextlib.AbstractContextManager[int]:
    """Open a file in a folder for reading, never through a link."""
    return _opened(folder_fd, name, _FILE_FLAGS)


@contextlib.contextmanager
def open_parent(root_fd: int, path: str, *, is_private: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder that holds a path, step by step from the root; give it and the last name.

    Args:
        root_fd: Where the path begins.
        path: Relative; `.` is the root itself.
        is_private: The tree is ours: we are let into folders whose modes forbid it, for as long
            as this lasts.

    Raises:
        OSError: ENOENT or ENOTDIR if a folder on the way is missing or is something else (ELOOP
            where a link stands).
    """
    *folders, name = path.split("/")
    fd = os.dup(root_fd)
    with contextlib.ExitStack() as stack:
        try:
            for folder in folders:
                if is_private:
                    stack.enter_context(let_in(fd, folder, FOLDER_BITS))
                below = os.open(folder, FOLDER_FLAGS, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd, name
        finally:
            os.close(fd)


@contextlib.contextmanager
def open_private_file(folder_fd: int, name: str) -> Iterator[int]:
    """Open a file of ours for reading, even if its own mode forbids that."""
    with contextlib.ExitStack() as stack:
        with let_in(folder_fd, name, FILE_BITS):
            fd = stack.enter_context(open_file(folder_fd, name))
        yield fd


@contextlib.contextmanager
def open_private_folder(folder_fd: int, name: str) -> Iterator[int]:
    """Open a folder of ours, and reach what is in it, even if its own mode forbids that."""
    with let_in(folder_fd, name, FOLDER_BITS), open_folder(folder_fd, name) as fd:
        yield fd


@contextlib.contextmanager
def let_in(folder_fd: int, name: str, bits: int) -> Iterator[None]:
    """Give ourselves rights to an entry of ours for as long as this lasts, if its mode lacks them.

    Whoever dies meanwhile leaves it with them: what must know the mode afterwards has noted it.

    Raises:
        OSError: If it is not there, or is not ours.
    """
    mode = os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode) or not is_closed(mode, bits):
        yield
        return
    with open_entry(folder_fd, name) as (status, path):
        os.chmod(path, stat.S_IMODE(status.st_mode) | bits)  # noqa: PTH101 - as the calls beside it
        try:
            yield
        finally:
            os.chmod(path, stat.S_IMODE(status.st_mode))  # noqa: PTH101 - as the calls beside it


def is_closed(mode: int, bits: int) -> bool:
    """Tell whether a mode keeps its owner out; root is never kept out."""
    return mode & bits != bits and os.geteuid() != 0


@contextlib.contextmanager
def open_readable_file(folder_fd: int, name: str) -> Iterator[int | None]:
    """Open a file for reading; None where its mode forbids that."""
    with contextlib.ExitStack() as stack:
        try:
            fd = stack.enter_context(open_file(folder_fd, name))
        except PermissionError:
            fd = None
        yield fd


def is_stuck(status: os.stat_result) -> bool:
    """Tell whether it is a folder that this user cannot move: that changes what `..` is in it."""
    return stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_IWUSR and os.geteuid() != 0


def names_in(folder_fd: int) -> list[str]:
    """List a folder by its names, sorted, without resile's own stage folders."""
    return sorted(name for name in os.listdir(folder_fd) if not name.startswith(STAGE_PREFIX))


def read_attributes(path: str, *, follow: bool = True) -> dict[str, str]:
    """Read extended attributes without those that the overlay or the policy gives."""
    try:
        return {
            name: os.getxattr(path, name, follow_symlinks=follow).hex()
            for name in os.listxattr(path, follow_symlinks=follow)
            if not name.startswith(_OVERLAY_ATTRIBUTES) and name != _LABEL
        }
    except OSError as exc:
        if exc.errno in _HAS_NO_ATTRIBUTES:
            return {}
        raise


def attributes_digest(folder_fd: int, name: str, status: os.stat_result) -> str:
    """Sum up an entry's mode, owner and extended attributes."""
    attributes = read_attributes(entry_path(folder_fd, name), follow=False)
    facts = (status.st_mode, status.st_uid, status.st_gid, sorted(attributes.items()))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def read_metadata(folder_fd: int, name: str, status: os.stat_result) -> Metadata:
    """Read what an entry carries beside its content."""
    return Metadata(
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        attributes=read_attributes(entry_path(folder_fd, name), follow=False),
    )


def read_private_metadata(folder_fd: int, name: str, status: os.stat_result) -> Metadata:
    """Read what an entry of ours carries, even if its own mode forbids that."""
    with let_in(folder_fd, name, FILE_BITS):
        return read_metadata(folder_fd, name, status)


def read_signature(folder_fd: int, name: str, *, is_deep: bool = False) -> Signature | None:
    """Take an entry's signature; None if there is none.

    Args:
        folder_fd: Its folder.
        name: Its name.
        is_deep: Of a folder, sum up all that is in it.

    Raises:
        OSError: If something cannot be read.
    """
    status = status_of(folder_fd, name)
    if status is None:
        return None
    return signature_of(status, digest=_digest_of(folder_fd, name, status, is_deep=is_deep))


def read_signature_like(folder_fd: int, name: str, base: Signature | None) -> Signature | None:
    """Take an entry's signature with a digest if another one has it, for comparing the two.

    Raises:
        OSError: If something cannot be read.
    """
    status = status_of(folder_fd, name)
    if status is None:
        return None
    if base is None or not base.digest:
        return signature_of(status)
    is_file = stat.S_ISREG(status.st_mode)
    digest = _digest_of(folder_fd, name, status, is_deep=True, is_forced=is_file)
    return signature_of(status, digest=digest)


def read_attributes_signature(folder_fd: int, name: str) -> Signature | None:
    """Take the signature of what only gets other attributes; a folder's sums up extended ones.

    Raises:
        OSError: If something cannot be read.
    """
    status = status_of(folder_fd, name)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return read_signature(folder_fd, name)
    attributes = sorted(read_attributes(entry_path(folder_fd, name), follow=False).items())
    return signature_of(status, digest=hashlib.sha256(repr(attributes).encode()).hexdigest())


def digest_of_file(fd: int) -> str:
    """Sum up the content of an open file."""
    sums = hashlib.sha256()
    offset = 0
    while block := os.pread(fd, _BLOCK_BYTES, offset):
        sums.update(block)
        offset += len(block)
    return sums.hexdigest()


def is_same_content(first_fd: int, second_fd: int) -> bool:
    """Compare two open files of one size, byte by byte."""
    offset = 0
    while True:
        first = os.pread(first_fd, _BLOCK_BYTES, offset)
        if first != os.pread(second_fd, len(first) or 1, offset):
            return False
        if not first:
            return True
        offset += len(first)


def copy_data(source_fd: int, target_fd: int) -> None:
    """Copy a file's content to an empty one: shared blocks if possible, else without the holes."""
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as exc:
        if exc.errno not in _IS_NO_REFLINK:
            raise
    else:
        return
    size = os.fstat(source_fd).st_size
    os.ftruncate(target_fd, size)
    for start, end in _extents(source_fd, size):
        _copy_range(source_fd, target_fd, start, end)


def too_deep(path: str) -> TransactionError:
    """Make the error for folders that nest too deep to be walked with open descriptors."""
    return TransactionError(
        f"folders nest deeper than {DEPTH_MAX} at {path[:80]}...",
        hint="Nothing was changed in the workspace; discard the changes.",
    )


@contextlib.contextmanager
def _opened(folder_fd: int, name: str, flags: int) -> Iterator[int]:
    fd = os.open(name, flags, dir_fd=folder_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Give where a file has data."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def _copy_range(source_fd: int, target_fd: int, start: int, end: int) -> None:
    offset = start
    while offset < end:
        try:
            copied = os.copy_file_range(source_fd, target_fd, end - offset, offset, offset)
        except OSError as exc:
            if exc.errno not in _IS_NO_RANGE:
                raise
            block = os.pread(source_fd, min(_BLOCK_BYTES, end - offset), offset)
            copied = os.pwrite(target_fd, block, offset)
        if not copied:
            return
        offset += copied


def _digest_of(
    folder_fd: int,
    name: str,
    status: os.stat_result,
    *,
    is_deep: bool,
    is_forced: bool = False,
) -> str:
    if stat.S_ISREG(status.st_mode) and (status.st_nlink > 1 or is_forced):
        with open_readable_file(folder_fd, name) as fd:
            return digest_of_file(fd) if fd is not None else ""
    if stat.S_ISDIR(status.st_mode) and is_deep:
        sums = hashlib.sha256()
        _sum_folder(sums, folder_fd, name, 0)
        return sums.hexdigest()
    return ""


def _sum_folder(sums: "hashlib._Hash", folder_fd: int, name: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise too_deep(name)
    with open_folder(folder_fd, name) as fd:
        for entry in names_in(fd):
            status = os.stat(entry, dir_fd=fd, follow_symlinks=False)
            signature = signature_of(status, digest=_digest_of(fd, entry, status, is_deep=False))
            sums.update(_line(entry, signature))
            if signature.is_folder:
                _sum_folder(sums, fd, entry, depth + 1)
        sums.update(b"\0")


def _line(name: str, signature: Signature) -> bytes:
    """Write what counts of an entry inside of a folder that goes: unambiguous and one record."""
    ctime_ns = 0 if signature.digest else signature.ctime_ns
    facts = (
        signature.mode,
        signature.uid,
        signature.gid,
        signature.size,
        signature.mtime_ns,
        ctime_ns,
        signature.inode,
        signature.digest,
    )
    return os.fsencode(name) + b"\0" + repr(facts).encode() + b"\n"
