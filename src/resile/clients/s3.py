"""Objects in a bucket that speaks S3's protocol: put if new, read, list, copy, delete.

Each request is tried a few times with a growing pause while the service or the network fails, and
every wait ends. Credentials come from the environment or the machine's role, and show up nowhere.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from resile.clients._extras import require
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import OperationError

_EXTRA = "s3"
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_NO_RANGE = "416"
_CONFLICT = "409"
_CONFLICT_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6, 0.0)
"""After the last one no further try follows."""
_REDIRECTED = "Received redirect"
_NO_BUCKET = "NoSuchBucket"
_HINTS = {
    "301": "the bucket is in another region: set AWS_REGION, or write ?region=REGION",
    "400": "check the region and the endpoint",
    "401": "check the credentials in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
    "403": "check the credentials in the environment, and what they may do with the bucket",
    "404": "make the bucket, or check its name, the region and the endpoint",
    "507": "make room where the bucket lies",
}
_HINT_OF_NONE = (
    "is the endpoint right and reachable? Credentials are taken from AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or from the machine's role"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a request is waited for.

    Args:
        connect_timeout_s: For a connection.
        read_timeout_s: Between two pieces of an answer.
        request_timeout_s: For a request and its answer: a pack of 512 MiB at 2 MB/s.
        retries_max: Tries after the first one.
        retry_timeout_s: No new try begins later than this after the first one.
        pause_s_max: The longest pause between two tries; the first one is 0.1 s, each twice
            the one before.
    """

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    request_timeout_s: float = 300.0
    retries_max: int = 6
    retry_timeout_s: float = 60.0
    pause_s_max: float = 5.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object, as a listing shows it.

    Args:
        key: Below the prefix.
        size_bytes: Its length.
        modified_at: By the service's clock.
    """

    key: str
    size_bytes: int
    modified_at: datetime


class NoBucketError(OperationError):
    """There is no such bucket."""


class Bucket:
    """A bucket, or what is below a prefix of it. Safe to share between threads.

    Every method raises OperationError if the service says no or cannot be reached;
    `is_transient` tells if another try may help.

    Args:
        name: The bucket.
        prefix: Without slashes at its ends; empty: the whole bucket.
        endpoint: `https://host:port`; empty: AWS_ENDPOINT_URL, else Amazon's own.
        region: Empty: AWS_REGION, else `us-east-1`.
        patience: How long to wait.
        clock: Measures the pauses after a conflict.

    Raises:
        MissingExtraError: If obstore is not installed.
        OperationError: If the options make no sense together.
    """

    def __init__(
        self,
        name: str,
        *,
        prefix: str = "",
        endpoint: str = "",
        region: str = "",
        patience: Patience = PATIENCE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.endpoint = endpoint
        self.region = region
        self._clock = clock
        self._sdk = require("obstore", extra=_EXTRA)
        self._errors = require("obstore.exceptions", extra=_EXTRA)
        stores = require("obstore.store", extra=_EXTRA)
        options = {"endpoint": endpoint, "region": region}
        with self._speaking("could not be set up"):
            self._store = stores.S3Store(
                name,
                prefix=prefix or None,
                config={key: value for key, value in options.items() if value},
                client_options=_client_options(endpoint, patience),
                retry_config=_retries(patience),
            )

    def __repr__(self) -> str:
        return f"Bucket({self.name!r}, prefix={self.prefix!r})"

    def put_new(self, key: str, data: Any) -> bool:
        """Put an object, whole or not at all; False if there is one of this key.

        It may be False for one's own object: when the answer to the first try was lost.

        Args:
            key: Below the prefix.
            data: Bytes, or what gives them by the buffer protocol.
        """
        for pause_s in _CONFLICT_PAUSES_S:
            with self._speaking(f"{key} could not be put"):
                try:
                    self._sdk.put(self._store, key, data, mode="create", use_multipart=False)
                except (self._errors.AlreadyExistsError, self._errors.PreconditionError) as exc:
                    if _status(exc) != _CONFLICT:
                        return False
                    # Somebody puts it at this moment, and may yet fail: it is not there.
                    if not pause_s:
                        raise
                except FileNotFoundError:
                    raise self._no_bucket() from None
                else:
                    return True
            self._clock.sleep(pause_s)
        raise AssertionError("the last try raises")

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes | None:
        """Read an object, or a range of it; less where it ends before. None if there is none."""
        if length == 0:
            return b"" if self._exists(key) else None
        options: dict[str, Any] = {}
        if length is not None:
            options["range"] = (offset, offset + length)
        elif offset:
            options["range"] = {"offset": offset}
        with self._speaking(f"{key} could not be read"):
            try:
                return bytes(self._sdk.get(self._store, key, options=options).bytes())
            except FileNotFoundError as exc:
                self._check_bucket(exc)
                return None
            except self._errors.BaseError as exc:
                if _status(exc) == _NO_RANGE:
                    return b""
                raise

    def list(self, folder: str) -> Iterator[StoredObject]:
        """List the objects below a folder; `""` lists those that are in none."""
        with self._speaking("the bucket could not be listed"):
            if folder:
                pages = self._sdk.list(self._store, folder, chunk_size=1000)
                found = [entry for page in pages for entry in page]
            else:
                found = self._sdk.list_with_delimiter(self._store)["objects"]
        for entry in found:
            yield StoredObject(
                key=entry["path"], size_bytes=entry["size"], modified_at=entry["last_modified"]
            )

    def copy(self, source: str, target: str) -> bool:
        """Copy an object over another one, within the bucket; False if there is none."""
        with self._speaking(f"{source} could not be copied"):
            try:
                self._sdk.copy(self._store, source, target)
            except FileNotFoundError as exc:
                self._check_bucket(exc)
                return False
        return True

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if there is none."""
        with self._speaking(f"{key} could not be deleted"):
            try:
                self._sdk.delete(self._store, key)
            except FileNotFoundError as exc:
                self._check_bucket(exc)

    def _exists(self, key: str) -> bool:
        with self._speaking(f"{key} could not be found"):
            try:
                self._sdk.head(self._store, key)
            except FileNotFoundError:
                return False
        return True

    def _check_bucket(self, error: FileNotFoundError) -> None:
        if _code(error) == _NO_BUCKET:
            raise self._no_bucket() from None

    def _no_bucket(self) -> NoBucketError:
        return NoBucketError(f"there is no bucket {self.name}", hint=_HINTS["404"])

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Turn the SDK's errors into ours; its texts hold requests and are not repeated."""
        try:
            yield
        except (self._errors.BaseError, ValueError, FileNotFoundError) as exc:
            if _code(exc) == _NO_BUCKET:
                raise self._no_bucket() from None
            status = _status(exc)
            said = " ".join(part for part in (status, _code(exc)) if part)
            raise OperationError(
                f"{what} in bucket {self.name}: {said or 'no answer'}",
                hint=_HINTS.get(status, _HINT_OF_NONE),
                is_transient=status in ("", "408", _CONFLICT, "429") or status.startswith("5"),
            ) from None


def _client_options(endpoint: str, patience: Patience) -> dict[str, Any]:
    # Without the word the SDK refuses plain HTTP, or asks AWS_ALLOW_HTTP.
    allowed = {"allow_http": True} if endpoint.startswith("http://") else {}
    return {
        **allowed,
        "connect_timeout": timedelta(seconds=patience.connect_timeout_s),
        "read_timeout": timedelta(seconds=patience.read_timeout_s),
        "timeout": timedelta(seconds=patience.request_timeout_s),
    }


def _retries(patience: Patience) -> dict[str, Any]:
    return {
        "max_retries": patience.retries_max,
        "retry_timeout": timedelta(seconds=patience.retry_timeout_s),
        "backoff": {
            "init_backoff": timedelta(seconds=min(0.1, patience.pause_s_max)),
            "max_backoff": timedelta(seconds=patience.pause_s_max),
            "base": 2,
        },
    }


def _status(error: Exception) -> str:
    text = str(error)
    if found := _STATUS.search(text):
        return found[1]
    return "301" if _REDIRECTED in text else ""


def _code(error: Exception) -> str:
    found = _CODE.search(str(error))
    return found[1] if found else ""
