"""A store that is open in one process, opened in a worker of it as well."""

from pathlib import Path

from resile.store.backends.local import LocalBackend
from resile.store.catalog import Catalog
from resile.store.format.keys import Keys
from resile.store.format.records import decode_identity, encode_identity
from resile.store.repository import Repository
from resile.store.working import Plain

_CACHED_FRAMES = 3
"""A worker reads in the order of the packs; several of them share what memory there is."""


def described(repository: Repository) -> Plain | None:
    """Write down what a worker opens a store by. It may hold the key: for workers alone.

    None if no other process can open it: it lies in memory, or in a bucket, whose credentials
    stay here.
    """
    backend = repository.backend
    if not isinstance(backend, LocalBackend) or (place := backend.elsewhere()) is None:
        return None
    return (
        backend.url,
        place,
        encode_identity(repository.identity),
        repository.keys.secret,
        str(repository.catalog.path),
    )


def reopened(described: Plain) -> Repository:
    """Open the store that `described` wrote down; its catalog is taken as it is.

    Raises:
        StoreError: If the catalog cannot be opened.
    """
    url, place, identity, key, catalog = described
    return Repository(
        LocalBackend(Path(url), identity=place),
        identity=decode_identity(identity, url),
        keys=Keys(key),
        catalog=Catalog(Path(catalog)),
        cached_frames=_CACHED_FRAMES,
    )
