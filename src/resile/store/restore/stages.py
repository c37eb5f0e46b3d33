"""The folder beside a live one where a restore in place builds, and where the old waits.

    .resile-restore-HEX/       private, locked (flock) as long as its process lives
      new-N/NAME               what is built for the N-th place; after the exchange, what was there
      old-N/NAME               what was there, on file systems that cannot exchange
      record.json              which places, and by which inode the new is known; written before
                               the first exchange

What is kept of the old stays in it until the exchange; then each path moves over. Whichever of the two
is live in the end, it gets what the other one has of them: so a run that was cut off is finished or undone.

A place is told by its path from the folder that holds the stage.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from resile.core.files import replace_at, write_durable
from resile.core.kernel import exchange, move, sync_file_system
from resile.core.trees import FOLDER_FLAGS, remove_tree, status_of
from resile.errors import RejectedError, StoreDamagedError
from resile.store.restore.folders import (
    FOLDER_MODE,
    identity_of,
    keeping_times,
    open_below,
    strip_inherited,
)
from resile.store.restore.model import shown

STAGE_PREFIX = b".resile-restore-"
_RECORD = "record.json"
_RECORD_BYTES_MAX = 64 << 20
_VERSION = 2
_CANNOT_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}

Gate = Callable[[str], None]
"""Passed before each step, with the step's name: tests end the process's life there."""


class _Open:
    """Lets every step pass. A class, so that its repr is its name and no address."""

    def __call__(self, _step: str) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return "OPEN"


OPEN: Gate = _Open()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is exchanged.

    Args:
        path: Names from the folder that holds the stage.
        identity: Device and inode of what is put there.
        kept: Paths in it that are carried over from what is there before. The new has none of them,
            but the folders that they are in.
    """

    path: tuple[bytes, ...]
    identity: tuple[int, int]
    kept: tuple[bytes, ...] = ()


