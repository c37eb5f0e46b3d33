"""The catalog: where each blob stands, and what each folder looked like. A cache, never a truth.

It lies in the user's cache folder, one for each store. A damaged one, or one of another version, is
thrown away and made anew from the packs.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resile.core.files import make_private_dir
from resile.core.wal import write_ahead
from resile.errors import StoreError
from resile.store.format.frames import Coding, Frame, FrameKind
from resile.store.format.packs import PackTable

VERSION = 4
_BUSY_TIMEOUT_S = 30.0
_CACHE_KIB = 16 << 10
_LOG_PAGES = 4096
"""Of 4 KiB: a snapshot of few changes writes its log back once, when the catalog is closed. Ids are
random, so a few hundred new blobs are most of the pages; and each writing back waits for the disk."""
_LENGTHS_OF = "SELECT id, length FROM blobs WHERE id IN (%s)"
_IDS_PER_QUERY = 500
"""SQLite takes at least 999 in one statement."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCATE_ALL = (
    "SELECT b.id, p.name, f.start, f.kind, f.coding, f.stored, f.raw, b.start, b.length"
    " FROM blobs b JOIN packs p ON p.number = b.pack"
    " JOIN frames f ON f.pack = b.pack AND f.number = b.frame WHERE b.id IN (%s)"
)


class CatalogDamagedError(StoreError):
    """The catalog was damaged, and was thrown away; nothing of the store is concerned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a blob stands.

    Args:
        pack: The pack's name.
        frame: Its frame.
        start: In the raw frame.
        length: Bytes.
    """

    pack: str
    frame: Frame
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRow:
    """What a folder looked like when it was read last.

    Args:
        digest: Sums up the facts of its entries.
        tree: The id of its tree blob.
        files: Entries that are no folders.
        bytes: Their sizes.
    """

    digest: bytes
    tree: bytes
    files: int
    bytes: int


