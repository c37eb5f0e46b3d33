"""Bringing back the file `format`, without which a store cannot be opened.

A second store has the same file. Where there is none, every other file of the store tells what was in it: its
header has the store's id and the cipher, and the key gives its own id.
"""

import contextlib
from collections.abc import Iterator, Sequence

from resile.errors import NotAStoreError, ResileError, StoreDamagedError, StoreError, StoreKeyError
from resile.store.backends.port import Backend, StoredFile, put
from resile.store.checking import hashed_windows, read_table
from resile.store.format.frames import (
    CIPHER_NAMES,
    HEADER_BYTES,
    Cipher,
    FileHeader,
    FileKind,
    decode_header,
)
from resile.store.format.keys import Keys
from resile.store.format.packs import Coder, read_record
from resile.store.format.records import decode_identity, encode_identity
from resile.store.model import Identity
from resile.store.opening import FORMAT_NAME, read_identity
from resile.store.repairing import Mended, Origin, replace_file

_FOLDERS = ("snapshots", "packs")


def mend_format(
    backend: Backend, replicas: Sequence[Backend] = (), *, key: bytes | None = None
) -> Mended | None:
    """Bring the file `format` back; None if it is good.

    It is taken from a second store whose id is the one that the files of this store tell, or made
    anew from these files. Then its `created_at` is the time of the oldest file.

    Args:
        backend: Where the store is.
        replicas: Second stores, the best first.
        key: Its key, if it is encrypted; needed only where no second store has the file.

    Raises:
        NotAStoreError: If there is no store, or one of a version to come.
        StoreKeyError: If the key is needed and missing, or another one.
        StoreDamagedError: If nothing is left that tells which store it is, or files of several
            stores lie there.
        StoreError: If the store cannot be read or written.
    """
    try:
        read_identity(backend)
    except (NotAStoreError, StoreDamagedError) as exc:
        return _from_replica(backend, replicas) or _from_files(backend, key, exc)
    return None


def _from_replica(backend: Backend, replicas: Sequence[Backend]) -> Mended | None:
    ids = {header.store_id for _, header in _headers(backend)}
    for replica in replicas:
        with contextlib.suppress(StoreError):
            data = replica.read(FORMAT_NAME)
            if {decode_identity(data, replica.url).store_id} != ids:
                continue
            _write(backend, data)
            return Mended(name=FORMAT_NAME, origin=Origin.REPLICA, detail=replica.url)
    return None


def _from_files(backend: Backend, key: bytes | None, error: ResileError) -> Mended:
    """Make it anew from what the other files tell; raise the error again if that is nothing."""
    if isinstance(error, NotAStoreError) and any(f.name == FORMAT_NAME for f in backend.list("")):
        raise error  # Of a version to come, or of another program: whoever knows it shall look.
    file, header = _witness(backend, error)
    keys = Keys(key)
    if header.cipher is not Cipher.NONE and key is None:
        raise StoreKeyError(
            f"{backend.url} is encrypted, and its file `format` is lost",
            hint="give its key: --key-file FILE",
        )
    _check_keys(backend, file, header, keys)
    identity = Identity(
        store_id=header.store_id,
        created_at=min(one.modified_at for one, _ in _headers(backend)),
        cipher=CIPHER_NAMES[header.cipher],
        key_id=keys.key_id,
    )
    _write(backend, encode_identity(identity))
    return Mended(name=FORMAT_NAME, origin=Origin.STORED_AGAIN, detail="what its files tell")


def _headers(backend: Backend) -> Iterator[tuple[StoredFile, FileHeader]]:
    """Read the headers of the store's files, the smallest first; those that make no sense are left out."""
    for folder in _FOLDERS:
        for file in sorted(backend.list(folder), key=lambda one: (one.size_bytes, one.name)):
            with contextlib.suppress(StoreDamagedError):
                yield file, decode_header(backend.read(file.name, 0, HEADER_BYTES), file.name)


def _witness(backend: Backend, error: ResileError) -> tuple[StoredFile, FileHeader]:
    """Find a file that is whole and tells which store it is of; no whole file may tell another.

    Raises:
        ResileError: The one that is given, if there is no such file.
        StoreDamagedError: If there are files of several stores.
    """
    found: dict[tuple[bytes, Cipher], tuple[StoredFile, FileHeader]] = {}
    for file, header in _headers(backend):
        told = (header.store_id, header.cipher)
        if told not in found and _is_whole(backend, file.name):
            found[told] = (file, header)
    if not found:
        raise error
    if len(found) > 1:
        names = " and ".join(file.name for file, _ in found.values())
        raise StoreDamagedError(
            f"{backend.url} has files of several stores: {names}",
            name=FORMAT_NAME,
            hint="move those away that do not belong there",
        )
    return next(iter(found.values()))


def _is_whole(backend: Backend, name: str) -> bool:
    try:
        for _ in hashed_windows(backend, name):
            pass
    except StoreDamagedError:
        return False
    return True


def _check_keys(backend: Backend, file: StoredFile, header: FileHeader, keys: Keys) -> None:
    """Open a file that is whole: only another key can keep it closed.

    Raises:
        StoreKeyError: If it does not open.
    """
    coder = Coder()
    try:
        if header.kind is FileKind.SNAPSHOT:
            data = backend.read(file.name)
            read_record(data, FileKind.SNAPSHOT, keys=keys, coder=coder, name=file.name)
        else:
            read_table(backend, file.name, file.size_bytes, keys=keys, coder=coder)
    except StoreDamagedError as exc:
        raise StoreKeyError(
            f"the key does not open what is in {backend.url}"
            if header.cipher is not Cipher.NONE
            else f"{backend.url} is not encrypted",
            hint="give its own key: --key-file FILE"
            if header.cipher is not Cipher.NONE
            else "give no key",
        ) from exc


def _write(backend: Backend, data: bytes) -> None:
    if not put(backend, FORMAT_NAME, data):
        replace_file(backend, FORMAT_NAME, [data])
