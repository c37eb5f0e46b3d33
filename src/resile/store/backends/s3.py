"""A store in a bucket that speaks S3's protocol."""

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode

from resile.clients.s3 import Bucket
from resile.errors import ConfigError, OperationError, StoreDamagedError, StoreError
from resile.store.backends.names import check_folder, check_name, is_name
from resile.store.backends.port import StoredFile

_MEMORY_BYTES_MAX = 8 << 20
"""What an upload keeps in memory; the rest waits on the disk."""


class S3Backend:
    """Files as objects below a prefix. Safe to share between threads.

    An object appears whole, and only where none of its name is (`If-None-Match`), so that
    nothing is locked: `hold` does nothing, and who removes files waits a grace time before.

    Args:
        bucket: Where the objects are.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __repr__(self) -> str:
        return f"S3Backend({self.url!r})"

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`, with the endpoint and the region if they were given."""
        place = "/".join(filter(None, (f"s3://{self._bucket.name}", self._bucket.prefix)))
        given = {"endpoint": self._bucket.endpoint, "region": self._bucket.region}
        options = urlencode({key: value for key, value in given.items() if value}, safe=":/")
        return f"{place}?{options}" if options else place

    @property
    def is_read_back(self) -> bool:
        """The service compares what it got with the hash that the request is signed with."""
        return False

    def begin(self) -> "S3Upload":
        """Begin a new file, in memory first."""
        return S3Upload(self._bucket, self.url)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read a file, or a range of it."""
        check_name(name)
        with _failing(self.url):
            found = self._bucket.get(name, offset, length)
        if found is None:
            raise StoreDamagedError(f"{name} is missing in {self.url}", name=name)
        return found

    def list(self, folder: str) -> Iterator[StoredFile]:
        """List a folder; objects that cannot be files of a store are left out."""
        check_folder(folder)
        with _failing(self.url):
            found = list(self._bucket.list(folder))
        return (
            StoredFile(name=it.key, size_bytes=it.size_bytes, modified_at=it.modified_at)
            for it in found
            if is_name(it.key) and it.key.rpartition("/")[0] == folder
        )

    def remove(self, name: str) -> None:
        """Remove a file."""
        check_name(name)
        with _failing(self.url):
            self._bucket.delete(name)

    def copy(self, source: str, target: str) -> None:
        """Copy a file, within the bucket."""
        check_name(source)
        check_name(target)
        if source != target:
            with _failing(self.url):
                self._bucket.copy(source, target)

    def move(self, source: str, target: str) -> None:
        """Copy a file, then remove it: a crash between leaves both."""
        check_name(source)
        check_name(target)
        if source == target:
            return
        with _failing(self.url):
            if self._bucket.copy(source, target):
                self._bucket.delete(source)

    @contextmanager
    def hold(self, *, is_exclusive: bool) -> Iterator[None]:
        """Nothing can be held in a bucket: grace times protect."""
        del is_exclusive
        yield

    def sweep(self) -> int:
        """Nothing is there before it is whole."""
        return 0


class S3Upload:
    """A file that is collected here and then put at once. Not thread-safe."""

    def __init__(self, bucket: Bucket, url: str) -> None:
        self._bucket = bucket
        self._url = url
        self._file: Any = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by `_end`
            max_size=_MEMORY_BYTES_MAX
        )
        self._size_bytes = 0
        self._error: StoreError | None = None

    def write(self, data: bytes) -> None:
        """Append."""
        self._check_alive()
        try:
            with _waiting("kept"):
                self._file.write(data)
        except StoreError as exc:
            self._end(exc)
            raise
        self._size_bytes += len(data)

    def publish(self, name: str) -> bool:
        """Put it; False if the name was taken."""
        self._check_alive()
        check_name(name)
        try:
            with _failing(self._url), self._content() as content:
                is_new = self._bucket.put_new(name, content)
        except StoreError as exc:
            self._end(exc)
            raise
        self._end()
        return is_new

    def abandon(self) -> None:
        """Throw it away."""
        self._end()

    @contextmanager
    def _content(self) -> Iterator[Any]:
        """Give all of it; what is on the disk is mapped, so that it needs no memory of its own."""
        with _waiting("read"):
            self._file.flush()
            if self._size_bytes <= _MEMORY_BYTES_MAX:
                self._file.seek(0)
                content: Any = self._file.read()
            else:
                content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(content) != self._size_bytes:
            raise StoreError(
                f"an upload to {self._url} lost what was written to {tempfile.gettempdir()}",
                hint="the disk may be failing, see `dmesg`",
            )
        # A mapping is not closed here: a request that was given up may still be sending it.
        yield content

    def _check_alive(self) -> None:
        if self._error:
            raise self._error
        if self._file.closed:
            raise AssertionError("the upload has ended")

    def _end(self, error: StoreError | None = None) -> None:
        self._error = self._error or error
        # A full disk may say so again; what is lost here was to be thrown away.
        with suppress(OSError):
            self._file.close()


@contextmanager
def _waiting(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(
            f"an upload could not be {what} in {tempfile.gettempdir()}: {exc.strerror or exc}",
            hint="uploads wait there: make room, or name another folder by TMPDIR",
            is_transient=True,
        ) from exc


@contextmanager
def _failing(url: str) -> Iterator[None]:
    try:
        yield
    except (StoreError, ConfigError):
        raise
    except OperationError as exc:
        raise StoreError(
            f"{url}: {exc.message}", hint=exc.hint, is_transient=exc.is_transient
        ) from exc
