"""Turn what the operating system says into an error of a store, with what to do about it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from resile.errors import StoreError

_SPACE = "make room on the disk, or free some of the store: resile gc"
_GONE = "is its disk mounted? If the store is elsewhere now: --store PATH"
_FAILING = "the disk may be failing, see `dmesg`; copy the store elsewhere while it can be read"
_PERMITTED = "the store belongs to another user: run as that one, or choose another --store"
_HINTS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "the file system takes no file of this size: choose another disk",
    errno.EROFS: "the disk is mounted read-only; an error may have made it so, see `dmesg`",
    errno.EACCES: _PERMITTED,
    errno.EPERM: _PERMITTED,
    errno.ENOENT: _GONE,
    errno.ENOTDIR: "a store is a folder, and this is none: choose another --store",
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
    errno.ESTALE: _GONE,
    errno.EIO: _FAILING,
    errno.EMFILE: "close some files, or raise the limit: ulimit -n",
    errno.EOPNOTSUPP: "the file system has no hard links, which a store needs: choose another",
}
_TRANSIENT = frozenset(
    (
        errno.EAGAIN,
        errno.EBUSY,
        errno.EDQUOT,
        errno.EINTR,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ESTALE,
        errno.ETIMEDOUT,
    )
)


def store_error(what: str, error: OSError) -> StoreError:
    """Make the error that says what could not be done, and why."""
    return StoreError(
        f"{what}: {error.strerror or error}",
        hint=_HINTS.get(error.errno or 0, "check the disk and its permissions"),
        is_transient=error.errno in _TRANSIENT,
    )


@contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Raise StoreError for an OSError inside.

    Args:
        what: A sentence without its end, such as `/srv/store could not be listed`.
    """
    try:
        yield
    except OSError as exc:
        raise store_error(what, exc) from exc
