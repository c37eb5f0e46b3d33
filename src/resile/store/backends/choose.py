"""Find the backend that a path or a URL means."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from resile.errors import ConfigError
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.backends.port import Backend

_KNOWN = "write a folder, file:///FOLDER, s3://BUCKET/PREFIX, or memory:"


def open_backend(place: str | Path) -> Backend:
    """Give the backend for a place; neither looks at it nor makes it.

    Args:
        place: A folder (`~` is the home), `file:///folder`, `s3://bucket/prefix` or `memory:`,
            which is a new and empty one each time.

    Raises:
        ConfigError: If it is none of these.
        MissingExtraError: If it needs a package that is not installed.
    """
    if isinstance(place, Path):
        return LocalBackend(place)
    if place == "memory:":
        return MemoryBackend()
    scheme, separator, _ = place.partition("://")
    if not separator:
        return _local(place)
    if scheme == "file":
        return _local(_path_of(place))
    raise ConfigError(f"{scheme[:40]!r} is no kind of store", hint=_KNOWN)


def _local(path: str) -> LocalBackend:
    if not path or "\0" in path:
        raise ConfigError("a store's path is empty or has a zero byte", hint=_KNOWN)
    return LocalBackend(Path(path).expanduser())


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigError("a file URL has three slashes and a full path", hint=_KNOWN)
    return unquote(parts.path)
