"""What a source looked like when its last snapshot was taken, as the catalog remembers it."""

import stat
from collections.abc import Iterable

from resile.store.catalog import Catalog, FolderRow
from resile.store.model import Counts
from resile.store.walk import INODE, Facts, Row, decode_facts


class Before:
    """The folders of the last snapshot, and which of them may be taken over unseen. Not thread-safe.

    Args:
        catalog: Remembers them.
        source: The folder that snapshots are of.
        changed: Folders, as paths from the source on, in which something may have changed since;
            None: any. Only what is looked at again is asked of the catalog then.
    """

    def __init__(
        self,
        catalog: Catalog,
        source: str,
        *,
        changed: Iterable[bytes] | None = None,
    ) -> None:
        self._catalog = catalog
        self._source = source
        self.version = catalog.version_of(source)
        """Which state of the catalog it is; asked first, so that what is read later is no older."""
        is_known = catalog.seen_by(source) != ""
        self.is_partial = is_known and changed is not None
        """Only the changed folders are looked at."""
        again = catalog.unsure(source) if self.is_partial else ()
        self._ways = _with_parents([*(changed or ()), *again])
        self._rows = catalog.folders(source) if is_known and not self.is_partial else {}

    def row(self, path: bytes) -> FolderRow | None:
        """Give what a folder looked like; None if it is unknown."""
        if self.is_partial:
            return self._catalog.folder_of(self._source, path)
        return self._rows.get(path)

    def facts(self, path: bytes, row: FolderRow) -> dict[str, Facts]:
        """Give the facts of a folder's entries; none if the folder is not known by this row any more."""
        if not self.is_partial and path not in self._rows:
            return {}
        return decode_facts(self._catalog.facts(self._source, path, row.tree))

    def unseen(self, path: bytes, row: Row, facts: Facts | None) -> FolderRow | None:
        """Give a folder that need not be looked at: nothing changed in it or below it.

        Args:
            path: Of the folder.
            row: As it is now.
            facts: As it was; None: it was not there, or is not known.
        """
        if not self.is_partial or path in self._ways or facts != row.facts:
            return None
        return self.row(path)

    def is_another(self, row: Row, facts: Facts | None) -> bool:
        """Tell whether a folder is not the one that had this name: nothing below it is known."""
        return self.is_partial and (facts is None or facts[INODE] != row.status.st_ino)

    def below(self, path: bytes) -> Counts:
        """Count a folder and all below it as they were."""
        folders, files, size_bytes = self._catalog.count_below(self._source, path)
        return Counts(folders=folders, files=files, bytes=size_bytes)

    def gone(self, seen: set[bytes]) -> list[bytes]:
        """List the folders that are not there any more; of a partial look, none."""
        return [path for path in self._rows if path not in seen]


def folders_gone(facts: dict[str, Facts], folders: list[Row]) -> list[str]:
    """Name the folders that were in a folder and are not there any more."""
    there = {row.name for row in folders}
    return [name for name, one in facts.items() if stat.S_ISDIR(one[0]) and name not in there]


def join(path: str, name: str) -> str:
    """Give the path of an entry."""
    return f"{path}/{name}" if path else name


def _with_parents(changed: Iterable[bytes]) -> frozenset[bytes]:
    """Add the folders on the way to each."""
    found = {b""}
    for path in changed:
        names = path.split(b"/")
        found.update(b"/".join(names[:count]) for count in range(1, len(names) + 1))
    return frozenset(found)
