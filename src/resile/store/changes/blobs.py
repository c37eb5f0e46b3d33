"""Contents that are too big for the log: files beside it, named by their hash."""

import contextlib
import os
from pathlib import Path

from blake3 import blake3

from resile.core.files import make_private_dir, write_atomic
from resile.core.kernel import sync_file_system
from resile.errors import StoreDamagedError, StoreError


class LocalBlobs:
    """A `BlobSink` in a folder. One writer at a time; readers may come at any time.

    Args:
        folder: Where; made when the first blob comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> bytes:
        """Keep it, durable when this returns; give its BLAKE3.

        Raises:
            StoreError: If it could not be kept.
        """
        blob_id = self.put_soon(data)
        self.sync()
        return blob_id

    def put_soon(self, data: bytes) -> bytes:
        """Keep it, durable after `sync`: many share one.

        Raises:
            StoreError: If it could not be kept.
        """
        blob_id = blake3(data).digest()
        if not self.has(blob_id):
            make_private_dir(self._folder)
            write_atomic(self._path(blob_id), data)
        return blob_id

    def sync(self) -> None:
        """Make what was put durable; nothing happens where there is nothing.

        Raises:
            StoreError: If it could not be.
        """
        try:
            fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            sync_file_system(fd)
        except OSError as exc:
            raise StoreError(
                f"blobs in {self._folder} could not be made durable: {exc.strerror}",
                is_transient=True,
            ) from exc
        finally:
            os.close(fd)

    def read(self, blob_id: bytes) -> bytes:
        """Read a blob.

        Raises:
            StoreDamagedError: If it is missing, or is not what was put.
        """
        try:
            data = self._path(blob_id).read_bytes()
        except OSError as exc:
            raise StoreDamagedError(
                f"blob {blob_id.hex()[:16]} of the log cannot be read: {exc.strerror}",
                name=blob_id.hex(),
            ) from exc
        if blake3(data).digest() != blob_id:
            raise StoreDamagedError(
                f"blob {blob_id.hex()[:16]} of the log is not what was put in", name=blob_id.hex()
            )
        return data

    def has(self, blob_id: bytes) -> bool:
        """Tell whether a blob is there, whole: a power cut may have torn one."""
        with contextlib.suppress(StoreDamagedError):
            self.read(blob_id)
            return True
        return False

    def size_bytes(self) -> int:
        """Sum up what is there."""
        if not self._folder.is_dir():
            return 0
        return sum(path.stat().st_size for path in self._folder.iterdir())

    def sweep(self, kept: set[bytes]) -> int:
        """Remove all but these; give how many were removed.

        Raises:
            OSError: If one could not be.
        """
        if not self._folder.is_dir():
            return 0
        names = {blob_id.hex() for blob_id in kept}
        gone = [path for path in self._folder.iterdir() if path.name not in names]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _path(self, blob_id: bytes) -> Path:
        return self._folder / blob_id.hex()
