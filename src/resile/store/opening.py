"""Making a store, and opening one."""

import os
from collections.abc import Mapping
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import NotAStoreError, StoreDamagedError, StoreError, StoreKeyError
from resile.store.backends.port import Backend, put
from resile.store.catalog import Catalog, CatalogDamagedError
from resile.store.format.frames import CIPHER_NAMES, STORE_ID_BYTES
from resile.store.format.keys import Keys, make_key, read_key
from resile.store.format.records import decode_identity, encode_identity
from resile.store.model import Identity
from resile.store.repository import Repository

FORMAT_NAME = "format"
_OWN_NAMES = {"lock", "tmp", "lost+found"}


def create(
    backend: Backend,
    *,
    cache: Path,
    key: bytes | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Repository:
    """Make a store where none is, and open it.

    Args:
        backend: Where. A folder that holds other things is refused.
        cache: The folder for catalogs.
        key: 32 bytes, to encrypt it; None: it is not encrypted.
        clock: Stamps it.

    Raises:
        StoreError: If there is one, or it cannot be written.
    """
    is_taken = any(True for _ in backend.list(""))
    if not is_taken and _has_files(backend):
        raise _format_lost(backend)
    if is_taken or _has_strangers(backend):
        raise StoreError(
            f"{backend.url} is not empty", hint="give an empty or new folder for a new store"
        )
    keys = Keys(key)
    identity = Identity(
        store_id=os.urandom(STORE_ID_BYTES),
        created_at=clock.now(),
        cipher=CIPHER_NAMES[keys.cipher],
        key_id=keys.key_id,
    )
    if not put(backend, FORMAT_NAME, encode_identity(identity)):
        return open_store(backend, cache=cache, key=key, clock=clock)
    return _opened(backend, identity, keys, cache, clock)


def open_store(
    backend: Backend,
    *,
    cache: Path,
    key: bytes | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Repository:
    """Open a store, with its catalog in step.

    Args:
        backend: Where it is.
        cache: The folder for catalogs.
        key: Its key, if it is encrypted.
        clock: Stamps what is written.

    Raises:
        NotAStoreError: If there is none, or one of a version to come.
        StoreKeyError: If the key is missing or another one.
        StoreDamagedError: If the file `format` is damaged.
        StoreError: If it cannot be read.
    """
    identity = read_identity(backend)
    keys = Keys(key)
    if identity.key_id != keys.key_id:
        raise StoreKeyError(
            f"{backend.url} is encrypted with the key {identity.key_id}"
            if identity.key_id
            else f"{backend.url} is not encrypted",
            hint="give its key: --key-file FILE" if identity.key_id else "give no key",
        )
    return _opened(backend, identity, keys, cache, clock)


def open_or_create(
    backend: Backend,
    *,
    cache: Path,
    key_file: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Repository:
    """Open a store, or make it if nothing is there; likewise its key, if a file is named for one.

    Args: As `create`.

    Raises:
        ConfigError: If the key cannot be read or written.
        StoreError: As `create` and `open_store`.
    """
    is_new = not any(True for _ in backend.list(""))
    if is_new and key_file is not None and not key_file.exists():
        key: bytes | None = make_key(key_file)
    else:
        key = read_key(key_file) if key_file is not None else None
    return (create if is_new else open_store)(backend, cache=cache, key=key, clock=clock)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Give the folder of the catalogs: `$XDG_CACHE_HOME/resile/stores`."""
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "resile" / "stores"


def read_identity(backend: Backend) -> Identity:
    """Read which store this is.

    Raises:
        NotAStoreError: If there is none.
        StoreDamagedError: If the file is damaged.
    """
    try:
        data = backend.read(FORMAT_NAME)
    except StoreDamagedError as exc:
        if any(file.name == FORMAT_NAME for file in backend.list("")):
            raise
        if _has_files(backend):
            raise _format_lost(backend) from exc
        raise NotAStoreError(
            f"there is no store at {backend.url}",
            hint="the first snapshot makes one: resile snapshot DIR --store PLACE",
        ) from exc
    return decode_identity(data, backend.url)


def _opened(
    backend: Backend, identity: Identity, keys: Keys, cache: Path, clock: Clock
) -> Repository:
    def attempt() -> Repository:
        catalog = Catalog(cache / identity.store_id.hex() / "catalog.sqlite")
        repository = Repository(backend, identity=identity, keys=keys, catalog=catalog, clock=clock)
        try:
            repository.refresh()
        except BaseException:
            repository.close()
            raise
        return repository

    try:
        return attempt()
    except CatalogDamagedError:
        return attempt()  # It was thrown away.


def _has_files(backend: Backend) -> bool:
    """Tell whether files of a store are there."""
    return any(True for folder in ("snapshots", "packs") for _ in backend.list(folder))


def _format_lost(backend: Backend) -> NotAStoreError:
    return NotAStoreError(
        f"the store at {backend.url} has lost its file `format`",
        hint="bring it back: resile repair (with --key-file FILE if it is encrypted)",
    )


def _has_strangers(backend: Backend) -> bool:
    """Tell whether a folder has something in it that a store does not put there."""
    try:
        with os.scandir(backend.url) as entries:
            return any(entry.name not in _OWN_NAMES for entry in entries)
    except OSError:
        return False  # It is no folder, or not there yet; what else is wrong is told by writing.
