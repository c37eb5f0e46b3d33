"""An open store: its keys, its catalog in step with its files, and reading by id."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import StoreDamagedError, StoreError
from resile.store.backends.port import Backend
from resile.store.catalog import Catalog, Location
from resile.store.checking import read_table
from resile.store.format.frames import (
    HEADER_BYTES,
    Cipher,
    FileKind,
    FrameKind,
    decode_header,
)
from resile.store.format.keys import Box, Keys
from resile.store.format.packs import (
    Coder,
    FileWriter,
    PackTable,
    open_frame,
    read_record,
)
from resile.store.format.records import (
    decode_snapshot,
    encode_snapshot,
)
from resile.store.format.trees import Plain, decode_ids, decode_plain, decode_tree
from resile.store.model import Entry, Identity, Snapshot
from resile.store.naming import find_snapshot
from resile.store.readback import read_back

CACHED_FRAMES = 12
"""Decoded frames that are kept, of 1 to 4 MiB: neighbours are read together."""
_ASK_EVERY_S = 5.0


class Repository:
    """A store that is open. Safe to share between threads.

    Args:
        backend: Where it is.
        identity: Which it is.
        keys: Its keys.
        catalog: Its catalog; closed with it.
        clock: Stamps what is written.
        cached_frames: So many decoded frames are kept. Default 12.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        identity: Identity,
        keys: Keys,
        catalog: Catalog,
        clock: Clock = SYSTEM_CLOCK,
        cached_frames: int = CACHED_FRAMES,
    ) -> None:
        self.backend = backend
        self.identity = identity
        self.keys = keys
        self.catalog = catalog
        self.clock = clock
        self.unreadable: tuple[str, ...] = ()
        """Files of snapshots that could not be read at the last `refresh`."""
        self._local = threading.local()
        self._ask_from_s = 0.0
        self._lock = threading.Lock()
        self._cached_frames = cached_frames
        self._frames: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._boxes: dict[str, Box] = {}
        self._located: dict[bytes, Location] = {}

    @property
    def store_id(self) -> bytes:
        """Which store this is."""
        return self.identity.store_id

    def close(self) -> None:
        """Close the catalog. Idempotent."""
        self.catalog.close()

    def coder(self) -> Coder:
        """Give this thread's coder."""
        if not hasattr(self._local, "coder"):
            self._local.coder = Coder()
        return self._local.coder  # type: ignore[no-any-return]

    def refresh(self) -> None:
        """Bring the catalog in step with what the store holds now.

        Raises:
            StoreError: If the store cannot be read. A damaged pack or snapshot is left out: what
                is in it is unknown, and `verify` tells.
        """
        known = self.catalog.packs()
        there = {file.name: file.size_bytes for file in self.backend.list("packs")}
        if gone := known.keys() - there.keys():
            self.catalog.doubt()
        for name in gone:
            self.catalog.drop_pack(name)
        for name in sorted(there.keys() - known.keys()):
            with contextlib.suppress(StoreDamagedError):
                self.catalog.add_pack(name, there[name], self.read_table(name, there[name]))
        self._refresh_snapshots()

    def read_table(self, name: str, size: int) -> PackTable:
        """Read what is in a pack, from the pack itself.

        Raises:
            StoreDamagedError: If its end, its table or its header is damaged.
        """
        return read_table(self.backend, name, size, keys=self.keys, coder=self.coder())

    def read_blob(self, blob_id: bytes) -> bytes:
        """Read a blob, and check that it is the one with this id.

        Raises:
            StoreDamagedError: If no healthy copy of it is in the store.
        """
        try:
            return self._read_blob(blob_id)
        except StoreDamagedError:
            if not self._has_moved():
                raise
        return self._read_blob(blob_id)

    def _read_blob(self, blob_id: bytes) -> bytes:
        failure: StoreDamagedError | None = None
        for place in self._places_of(blob_id):
            try:
                raw = self._read_frame(place)
            except StoreDamagedError as exc:
                failure = exc
                continue
            data = raw[place.start : place.start + place.length]
            if self.keys.is_id_of(data, blob_id):
                return data
            failure = StoreDamagedError(
                f"{place.pack} holds other bytes than its table says", name=place.pack
            )
        raise failure or StoreDamagedError(f"the blob {blob_id.hex()} is missing")

    def _has_moved(self) -> bool:
        """Tell whether another machine has written packs anew; then the catalog is in step again.

        A long restore meets that. It is asked now and then: of a damaged store many blobs are lost.
        """
        now_s = self.clock.monotonic()
        with self._lock:
            if now_s < self._ask_from_s:
                return False
            self._ask_from_s = now_s + _ASK_EVERY_S
        known = self.catalog.packs()
        if all(file.name in known for file in self.backend.list("packs")):
            return False
        self.refresh()
        return True

    def locate_all(self, blob_ids: Sequence[bytes]) -> list[tuple[str, int, int]]:
        """Give keys to sort by, so that blobs which stand together are read together.

        The places are remembered until the next call, so that reading need not ask again.
        """
        found = self._located = self.catalog.locate_all(blob_ids)
        keys = {
            blob_id: (place.pack, place.frame.offset, place.start)
            for blob_id, place in found.items()
        }
        return [keys.get(blob_id, ("", 0, 0)) for blob_id in blob_ids]

    def place_of(self, blob_id: bytes) -> Location | None:
        """Give what `locate_all` found for a blob, or `remember` was told; None if nothing."""
        return self._located.get(blob_id)

    def remember(self, places: dict[bytes, Location]) -> None:
        """Take over what another process located, so that reading need not ask, until the next call."""
        self._located = places

    def tree(self, tree_id: bytes) -> list[Entry]:
        """Read a folder: all of its entries.

        Raises:
            StoreDamagedError: If it is missing or damaged.
        """
        return self.tree_with_parts(tree_id)[0]

    def tree_with_parts(self, tree_id: bytes) -> tuple[list[Entry], tuple[bytes, ...]]:
        """Read a folder: all of its entries, and the ids of the blobs that hold parts of it.

        Raises:
            StoreDamagedError: If it is missing or damaged.
        """
        what = f"the folder {tree_id.hex()[:16]}"
        entries, parts = decode_tree(self.read_blob(tree_id), what)
        found = list(entries)
        for part in parts:
            entries, below = decode_tree(self.read_blob(part), what)
            if below or (found and entries and entries[0].name <= found[-1].name):
                raise StoreDamagedError(f"{what} has parts that do not follow each other")
            found.extend(entries)
        return found, parts

    def plain_tree(self, tree_id: bytes) -> list[Plain]:
        """Read a folder that a snapshot of ours has, its entries as JSON: for taking them over.

        Raises:
            StoreDamagedError: If it is missing or damaged.
        """
        what = f"the folder {tree_id.hex()[:16]}"
        found, parts = decode_plain(self.read_blob(tree_id), what)
        for part in parts:
            found = found + decode_plain(self.read_blob(part), what)[0]
        return found

    def chunks(self, entry: Entry) -> tuple[bytes, ...]:
        """Give the ids of a file's blobs, in order.

        Raises:
            StoreDamagedError: If the list is missing or damaged.
        """
        if not entry.lists:
            return entry.chunks
        return tuple(
            chunk
            for part in entry.lists
            for chunk in decode_ids(self.read_blob(part), f"the list {part.hex()[:16]}")
        )

    def snapshots(self) -> list[Snapshot]:
        """List the snapshots, oldest first."""
        found = [decode_snapshot(data, name) for name, data in self.catalog.snapshots().items()]
        return sorted(found, key=lambda one: (one.started_at, one.snapshot_id))

    def find(self, name: str, *, source: str = "") -> Snapshot:
        """Find a snapshot by `latest` (none that a restore took), its id, or the beginning of its id.

        Args:
            name: At least 4 digits, or `latest`.
            source: With `latest`: of this folder; empty: of any.

        Raises:
            UnknownSnapshotError: If there is none, or several begin so, or the name is too short.
        """
        return find_snapshot(self.snapshots(), name, source=source)

    def put_snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Store a snapshot's record; durable when it returns. Gives it with its id.

        Raises:
            StoreError: If it could not be written.
        """
        name = self.put_record("snapshots", FileKind.SNAPSHOT, encode_snapshot(snapshot))
        return self._learn_snapshot(name)

    def has_snapshot(self, snapshot: Snapshot) -> bool:
        """Tell whether the store has a snapshot's record as it was written; the catalog is not asked."""
        try:
            self.read_record(f"snapshots/{snapshot.snapshot_id}", FileKind.SNAPSHOT)
        except StoreError:
            return False
        return True

    def put_record(self, folder: str, kind: FileKind, record: bytes) -> str:
        """Store a small file of one record; give its name. Durable, and read back, when it returns.

        Raises:
            StoreDamagedError: If the place does not keep what is written to it.
            StoreError: If it could not be written.
        """
        upload = self.backend.begin()
        try:
            file = FileWriter(
                upload, kind, keys=self.keys, store_id=self.store_id, coder=self.coder()
            )
            file.add_frame(FrameKind.RECORD, record)
            name, _ = file.publish(folder)
        finally:
            upload.abandon()
        read_back(self.backend, name)
        return name

    def read_record(self, name: str, kind: FileKind) -> bytes:
        """Read a small file of one record.

        Raises:
            StoreDamagedError: If it is missing or damaged.
        """
        return self._open_record(self.backend.read(name), name, kind)

    def rebuild(self) -> None:
        """Make the catalog anew from the store.

        Raises:
            StoreError: If the store cannot be read.
        """
        self.catalog.clear()
        self.look_again()
        self.refresh()

    def look_again(self) -> None:
        """Forget what was read: what is read next is what is there now.

        A header that was damaged gave a key that opens nothing, and a frame that is damaged since
        is still good in memory.
        """
        with self._lock:
            self._boxes.clear()
            self._frames.clear()

    def _refresh_snapshots(self) -> None:
        known = self.catalog.snapshots()
        there = {file.name for file in self.backend.list("snapshots")}
        for name in known.keys() - there:
            self.catalog.drop_snapshot(name)
        unreadable = []
        for name in sorted(there - known.keys()):
            try:
                self._learn_snapshot(name)
            except StoreDamagedError:
                unreadable.append(name)
        self.unreadable = tuple(unreadable)

    def _learn_snapshot(self, name: str) -> Snapshot:
        file = self.backend.read(name)
        record = self._open_record(file, name, FileKind.SNAPSHOT)
        snapshot = decode_snapshot(record, name)
        self.catalog.add_snapshot(name, record, file)
        return snapshot

    def _open_record(self, file: bytes, name: str, kind: FileKind) -> bytes:
        return read_record(file, kind, keys=self.keys, coder=self.coder(), name=name)

    def _places_of(self, blob_id: bytes) -> Iterator[Location]:
        """Give where a blob stands: first where it was found last, then every place."""
        located = self._located.get(blob_id)
        if located is not None:
            yield located
        yield from self.catalog.locate(blob_id)

    def _read_frame(self, place: Location) -> bytes:
        key = (place.pack, place.frame.offset)
        with self._lock:
            if (raw := self._frames.get(key)) is not None:
                self._frames.move_to_end(key)
                return raw
        data = self.backend.read(place.pack, place.frame.offset, place.frame.length)
        raw = open_frame(
            data,
            place.frame.offset,
            box=self.box(place.pack),
            coder=self.coder(),
            name=place.pack,
        )
        with self._lock:
            self._frames[key] = raw
            if len(self._frames) > self._cached_frames:
                self._frames.popitem(last=False)
        return raw

    def box(self, name: str) -> Box:
        """Give what opens the frames of a file; of an encrypted store its header is read."""
        if self.keys.cipher is Cipher.NONE:
            return _OPEN_BOX
        box = self._boxes.get(name)
        if box is None:
            header = decode_header(self.backend.read(name, 0, HEADER_BYTES), name)
            box = self.keys.box(header, name)
            self._boxes[name] = box
        return box


_OPEN_BOX = Box(None, b"", "")
