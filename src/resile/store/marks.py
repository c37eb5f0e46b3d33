"""Notes about the store: snapshots that are kept whatever happens, packs that will be removed."""

import contextlib

from resile.errors import StoreDamagedError
from resile.store.format.frames import FileKind
from resile.store.format.records import decode_mark, encode_mark
from resile.store.model import Mark, MarkKind
from resile.store.repository import Repository


def put_mark(repository: Repository, mark: Mark) -> str:
    """Store a mark; give its name. Durable when it returns."""
    return repository.put_record("marks", FileKind.MARK, encode_mark(mark))


def marks(repository: Repository, kind: MarkKind) -> list[Mark]:
    """List the marks of a kind. A damaged one is left out: `verify` tells."""
    found = []
    for file in repository.backend.list("marks"):
        with contextlib.suppress(StoreDamagedError):
            mark = decode_mark(repository.read_record(file.name, FileKind.MARK), file.name)
            if mark.kind is kind:
                found.append(mark)
    return sorted(found, key=lambda mark: (mark.created_at, mark.name))


def doomed_packs(repository: Repository) -> frozenset[str]:
    """List the packs that will be removed: nothing new may rely on them."""
    return frozenset(pack for mark in marks(repository, MarkKind.DOOMED) for pack in mark.packs)


def protected(repository: Repository) -> frozenset[str]:
    """List the snapshots that are kept whatever happens, by their ids."""
    return frozenset(mark.snapshot for mark in marks(repository, MarkKind.PROTECTED))
