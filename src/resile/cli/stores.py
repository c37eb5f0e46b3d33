"""What the commands of the store share: finding it, opening it, texts and progress."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resile.cli.options import config_option, json_option
from resile.cli.output import clean, say
from resile.cli.places import find_places
from resile.core.units import format_size
from resile.errors import ConfigError

if TYPE_CHECKING:
    from resile.core.config import Config
    from resile.store import Backend, Repository, Snapshot

STORE_VARIABLE = "RESILE_STORE"
PARTIAL_CODE = 3
"""Something could not be read; the rest is done."""
ID_DIGITS = 10
_PROGRESS_EVERY_S = 0.1
_UNREAD_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """What the options of a command say.

    Args:
        place: `--store`.
        key_file: `--key-file`.
        config: `-c`.
    """

    place: str | None
    key_file: Path | None
    config: Path | None


def store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --store, --key-file, -c and --json; the command gets `options` and `as_json`."""

    @functools.wraps(function)
    def run(
        *args: Any, store: str | None, key_file: Path | None, config: Path | None, **more: Any
    ) -> Any:
        options = StoreOptions(place=store, key_file=key_file, config=config)
        return function(*args, options=options, **more)

    store = click.option(
        "--store",
        metavar="PLACE",
        help="A folder, or s3://BUCKET/PREFIX. Default: $RESILE_STORE, else that of resile.toml.",
    )
    key_file = click.option(
        "--key-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The key of an encrypted store.",
    )
    return store(key_file(config_option(json_option(run))))


@contextlib.contextmanager
def opened(
    options: StoreOptions, *, is_made: bool = False, replicas: Sequence["Backend"] | None = None
) -> Iterator["Repository"]:
    """Open the store that the options mean, and close it at the end.

    Says so, if there are snapshots that cannot be read.

    Args:
        options: Of the command.
        is_made: Make it if there is none, with a new key if a key file is named that is not there.
        replicas: Bring back first what the store cannot be opened without, from these second stores
            or from what its other files tell. None: nothing is brought back.

    Raises:
        ConfigError: If no store is named anywhere.
        NotAStoreError: If there is none.
        StoreKeyError: If the key is not the store's, or it has none.
        StoreError: If it cannot be opened.
    """
    from resile.store import cache_folder, create, make_key, open_backend, open_store, read_key

    place, key_file = place_of(options)
    backend = open_backend(place)
    cache = cache_folder(os.environ)
    is_new = is_made and not any(True for _ in backend.list(""))
    if is_new and key_file and not key_file.exists():
        key: bytes | None = make_key(key_file)
    else:
        key = read_key(key_file) if key_file else None
    if replicas is not None:
        _mend_format(backend, replicas, key)
    repository = (create if is_new else open_store)(backend, cache=cache, key=key)
    try:
        for name in repository.unreadable:
            say(f"warning: {name} cannot be read: resile verify")
        yield repository
    finally:
        repository.close()


def _mend_format(backend: "Backend", replicas: Sequence["Backend"], key: bytes | None) -> None:
    from resile.store import mend_format

    if done := mend_format(backend, replicas, key=key):
        say(f"{done.name} was mended from {done.detail}")


def state_of(options: StoreOptions) -> Path | None:
    """Give the state folder of the nearest system; None if there is none.

    Raises:
        ConfigError: If the configuration that is named is not there.
    """
    try:
        return find_places(options.config).state
    except ConfigError:
        if options.config is not None:
            raise
        return None


def config_of(options: StoreOptions) -> "Config | None":
    """Load the nearest configuration; None if there is none.

    Raises:
        ConfigError: If the configuration is wrong.
    """
    return _config_of(options.config, is_needed=False)


def wants_parity(options: StoreOptions) -> bool:
    """Tell whether the configuration, if there is one, asks for parity.

    Raises:
        ConfigError: If the configuration is wrong.
    """
    if options.config is None and (options.place or os.environ.get(STORE_VARIABLE)):
        return False
    config = _config_of(options.config, is_needed=False)
    return config is not None and config.store.parity


def replica_of(options: StoreOptions) -> str:
    """Give the second store of the configuration; empty if there is none.

    Raises:
        ConfigError: If the configuration is wrong.
    """
    try:
        config = _config_of(options.config, is_needed=True)
    except ConfigError:
        if options.config is not None:
            raise
        return ""
    return config.store.replica if config else ""


def snapshot_data(snapshot: "Snapshot") -> dict[str, Any]:
    """Write a snapshot for `--json`."""
    counts = snapshot.counts
    return {
        "id": snapshot.snapshot_id,
        "source": snapshot.source,
        "host": snapshot.host,
        "user": snapshot.user,
        "started_at": snapshot.started_at.isoformat(),
        "finished_at": snapshot.finished_at.isoformat(),
        "tags": list(snapshot.tags),
        "parent": snapshot.parent or None,
        "files": counts.files,
        "folders": counts.folders,
        "bytes": counts.bytes,
        "new_bytes": counts.new_bytes,
        "stored_bytes": counts.stored_bytes,
        "excludes": list(snapshot.excludes),
        "one_file_system": snapshot.is_one_file_system,
        "unread": [{"path": one.path, "reason": one.reason} for one in snapshot.unread],
    }


def say_unread(snapshot: "Snapshot") -> None:
    """Say what could not be read when a snapshot was taken."""
    for one in snapshot.unread[:_UNREAD_SHOWN_MAX]:
        say(clean(f"not read: {one.path or '...'}: {one.reason}"))
    if (more := len(snapshot.unread) - _UNREAD_SHOWN_MAX) > 0:
        say(f"and {more} more: --json lists them")


def local_time(moment: datetime) -> str:
    """Write a time as people here do."""
    # At the ends of the calendar there is no other place's time.
    with contextlib.suppress(OverflowError):
        moment = moment.astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def shown(path: bytes) -> str:
    """Write a path for people and JSON."""
    return path.decode("utf-8", "backslashreplace")


class Progress:
    """One line on a terminal that says how far it is; nothing in a pipe. Not thread-safe."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = sys.stderr.isatty()
        self._next_s = 0.0

    def __call__(self, files: int, size_bytes: int) -> None:
        """Say how many files and bytes are done."""
        if not self._is_shown:
            return
        from resile.core.clock import SYSTEM_CLOCK

        now_s = SYSTEM_CLOCK.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _PROGRESS_EVERY_S
            text = f"{self._what}: {files:,} files, {format_size(size_bytes)}"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Clear the line."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def place_of(options: StoreOptions) -> tuple[str, Path | None]:
    """Find where the store is: the option, the environment, the configuration."""
    place = options.place or os.environ.get(STORE_VARIABLE, "")
    if place and options.config is None:
        return place, options.key_file
    config = _config_of(options.config, is_needed=not place)
    if config is None:
        return place, options.key_file
    key_file = options.key_file or config.store.key_file
    return place or config.store.place or str(_state_of(options.config) / "store"), key_file


def _config_of(file: Path | None, *, is_needed: bool) -> "Config | None":
    try:
        found = find_places(file).config
    except ConfigError as exc:
        if file is not None:
            raise
        if not is_needed:
            return None
        raise ConfigError(
            "no store is named, and there is no resile.toml here",
            hint="name one: --store FOLDER, or RESILE_STORE=FOLDER",
        ) from exc
    # Loading what checks a configuration takes 0.1 s, so only who has one waits for it.
    from resile.core.config import load_config

    return load_config(found, environ=os.environ)


def _state_of(file: Path | None) -> Path:
    return find_places(file).state
