"""The end of the chain in a file of its own, so that a cut tail is seen.

The file has two slots of one disk sector each; the older one is overwritten, so that a torn
write leaves the other. It is written after each commit, behind the commit, hence it is never
ahead of the journal: a journal that is shorter than its head file has lost records.

It is written without a sync, which costs microseconds and survives the death of the process; it
is synced every 4096 events or 5 seconds, when a segment is sealed and when the journal is
closed, because a sync at each commit would halve the journal's rate. After a power cut it may
therefore lag by that much, and a tail that is cut within this lag is not seen. Whoever must
exclude that exports the head to another machine (`resile journal verify --head SEQ:HASH`).
"""

import contextlib
import hashlib
import os
import struct
from pathlib import Path

from resile.core.clock import Clock
from resile.core.files import Files, write_durable
from resile.core.journal.chain import START
from resile.core.journal.port import Head

NAME = "head"
SYNC_EVENTS = 4096
SYNC_INTERVAL_S = 5.0

_SLOT_BYTES = 512
_SLOT = struct.Struct(">8sQ32s")
_MAGIC = b"resileh\x01"
_CHECKSUM_BYTES = 16


def read_head(folder: Path) -> Head | None:
    """Read the newest whole slot; None if the file is missing or both slots are damaged."""
    try:
        data = (folder / NAME).read_bytes()
    except OSError:
        return None
    return _newest(data)


def create_head(folder: Path, *, files: Files) -> None:
    """Make the head file of an empty journal; durable."""
    write_durable(folder / NAME, _slot(START) * 2, files=files)


class HeadFile:
    """The open head file. Not thread-safe; several processes may write it.

    Raises:
        OSError: From the constructor, if the file cannot be opened.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._fd = os.open(folder / NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._clock = clock
        self._synced_at_s = clock.monotonic()
        self._synced_seq = 0

    def write(self, head: Head) -> None:
        """Note a head unless a newer one is there; now and then durably.

        A write that fails is let go: the head then lags, and the next one is tried again.
        """
        with contextlib.suppress(OSError):
            slots = [_parse(os.pread(self._fd, _SLOT_BYTES, i * _SLOT_BYTES)) for i in (0, 1)]
            seqs = [-1 if slot is None else slot.seq for slot in slots]
            if max(seqs) < head.seq:
                os.pwrite(self._fd, _slot(head), seqs.index(min(seqs)) * _SLOT_BYTES)
            is_late = self._clock.monotonic() - self._synced_at_s >= SYNC_INTERVAL_S
            if is_late or head.seq - self._synced_seq >= SYNC_EVENTS:
                self._synced_seq = head.seq
                self.sync()

    def sync(self) -> None:
        """Make what was written durable; a failure is let go, as in `write`."""
        self._synced_at_s = self._clock.monotonic()
        with contextlib.suppress(OSError):
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Sync and let go of the file."""
        self.sync()
        os.close(self._fd)


def _slot(head: Head) -> bytes:
    body = _SLOT.pack(_MAGIC, head.seq, head.hash)
    return (body + _checksum(body)).ljust(_SLOT_BYTES, b"\0")


def _parse(data: bytes) -> Head | None:
    body, checksum = data[: _SLOT.size], data[_SLOT.size : _SLOT.size + _CHECKSUM_BYTES]
    if len(body) < _SLOT.size or _checksum(body) != checksum:
        return None
    _, seq, digest = _SLOT.unpack(body)
    return Head(seq=seq, hash=digest)


def _newest(data: bytes) -> Head | None:
    slots = (_parse(data[:_SLOT_BYTES]), _parse(data[_SLOT_BYTES:]))
    return max((s for s in slots if s is not None), key=lambda s: s.seq, default=None)


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECKSUM_BYTES]
