"""A snapshot's tree with the changes of a log laid over it: read like any other.

Folders are read from the store when something changes in them; all others stay unread. The changed
ones get ids of their own, which nothing outside of this object knows. A path of which the log does
not have what it became is a file that cannot be read, until a later commit makes it something else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from blake3 import blake3

from resile.errors import StoreDamagedError, StoreError
from resile.store.changes.blobs import LocalBlobs
from resile.store.changes.content import INLINE_BYTES_MAX
from resile.store.format.trees import decode_ids
from resile.store.model import ID_BYTES, Entry, EntryType
from resile.store.restore.model import Reader
from resile.store.transactions import (
    REMOVALS,
    Committed,
    Content,
    Noted,
    OperationKind,
    Redo,
    Replayed,
)

_FOLDER_MODE = 0o755
_UNKNOWN_MODE = 0o600


@dataclass(slots=True, kw_only=True, eq=False)
class _Node:
    """An entry; of a folder that was looked into, with what is in it, and its tree in the store."""

    entry: Entry
    below: "dict[bytes, _Node] | None" = None
    tree: bytes = b""


class Overlay:
    """A `Reader` over a snapshot and what was replayed. Safe to share once all is replayed.

    Args:
        reader: The store.
        root: The snapshot's root.
        blobs: Of the log.
    """

    def __init__(self, reader: Reader, root: Entry, blobs: LocalBlobs) -> None:
        self._reader = reader
        self._blobs = blobs
        self._root = _Node(entry=root)
        self._inline: dict[bytes, bytes] = {}
        self._own: set[bytes] = set()
        self._lost: dict[bytes, str] = {}
        self._trees: dict[bytes, _Node] = {}

    def replay(self, commit: Committed) -> None:
        """Lay a commit over the tree.

        Raises:
            StoreDamagedError: If a folder of the snapshot cannot be read.
        """
        for change in commit.changes:
            if isinstance(change, Noted):
                self._note(change)
            else:
                self._redo(change)

    def root(self) -> Entry:
        """Give the root of the tree as it is now; nothing may be replayed afterwards."""
        return self._sealed(self._root)

    def tree(self, tree_id: bytes) -> Sequence[Entry]:
        """Give all entries of a folder."""
        node = self._trees.get(tree_id)
        if node is None:
            return self._reader.tree(tree_id)
        below = node.below or {}
        return [below[name].entry for name in sorted(below)]

    def chunks(self, entry: Entry) -> Sequence[bytes]:
        """Give the ids of a file's blobs, in order."""
        if not entry.lists or entry.lists[0] not in self._own:
            return self._reader.chunks(entry)
        ids = [
            chunk
            for part in entry.lists
            for chunk in decode_ids(self.read_blob(part), "a list of the log")
        ]
        self._own.update(ids)
        return ids

    def read_blob(self, blob_id: bytes) -> bytes:
        """Read a blob, checked against its id."""
        data = self._inline.get(blob_id)
        if data is not None:
            return data
        if blob_id in self._lost:
            raise StoreDamagedError(self._lost[blob_id])
        if blob_id in self._own:
            return self._blobs.read(blob_id)
        return self._reader.read_blob(blob_id)

    def locate_all(self, blob_ids: Sequence[bytes]) -> Sequence[tuple[str, int, int]]:
        """Tell where each blob stands; of the log's own, each alone."""
        found = self._reader.locate_all(blob_ids)
        return [
            ("", number, 0) if blob_id in self._own or blob_id in self._inline else place
            for number, (blob_id, place) in enumerate(zip(blob_ids, found, strict=True))
        ]

    def has_stored(self, commit: Committed) -> bool:
        """Tell whether the store still has what a commit only names in it."""
        for change in commit.changes:
            if not isinstance(change, Noted) or change.content is not Content.STORED:
                continue
            if change.entry is not None and change.entry.type is EntryType.FOLDER:
                try:
                    self._reader.tree(change.entry.tree)
                except StoreDamagedError:
                    return False
        return True

    def notes(self, path: bytes, put: Callable[[bytes], object]) -> Iterator[Noted]:
        """Give what makes a path, in whatever is there, the one of this tree.

        Args:
            path: From the root on; empty: all of it. What is not there is noted as gone.
            put: Keeps a blob beside the log that gets the notes.
        """
        node: _Node | None = self._root
        for name in path.split(b"/") if path else ():
            is_folder = node is not None and node.entry.type is EntryType.FOLDER
            node = self._below(node).get(name) if node is not None and is_folder else None
        if node is None:
            yield Noted(path=path)
        else:
            yield from self._notes(path, node, put)

    def _notes(self, path: bytes, node: _Node, put: Callable[[bytes], object]) -> Iterator[Noted]:
        if node.below is None:
            yield self._noted(path, node.entry, put)
            return
        was: dict[bytes, Entry] = {}
        if node.tree:
            was = {entry.name: entry for entry in self._reader.tree(node.tree)}
            entry = replace(node.entry, tree=node.tree)
            yield Noted(path=path, entry=entry, content=Content.STORED)
        else:
            yield Noted(path=path)
            yield Noted(path=path, entry=replace(node.entry, tree=bytes(ID_BYTES)))
        for name in was.keys() - node.below.keys():
            yield Noted(path=join(path, name))
        for name, child in node.below.items():
            if child.below is not None or was.get(name) != child.entry:
                yield from self._notes(join(path, name), child, put)

    def _noted(self, path: bytes, entry: Entry, put: Callable[[bytes], object]) -> Noted:
        """Note an entry into which nobody has looked: from the store, or from the log."""
        ids = (*entry.lists, *entry.chunks)
        if not any(one in self._own or one in self._inline or one in self._lost for one in ids):
            return Noted(path=path, entry=entry, content=Content.STORED)
        try:
            chunks = self.chunks(entry)
            if len(chunks) == 1 and entry.size <= INLINE_BYTES_MAX and entry.extents is None:
                data = self.read_blob(chunks[0])
                return Noted(path=path, entry=entry, content=Content.INLINE, data=data)
            for blob_id in (*entry.lists, *chunks):
                put(self.read_blob(blob_id))
        except StoreDamagedError:
            return Noted(path=path, content=Content.LOST)
        return Noted(path=path, entry=entry, content=Content.BLOBS)

    def _note(self, noted: Noted) -> None:
        names = noted.path.split(b"/") if noted.path else []
        if not names:
            self._note_root(noted)
            return
        is_lost = noted.content is Content.LOST
        folder = self._folder(names[:-1], is_made=is_lost or noted.entry is not None)
        if folder is None:
            return
        if is_lost:
            folder[names[-1]] = self._unknown(names[-1], "what a run made of it was not kept")
        elif noted.entry is None:
            folder.pop(names[-1], None)
        else:
            folder[names[-1]] = self._became(folder.get(names[-1]), noted, noted.entry)

    def _note_root(self, noted: Noted) -> None:
        if noted.entry is None:
            self._root.below, self._root.tree = {}, b""
        elif noted.content is Content.STORED:
            self._root = _Node(entry=replace(noted.entry, name=b""))
        else:
            self._root.entry = replace(noted.entry, name=b"", tree=self._root.entry.tree)

    def _became(self, before: _Node | None, noted: Noted, entry: Entry) -> _Node:
        """Give what a path became."""
        is_same_type = before is not None and before.entry.type is entry.type
        if noted.content is Content.STORED:
            return _Node(entry=entry)
        if entry.type is EntryType.FOLDER:
            if before is None or not is_same_type:
                return _Node(entry=entry, below={})
            entry = replace(entry, tree=before.entry.tree)
            return _Node(entry=entry, below=before.below, tree=before.tree)
        if noted.content is Content.AS_BEFORE and entry.type is EntryType.FILE:
            if before is None or not is_same_type:
                return self._unknown(entry.name, "only its attributes are known")
            old = before.entry
            return _Node(
                entry=replace(
                    entry,
                    size=old.size,
                    chunks=old.chunks,
                    lists=old.lists,
                    extents=old.extents,
                    origin=old.origin,
                )
            )
        if noted.content is Content.INLINE:
            self._inline.update(dict.fromkeys(entry.chunks, noted.data))
        else:
            self._own.update((*entry.chunks, *entry.lists))
        return _Node(entry=entry)

    def _redo(self, change: Replayed) -> None:
        """Do an operation of a transaction of the log's own again."""
        path = change.path.encode("utf-8", "surrogateescape")
        *above, name = path.split(b"/")
        folder = self._folder(above, is_made=change.kind not in REMOVALS)
        if folder is None:
            return
        if change.kind in REMOVALS:
            folder.pop(name, None)
            return
        before = folder.get(name)
        owner = before.entry if before is not None else self._root.entry
        entry = Entry(
            name=name,
            type=EntryType.FILE,
            mode=change.mode,
            uid=owner.uid,
            gid=owner.gid,
            mtime_ns=change.mtime_ns,
            xattrs=before.entry.xattrs if before is not None else {},
        )
        if change.kind is OperationKind.MAKE_FOLDER:
            is_there = before is not None and before.entry.type is EntryType.FOLDER
            if not is_there:
                made = replace(entry, type=EntryType.FOLDER, mtime_ns=owner.mtime_ns)
                folder[name] = _Node(entry=made, below={})
            return
        try:
            data = self._content(change, before)
        except StoreError as exc:
            folder[name] = self._unknown(name, exc.message)
            return
        chunks = (blake3(data).digest(),) if data else ()
        self._inline.update(dict.fromkeys(chunks, data))
        folder[name] = _Node(entry=replace(entry, size=len(data), chunks=chunks))

    def _content(self, change: Replayed, before: _Node | None) -> bytes:
        data = b""
        if change.redo is Redo.PATCHES and before is not None:
            data = b"".join(map(self.read_blob, self.chunks(before.entry)))
            if blake3(data).digest() == change.digest:
                return data  # The snapshot was taken after it was done.
        return change.content_after(data, self._blobs.read)

    def _unknown(self, name: bytes, why: str) -> _Node:
        """Give an entry that cannot be restored."""
        blob_id = blake3(b"lost" + len(self._lost).to_bytes(8, "big")).digest()
        self._lost[blob_id] = why
        root = self._root.entry
        return _Node(
            entry=Entry(
                name=name,
                type=EntryType.FILE,
                mode=_UNKNOWN_MODE,
                uid=root.uid,
                gid=root.gid,
                mtime_ns=root.mtime_ns,
                size=1,
                chunks=(blob_id,),
            )
        )

    def _folder(self, names: Sequence[bytes], *, is_made: bool) -> dict[bytes, _Node] | None:
        """Give what is in a folder; None if it is not there and shall not be made."""
        node = self._root
        for name in names:
            below = self._below(node)
            found = below.get(name)
            if found is None or found.entry.type is not EntryType.FOLDER:
                if not is_made:
                    return None
                # Somebody made it without the log: what it carried is not known.
                entry = replace(self._root.entry, name=name, mode=_FOLDER_MODE, xattrs={})
                found = below[name] = _Node(entry=entry, below={})
            node = found
        return self._below(node)

    def _below(self, node: _Node) -> dict[bytes, _Node]:
        if node.below is None:
            entries = self._reader.tree(node.entry.tree)
            node.below = {entry.name: _Node(entry=entry) for entry in entries}
            node.tree = node.entry.tree
        return node.below

    def _sealed(self, node: _Node) -> Entry:
        """Give ids to the folders that were looked into."""
        if node.below is not None:
            for child in node.below.values():
                self._sealed(child)
            tree_id = blake3(b"overlay" + len(self._trees).to_bytes(8, "big")).digest()
            self._trees[tree_id] = node
            node.entry = replace(node.entry, tree=tree_id)
        return node.entry


def join(path: bytes, name: bytes) -> bytes:
    """Give the path of something below a path; of the path itself if it has no name."""
    return path + b"/" + name if path and name else path or name
