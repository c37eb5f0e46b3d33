"""Find the backend that a path or a URL means."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from resile.errors import ConfigError
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend
from resile.store.backends.port import Backend

_KNOWN = "write a folder, file:///FOLDER, s3://BUCKET/PREFIX, or memory:"

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9_./-]{0,512}", re.ASCII)
_BUCKET_OPTIONS = ("endpoint", "region")


def open_backend(place: str | Path) -> Backend:
    """Give the backend for a place; neither looks at it nor makes it.

    Args:
        place: A folder (`~` is the home), `file:///folder`, `s3://bucket/prefix` or `memory:`,
            which is a new and empty one each time. A bucket takes `?endpoint=URL` and
            `&region=NAME`; credentials come from the environment or the machine's role, because
            a URL ends up in shells' histories and logs.

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
    if scheme == "s3":
        return _bucket(place)
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


def _bucket(url: str) -> Backend:
    # Here, as nobody else needs what it loads.
    from resile.clients.s3 import Bucket
    from resile.store.backends.s3 import S3Backend

    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        # Not chained: it repeats the URL, which may hold a password.
        raise ConfigError("the URL of the bucket cannot be read", hint=_KNOWN) from None
    prefix = parts.path.strip("/")
    _check_bucket_url(url, parts.netloc, prefix, options)
    return S3Backend(
        Bucket(
            parts.netloc,
            prefix=prefix,
            endpoint=options.get("endpoint", ""),
            region=options.get("region", ""),
        )
    )


def _check_bucket_url(url: str, name: str, prefix: str, options: dict[str, str]) -> None:
    if "@" in url:
        raise ConfigError(
            "a bucket's URL holds no credentials",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment instead",
        )
    if unknown := sorted(options.keys() - set(_BUCKET_OPTIONS)):
        raise ConfigError(
            f"a bucket's URL has no option {unknown[0][:40]!r}",
            hint=f"it may have {' and '.join(_BUCKET_OPTIONS)}",
        )
    if not _BUCKET_NAME.fullmatch(name):
        raise ConfigError("a bucket's name has 3 to 63 of a-z, 0-9, - and .", hint=_KNOWN)
    if not _PREFIX.fullmatch(prefix) or "//" in prefix:
        raise ConfigError("a prefix is made of letters, digits, -, _, . and single /", hint=_KNOWN)
    if not options.get("endpoint", "https://").startswith(("http://", "https://")):
        raise ConfigError("an endpoint begins with https:// or http://", hint=_KNOWN)
