"""Bytes into packs: what is known already is not stored again. Threads and processes share a session."""

import contextlib
import threading

from resile.errors import StoreError
from resile.store.backends.port import Upload
from resile.store.claims import EMPTY, Claims
from resile.store.format.frames import FileKind, FrameKind
from resile.store.format.packs import FileWriter, PackWriter
from resile.store.readback import read_back
from resile.store.repository import Repository

SOLID_BYTES = 1 << 20
"""Small blobs are compressed together up to this: 28 % smaller than alone (measured)."""
ALONE_BYTES = 256 << 10
"""A blob from here on gets a frame of its own."""
PACK_BYTES = 64 << 20
"""A pack is closed when it has reached this: few files, and a lost one is fetched in a second."""

_FRAME_KINDS = {FileKind.DATA_PACK: FrameKind.DATA, FileKind.TREE_PACK: FrameKind.TREE}


class Ingest:
    """What the packers of one session share. Safe to share between threads.

    Args:
        repository: Where the packs go; the caller holds its backend.
        doomed: Packs that will be removed: what stands in them alone is stored again.
        claims: What was taken on, where other processes take part. Default: none does.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        doomed: frozenset[str] = frozenset(),
        claims: Claims | None = None,
    ) -> None:
        self.repository = repository
        self.doomed = doomed
        self.claims = claims or Claims()
        self.new_bytes = 0
        self.stored_bytes = 0
        self._lock = threading.Lock()
        self._has_catalog = repository.catalog.has_blobs()

    def claim(self, blob_id: bytes) -> bool:
        """Tell whether the caller must store this blob: nobody has, and nobody else will."""
        before = self.claims.take(blob_id)
        if before == blob_id:
            return False
        # The catalog also knows what was forgotten, if its pack is published by now.
        is_asked = self._has_catalog or before != EMPTY
        return not (is_asked and self._is_stored(blob_id))

    def settle(self, name: str, pack: PackWriter) -> None:
        """Learn that a pack is published, and what is in it."""
        self.repository.catalog.add_pack(name, pack.length, pack.table())
        self.count(stored_bytes=pack.length)

    def count(self, *, new_bytes: int = 0, stored_bytes: int = 0) -> None:
        """Count what no snapshot had before, and what it takes."""
        with self._lock:
            self.new_bytes += new_bytes
            self.stored_bytes += stored_bytes

    def _is_stored(self, blob_id: bytes) -> bool:
        catalog = self.repository.catalog
        if not self.doomed:
            return catalog.has_blob(blob_id)
        return any(place.pack not in self.doomed for place in catalog.locate(blob_id))


class Packer:
    """Puts one thread's blobs into packs. Not thread-safe.

    Call `finish` when all is put, or `abandon`; only what a finished packer published is stored.
    """

    def __init__(self, ingest: Ingest, kind: FileKind) -> None:
        self._ingest = ingest
        self._kind = kind
        self._upload: Upload | None = None
        self._pack: PackWriter | None = None
        self._small: list[tuple[bytes, bytes]] = []
        self._small_bytes = 0

    def put(self, data: bytes) -> bytes:
        """Store a blob unless it is there; give its id.

        Raises:
            StoreDamagedError: If the place does not keep what is written to it.
            StoreError: If it could not be written.
        """
        blob_id = self._ingest.repository.keys.blob_id(data)
        if self._ingest.claim(blob_id):
            self._ingest.count(new_bytes=len(data))
            if len(data) >= ALONE_BYTES:
                self._add([(blob_id, data)])
            else:
                self._small.append((blob_id, data))
                self._small_bytes += len(data)
                if self._small_bytes >= SOLID_BYTES:
                    self._add_small()
        return blob_id

    def finish(self) -> None:
        """Publish what is open; durable, and read back, when it returns.

        Raises:
            StoreDamagedError: If the place does not keep what is written to it.
            StoreError: If it could not be written.
        """
        self._add_small()
        self._publish()

    def abandon(self) -> None:
        """Throw away what is open. Idempotent."""
        if self._upload is not None:
            with contextlib.suppress(StoreError):
                self._upload.abandon()
        self._upload = self._pack = None

    def _add_small(self) -> None:
        if self._small:
            self._add(self._small)
            self._small = []
            self._small_bytes = 0

    def _add(self, blobs: list[tuple[bytes, bytes]]) -> None:
        if self._pack is None:
            self._open()
        if self._pack is None:
            raise AssertionError("no pack is open")
        self._pack.add(blobs)
        if self._pack.length >= PACK_BYTES:
            self._publish()

    def _open(self) -> None:
        repository = self._ingest.repository
        self._upload = repository.backend.begin()
        file = FileWriter(
            self._upload,
            self._kind,
            keys=repository.keys,
            store_id=repository.store_id,
            coder=repository.coder(),
        )
        self._pack = PackWriter(file, _FRAME_KINDS[self._kind])

    def _publish(self) -> None:
        if self._pack is None:
            return
        name = self._pack.publish()
        read_back(self._ingest.repository.backend, name)
        self._ingest.settle(name, self._pack)
        self._upload = self._pack = None