class Catalog:
    """An open catalog. Safe to share between threads; several processes may have it open."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            StoreError: If it cannot be made.
        """
        make_private_dir(path.parent)
        self._path = path
        self._lock = threading.RLock()
        self._db = self._open_or_renew()

    @property
    def path(self) -> Path:
        """Its file."""
        return self._path

    @property
    def folder(self) -> Path:
        """Where it lies; nothing else does."""
        return self._path.parent

    def close(self) -> None:
        """Close it. Idempotent."""
        with self._lock:
            self._db.close()

    def packs(self) -> dict[str, int]:
        """List the known packs and their sizes."""
        with self._using() as db:
            return dict(db.execute("SELECT name, size FROM packs"))

    def add_pack(self, name: str, size: int, table: PackTable) -> None:
        """Learn what is in a pack. Idempotent."""
        with self._writing() as db:
            row = db.execute(
                "INSERT INTO packs (name, size) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING number",
                (name, size),
            ).fetchone()
            if row is None:
                return
            db.executemany(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (row[0], i, f.offset, f.stored_bytes, f.raw_bytes, f.kind, f.coding)
                    for i, f in enumerate(table.frames)
                ),
            )
            db.executemany(
                "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?, ?)",
                ((b.blob_id, row[0], b.frame, b.start, b.length) for b in table.blobs),
            )

    def drop_pack(self, name: str) -> None:
        """Forget a pack that is gone. Idempotent."""
        with self._writing() as db:
            row = db.execute(
                "DELETE FROM packs WHERE name = ? RETURNING number", (name,)
            ).fetchone()
            if row is not None:
                db.execute("DELETE FROM frames WHERE pack = ?", row)
                db.execute("DELETE FROM blobs WHERE pack = ?", row)

    def has_blobs(self) -> bool:
        """Tell whether any blob is known."""
        with self._using() as db:
            return db.execute("SELECT 1 FROM blobs LIMIT 1").fetchone() is not None

    def has_blob(self, blob_id: bytes) -> bool:
        """Tell whether a blob stands somewhere."""
        with self._using() as db:
            found = db.execute("SELECT 1 FROM blobs WHERE id = ? LIMIT 1", (blob_id,))
            return found.fetchone() is not None

    def locate(self, blob_id: bytes) -> list[Location]:
        """Give every place of a blob; empty if it is unknown."""
        with self._using() as db:
            rows = db.execute(
                "SELECT p.name, f.start, f.kind, f.coding, f.stored, f.raw, b.start, b.length"
                " FROM blobs b JOIN packs p ON p.number = b.pack"
                " JOIN frames f ON f.pack = b.pack AND f.number = b.frame WHERE b.id = ?",
                (blob_id,),
            ).fetchall()
        return [
            Location(
                pack=name,
                frame=Frame(
                    offset=offset,
                    kind=FrameKind(kind),
                    coding=Coding(coding),
                    stored_bytes=stored,
                    raw_bytes=raw,
                ),
                start=start,
                length=length,
            )
            for name, offset, kind, coding, stored, raw, start, length in rows
        ]

    def locate_all(self, blob_ids: Sequence[bytes]) -> dict[bytes, Location]:
        """Give one place of each blob that is known: for many, six times as quick as one by one."""
        frames: dict[tuple[str, int], Frame] = {}
        found: dict[bytes, Location] = {}
        for first in range(0, len(blob_ids), _IDS_PER_QUERY):
            part = blob_ids[first : first + _IDS_PER_QUERY]
            with self._using() as db:
                rows = db.execute(_LOCATE_ALL % ",".join("?" * len(part)), part).fetchall()
            for blob_id, name, offset, kind, coding, stored, raw, start, length in rows:
                frame = frames.get((name, offset))
                if frame is None:
                    frame = frames[name, offset] = Frame(
                        offset=offset,
                        kind=FrameKind(kind),
                        coding=Coding(coding),
                        stored_bytes=stored,
                        raw_bytes=raw,
                    )
                found[blob_id] = Location(pack=name, frame=frame, start=start, length=length)
        return found

    def lengths_of(self, blob_ids: Sequence[bytes]) -> dict[bytes, int]:
        """Give the length of each blob that is known."""
        found: dict[bytes, int] = {}
        for first in range(0, len(blob_ids), _IDS_PER_QUERY):
            part = blob_ids[first : first + _IDS_PER_QUERY]
            with self._using() as db:
                found.update(db.execute(_LENGTHS_OF % ",".join("?" * len(part)), part))
        return found

    def rows_of(self, pack: str) -> list[tuple[bytes, int, int, int]]:
        """List what is known of a pack: id, offset of the frame, start in it, length."""
        with self._using() as db:
            return db.execute(
                "SELECT b.id, f.start, b.start, b.length FROM blobs b"
                " JOIN packs p ON p.number = b.pack"
                " JOIN frames f ON f.pack = b.pack AND f.number = b.frame WHERE p.name = ?",
                (pack,),
            ).fetchall()

    def blobs_in(self, pack: str) -> list[tuple[bytes, int]]:
        """List the blobs of a pack: id and length."""
        with self._using() as db:
            return db.execute(
                "SELECT b.id, b.length FROM blobs b JOIN packs p ON p.number = b.pack"
                " WHERE p.name = ?",
                (pack,),
            ).fetchall()

    def kinds_in(self, pack: str) -> list[tuple[bytes, FrameKind]]:
        """List the blobs of a pack in their order: id, and the kind of its frame."""
        with self._using() as db:
            rows = db.execute(
                "SELECT b.id, f.kind FROM blobs b JOIN packs p ON p.number = b.pack"
                " JOIN frames f ON f.pack = b.pack AND f.number = b.frame"
                " WHERE p.name = ? ORDER BY b.frame, b.start",
                (pack,),
            ).fetchall()
        return [(blob_id, FrameKind(kind)) for blob_id, kind in rows]

    def snapshots(self) -> dict[str, bytes]:
        """List the known snapshots: name and record."""
        with self._using() as db:
            return dict(db.execute("SELECT name, record FROM snapshots"))

    def add_snapshot(self, name: str, record: bytes, file: bytes) -> None:
        """Learn a snapshot: its record, and the file that holds it. Idempotent."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (name, record, file))

    def snapshot_file(self, name: str) -> bytes | None:
        """Give a snapshot's file as it was when it was good; None if it is unknown."""
        with self._using() as db:
            row = db.execute("SELECT file FROM snapshots WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def clear(self) -> None:
        """Forget where everything stands; what folders looked like is kept."""
        with self._writing() as db:
            for table in ("packs", "frames", "blobs", "snapshots"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def drop_snapshot(self, name: str) -> None:
        """Forget a snapshot that is gone. Idempotent."""
        with self._writing() as db:
            db.execute("DELETE FROM snapshots WHERE name = ?", (name,))

    def seen_by(self, source: str) -> str:
        """Give the snapshot that what is known of a source's folders is of; empty if none is there."""
        with self._using() as db:
            row = db.execute(
                "SELECT s.name FROM sources JOIN snapshots s ON s.name = snapshot"
                " WHERE source = ? AND NOT is_in_doubt",
                (source,),
            ).fetchone()
        return row[0] if row else ""

    def version_of(self, source: str) -> tuple[str, int] | None:
        """Tell which state of a source's folders is known: two are the same if nobody changed it."""
        with self._using() as db:
            row: tuple[str, int] | None = db.execute(
                "SELECT snapshot, is_in_doubt FROM sources WHERE source = ?", (source,)
            ).fetchone()
        return row

    def doubt(self) -> None:
        """Rely on no folder any more: something that the store had is gone."""
        with self._writing() as db:
            # Each doubt counts: one that comes during a look must outlive what that one saves.
            db.execute("UPDATE sources SET is_in_doubt = is_in_doubt + 1")

    def folders(self, source: str) -> dict[bytes, FolderRow]:
        """Give what the folders of a source looked like; without a digest where the tree is gone."""
        with self._using() as db:
            rows = db.execute(
                f"SELECT path, {_FOLDER} FROM folders WHERE source = ?",  # noqa: S608 - our own words
                (source,),
            )
            return {path: _folder_row(row) for path, *row in rows}

    def unsure(self, source: str) -> list[bytes]:
        """List the folders that must be looked at again in any case.

        Something in them could not be read, or had changed too shortly before.
        """
        with self._using() as db:
            rows = db.execute(
                "SELECT path FROM folders WHERE source = ? AND digest = x''", (source,)
            ).fetchall()
        return [path for (path,) in rows]

    def folder_of(self, source: str, path: bytes) -> FolderRow | None:
        """Give what one folder looked like, as `folders`; None if it is unknown."""
        with self._using() as db:
            row = db.execute(
                f"SELECT {_FOLDER} FROM folders WHERE source = ? AND path = ?",  # noqa: S608 - our own words
                (source, path),
            ).fetchone()
        return _folder_row(row) if row else None

    def count_below(self, source: str, path: bytes) -> tuple[int, int, int]:
        """Count a folder and those below it: folders, other entries, bytes."""
        with self._using() as db:
            row = db.execute(_COUNT_BELOW, _below(source, path)).fetchone()
        return (row[0], row[1], row[2])

    def facts(self, source: str, path: bytes, tree: bytes) -> bytes | None:
        """Give the facts of a folder's entries; None if it is unknown, or has another tree by now.

        Facts of a later look beside the entries of an earlier one would make changed files look
        as if they had been read.
        """
        with self._using() as db:
            row = db.execute(
                "SELECT facts FROM facts JOIN folders USING (source, path)"
                " WHERE source = ? AND path = ? AND tree = ?",
                (source, path, tree),
            ).fetchone()
        return row[0] if row else None

    def save_folders(
        self,
        source: str,
        snapshot: str,
        rows: Mapping[bytes, tuple[FolderRow, bytes]],
        gone: Iterable[bytes],
        *,
        version: tuple[str, int] | None,
    ) -> None:
        """Keep what folders look like in a snapshot, with their facts; forget those that are gone.

        If somebody else has saved meanwhile, or it is in doubt since, nothing of it is kept: rows of
        two looks do not belong together. Then it is in doubt.

        Args:
            source: The folder that the snapshot is of.
            snapshot: Its name.
            rows: By path; what is not given is as it was.
            gone: Folders that are not there any more, nor what was below them.
            version: Of what was known when the look began.
        """
        with self._writing() as db:
            if self.version_of(source) != version:
                db.execute(
                    "UPDATE sources SET is_in_doubt = is_in_doubt + 1 WHERE source = ?", (source,)
                )
                return
            for path in gone:
                for table in ("folders", "facts"):
                    db.execute(f"DELETE FROM {table} WHERE {_BELOW}", _below(source, path))  # noqa: S608 - our own names
            db.executemany(
                "INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (source, path, row.digest, row.tree, row.files, row.bytes)
                    for path, (row, _) in rows.items()
                ),
            )
            db.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
                ((source, path, facts) for path, (_, facts) in rows.items()),
            )
            db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, 0)", (source, snapshot))

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as exc:
                if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                    raise self._thrown_away(exc) from exc
                raise self._failure(exc) from exc

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._using() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                # The first failure tells more than that of the way back.
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _failure(self, exc: sqlite3.Error) -> StoreError:
        return StoreError(
            f"the catalog {self._path} fails: {exc}",
            hint="it is only a cache: remove it, and the next command makes it anew",
            is_transient=True,
        )

    def _thrown_away(self, exc: sqlite3.Error) -> CatalogDamagedError:
        """Remove a damaged catalog, so that the next to open it makes a new one."""
        self._db.close()
        _remove(self._path)
        return CatalogDamagedError(
            f"the catalog {self._path} was damaged: {exc}",
            hint="it is only a cache, and was thrown away: the same command makes it anew",
            is_transient=True,
        )

    def _open_or_renew(self) -> sqlite3.Connection:
        try:
            return _open(self._path)
        except sqlite3.OperationalError as exc:
            raise self._failure(exc) from exc
        except sqlite3.DatabaseError:
            _remove(self._path)
        try:
            return _open(self._path)
        except sqlite3.Error as exc:
            raise self._failure(exc) from exc


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