class Stage:
    """An open stage. Not thread-safe. Closing it lets the lock go and removes nothing.

    Args:
        home_fd: The folder that holds it; closed with the stage.
        name: Its name there.
        fd: It, open and locked.
        gate: Passed before each effect.
    """

    def __init__(self, home_fd: int, name: bytes, fd: int, *, gate: Gate) -> None:
        self.home_fd = home_fd
        self.name = name
        self.fd = fd
        self._gate = gate

    def close(self) -> None:
        """Let it go. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            os.close(self.home_fd)
            self.fd = self.home_fd = -1

    def make_room(self, index: int) -> int:
        """Make the folder in which the new of a place is built; the caller closes it."""
        self._gate("make_room")
        os.mkdir(_new(index), FOLDER_MODE, dir_fd=self.fd)
        return os.open(_new(index), FOLDER_FLAGS, dir_fd=self.fd)

    def write_record(self, places: list[Place]) -> None:
        """Note what is going to be put where; durable when it returns.

        Raises:
            OperationError: If it could not be written.
            RejectedError: If so much is kept that it could not be read again.
        """
        self._gate("write_record")
        data = _encode(places)
        if len(data) > _RECORD_BYTES_MAX:
            count = sum(len(place.kept) for place in places)
            raise RejectedError(
                f"the snapshot leaves out {count:,} paths of the live folder, too many to carry over",
                hint="leave whole folders out, or restore beside: resile restore ID --to DIR",
            )
        write_durable(self._record_path(), data)

    def read_record(self) -> list[Place] | None:
        """Read the note; None if there is none: then nothing was exchanged.

        Raises:
            StoreDamagedError: If it is damaged.
        """
        try:
            with self._record_path().open("rb") as file:
                data = file.read(_RECORD_BYTES_MAX)
        except FileNotFoundError:
            return None
        return _decode(data)

    def put(self, index: int, place: Place) -> None:
        """Put the new in its place and keep what was there; durable when it returns.

        Raises:
            OSError: If it could not be done; the old is there then, or back in `mend`'s reach.
        """
        name = place.path[-1]
        with self._folders(index, place) as (new_fd, live_fd):
            self._gate("put")
            if identity_of(live_fd, name) is None:
                _move(new_fd, name, live_fd)
            else:
                self._exchange(index, new_fd, live_fd, name)
            self._carry(index, place, live_fd)
            self._gate("sync")
            os.fsync(live_fd)
            os.fsync(new_fd)

    def take_back(self, index: int, place: Place) -> None:
        """Put the old in its place again; nothing happens where it is there already.

        Raises:
            OSError: If it could not be done.
        """
        name = place.path[-1]
        with self._folders(index, place) as (new_fd, live_fd):
            if identity_of(live_fd, name) == place.identity:
                self._gate("take_back")
                if identity_of(new_fd, name) is not None:
                    exchange(new_fd, name, live_fd, name)
                elif not self._is_put_over(index, live_fd, name):
                    _move(live_fd, name, new_fd)
            self._mend(index, live_fd, name)
            self._carry(index, place, live_fd)
            os.fsync(live_fd)

    def mend(self, index: int, place: Place) -> bool:
        """Bring back the old if its place is empty, and what is kept; tell whether the new is there.

        Raises:
            OSError: If it could not be done, or a folder on the way is gone.
        """
        live_fd = open_below(self.home_fd, place.path[:-1])
        try:
            self._mend(index, live_fd, place.path[-1])
            self._carry(index, place, live_fd)
            return identity_of(live_fd, place.path[-1]) == place.identity
        finally:
            os.close(live_fd)

    def remove(self) -> None:
        """Remove it with all that is in it.

        Raises:
            OSError: If something of it cannot be removed.
        """
        self._gate("remove")
        remove_tree(self.home_fd, self.name)
        os.fsync(self.home_fd)

    def _exchange(self, index: int, new_fd: int, live_fd: int, name: bytes) -> None:
        try:
            exchange(new_fd, name, live_fd, name)
        except OSError as exc:
            if exc.errno not in _CANNOT_EXCHANGE:
                raise
            with self._old_folder(index, is_made=True) as old_fd:
                rename_pair(new_fd, live_fd, old_fd, name, self._gate)

    def _is_put_over(self, index: int, live_fd: int, name: bytes) -> bool:
        """Put the old over the new at once, where both are no folders; tell whether that is done."""
        with contextlib.suppress(FileNotFoundError), self._old_folder(index) as old_fd:
            if not _is_folder(old_fd, name) and not _is_folder(live_fd, name):
                _replace(old_fd, name, live_fd)
                return True
        return False

    def _mend(self, index: int, live_fd: int, name: bytes) -> None:
        if identity_of(live_fd, name) is not None:
            return
        with contextlib.suppress(FileNotFoundError), self._old_folder(index) as old_fd:
            _move(old_fd, name, live_fd)
            os.fsync(live_fd)

    def _carry(self, index: int, place: Place, live_fd: int) -> None:
        """Give what is live in a place what the other one has of that which is kept; durable."""
        if not place.kept:
            return
        name = place.path[-1]
        with _opened(live_fd, name) as fd:
            for room in (_new(index), _old(index)):
                if _is_folder(self.fd, room + b"/" + name):
                    with _opened(self.fd, room, name) as other_fd:
                        for path in place.kept:
                            carry(other_fd, fd, path, self._gate)
            sync_file_system(self.fd)

    @contextlib.contextmanager
    def _old_folder(self, index: int, *, is_made: bool = False) -> Iterator[int]:
        name = _old(index)
        if is_made:
            os.mkdir(name, FOLDER_MODE, dir_fd=self.fd)
            os.fsync(self.fd)
        fd = os.open(name, FOLDER_FLAGS, dir_fd=self.fd)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _folders(self, index: int, place: Place) -> Iterator[tuple[int, int]]:
        """Open the room of a place, and the folder that the place is in."""
        with contextlib.ExitStack() as stack:
            new_fd = os.open(_new(index), FOLDER_FLAGS, dir_fd=self.fd)
            stack.callback(os.close, new_fd)
            live_fd = open_below(self.home_fd, place.path[:-1])
            stack.callback(os.close, live_fd)
            yield new_fd, live_fd

    def _record_path(self) -> Path:
        return Path(f"/proc/self/fd/{self.fd}/{_RECORD}")


def make_stage(home_fd: int, *, gate: Gate) -> Stage:
    """Make a stage in a folder; it owns `home_fd` from then on.

    Raises:
        OSError: If it could not be made.
    """
    gate("make_stage")
    name = STAGE_PREFIX + os.urandom(8).hex().encode()
    os.mkdir(name, FOLDER_MODE, dir_fd=home_fd)
    fd = os.open(name, FOLDER_FLAGS, dir_fd=home_fd)
    fcntl.flock(fd, fcntl.LOCK_EX)
    strip_inherited(fd)
    return Stage(home_fd, name, fd, gate=gate)


def open_stage(home_fd: int, name: bytes, *, gate: Gate) -> Stage | None:
    """Open a stage that a dead process left; None if one lives, or if it is not ours.

    It gets a descriptor of the home of its own.
    """
    try:
        fd = os.open(name, FOLDER_FLAGS, dir_fd=home_fd)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.fstat(fd).st_uid == os.geteuid()
    except OSError:
        is_ours = False
    if not is_ours:
        os.close(fd)
        return None
    return Stage(os.dup(home_fd), name, fd, gate=gate)


def rename_pair(new_fd: int, live_fd: int, old_fd: int, name: bytes, gate: Gate) -> None:
    """Exchange in two steps, where the file system has none.

    The old gets a second name and the new is then renamed over it. Of a folder, and where files have
    one name only, nothing is in place between the steps: whoever finds it so brings the old back
    (`Stage.mend`).
    """
    is_linked = not _is_folder(live_fd, name) and not _is_folder(new_fd, name)
    if is_linked:
        try:
            os.link(name, name, src_dir_fd=live_fd, dst_dir_fd=old_fd, follow_symlinks=False)
        except OSError:
            is_linked = False
    if not is_linked:
        _move(live_fd, name, old_fd)
    os.fsync(old_fd)
    gate("between")
    (_replace if is_linked else _move)(new_fd, name, live_fd)


def carry(source_fd: int, target_fd: int, path: bytes, gate: Gate) -> None:
    """Move a path from a folder to another one, if it is there; what it is in keeps its times.

    Raises:
        OSError: EEXIST if the other one has it, too; or if it could not be moved.
    """
    *above, name = path.split(b"/")
    try:
        source = open_below(source_fd, tuple(above))
    except FileNotFoundError:
        return
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, source)
        if status_of(source, name) is None:
            return
        target = stack.enter_context(_opened(target_fd, *above))
        if status_of(target, name) is not None:
            raise OSError(
                errno.EEXIST, f"{shown(path)} was made anew, and the one before it is kept, too"
            )
        gate("carry")
        with keeping_times(source), keeping_times(target):
            _move(source, name, target)


@contextlib.contextmanager
def _opened(top_fd: int, *names: bytes) -> Iterator[int]:
    fd = open_below(top_fd, names)
    try:
        yield fd
    finally:
        os.close(fd)


def _move(source_fd: int, name: bytes, target_fd: int) -> None:
    """Move to where nothing is; where the kernel cannot promise that, after a look just before."""
    try:
        move(source_fd, name, target_fd, name)
    except OSError as exc:
        if exc.errno not in _CANNOT_EXCHANGE:
            raise
        _replace(source_fd, name, target_fd)


def _replace(source_fd: int, name: bytes, target_fd: int) -> None:
    text = os.fsdecode(name)
    replace_at(text, text, source_fd=source_fd, target_fd=target_fd)


def _is_folder(folder_fd: int, name: bytes) -> bool:
    status = status_of(folder_fd, name)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _new(index: int) -> bytes:
    return b"new-%d" % index


def _old(index: int) -> bytes:
    return b"old-%d" % index


def _encode(places: list[Place]) -> bytes:
    rows = [
        [b"/".join(place.path).hex(), *place.identity, *(path.hex() for path in place.kept)]
        for place in places
    ]
    data: dict[str, Any] = {"version": _VERSION, "places": rows}
    data["check"] = _check(data)
    return json.dumps(data).encode()


def _decode(data: bytes) -> list[Place]:
    try:
        record = json.loads(data)
        check = record.pop("check")
        places = [
            Place(
                path=tuple(bytes.fromhex(path).split(b"/")),
                identity=(device, inode),
                kept=tuple(map(bytes.fromhex, kept)),
            )
            for path, device, inode, *kept in record["places"]
        ]
        if (check, record["version"]) == (_check(record), _VERSION):
            return places
        fault = "its checksum or its version is another one"
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        fault = str(exc)
    raise StoreDamagedError(
        f"the record of a restore that was cut off cannot be read: {fault}",
        hint="compare what is in the folder .resile-restore-... with what is beside it, "
        "then remove it by hand",
    )


def _check(record: dict[str, Any]) -> str:
    return blake3(json.dumps(record).encode()).hexdigest()
