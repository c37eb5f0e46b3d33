"""Bits that flip in live files so that nothing shows it.

A test cannot flip a bit of a file without changing its ctime; so it tells the catalog the new one, as if
that had been there when the snapshot was taken.
"""

import os
from pathlib import Path

from tests.support.storing import flip

from resile.store import Repository
from resile.store.walk import decode_facts, facts_of, write_facts


def pretend_untouched(store: Repository, source: Path, path: Path) -> None:
    """Make what the catalog knows of a file what its status is now."""
    folder = os.fsencode(str(path.parent.relative_to(source)).removeprefix("."))
    catalog, name = store.catalog, str(source)
    row = catalog.folder_of(name, folder)
    assert row is not None
    facts = catalog.facts(name, folder, row.tree)
    assert facts is not None
    known = decode_facts(facts) | {path.name: facts_of(path.lstat())}
    rows = {folder: (row, write_facts(known))}
    catalog.save_folders(name, catalog.seen_by(name), rows, [], version=catalog.version_of(name))


def rot(store: Repository, source: Path, path: Path, bit: int) -> None:
    """Flip a bit of a file so that nothing shows it."""
    times = path.stat()
    flip(path, bit)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    pretend_untouched(store, source, path)