_FOLDER = (
    "CASE WHEN EXISTS (SELECT 1 FROM blobs WHERE id = tree) THEN digest ELSE x'' END,"
    " tree, files, bytes"
)
"""A folder as it was is worth nothing without its tree blob."""
_BELOW = "source = ? AND (path = ? OR (path >= ? AND path < ?) OR ? = x'')"
"""A folder and all below it; the bytes of `/` and `0` follow each other."""
_COUNT_BELOW = (
    f"SELECT count(*), coalesce(sum(files), 0), coalesce(sum(bytes), 0) FROM folders WHERE {_BELOW}"  # noqa: S608 - our own words
)


def _below(source: str, path: bytes) -> tuple[str, bytes, bytes, bytes, bytes]:
    return (source, path, path + b"/", path + b"0", path)


def _folder_row(row: Sequence[Any]) -> FolderRow:
    digest, tree, files, bytes_ = row
    return FolderRow(digest=digest, tree=tree, files=files, bytes=bytes_)


def _open(path: Path) -> sqlite3.Connection:
    """Open a catalog of our version.

    Raises:
        sqlite3.OperationalError: If it cannot be opened.
        sqlite3.DatabaseError: If it is damaged or of another version.
    """
    db = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        path.chmod(0o600)
        write_ahead(db, wait_s=_BUSY_TIMEOUT_S)
        # A power cut may take the last commits, never the order: then packs are read again.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _schema():
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"version {version}")


def _schema() -> list[str]:
    text = Path(__file__).with_name("catalog.sql").read_text(encoding="utf-8")
    return [statement for statement in text.split(";") if statement.strip()]
