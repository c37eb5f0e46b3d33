"""What the journal tells of a store, folded: what was verified, damaged, mended and copied. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from resile.core.events import (
    DataMended,
    DataMismatched,
    SnapshotFailed,
    SnapshotTaken,
    StoreDamaged,
    StoreLost,
    StoreMended,
    StoreReplicated,
    StoreUnreachable,
    StoreVerified,
)
from resile.core.journal import Record

STORE_KINDS = ("snapshot.*", "store.*", "data.*")
FLAWS_MAX = 50
"""The newest are listed; all are counted."""
FAILED_MAX = 50
"""Folders whose last snapshot failed."""

Key = tuple[str, str]


class StoreStory:
    """The state after the records so far. Not thread-safe."""

    def __init__(self) -> None:
        self.last_seq = 0
        self.replicated_at: datetime | None = None
        self._found = self._mended = 0
        self._flaws: OrderedDict[Key, dict[str, Any]] = OrderedDict()
        self._verified: dict[str, Any] | None = None
        self._fully_verified_at: datetime | None = None
        self._lost: dict[str, Any] | None = None
        self._failed: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._unreachable: dict[str, str] = {}
        self._folds: dict[type, Callable[[Any, datetime], None]] = {
            StoreDamaged: self._on_damaged,
            DataMismatched: self._on_mismatched,
            StoreMended: self._on_mended,
            DataMended: self._on_data_mended,
            StoreVerified: self._on_verified,
            StoreLost: self._on_lost,
            SnapshotTaken: self._on_taken,
            SnapshotFailed: self._on_failed,
            StoreReplicated: self._on_replicated,
            StoreUnreachable: self._on_unreachable,
        }

    def add(self, records: Iterable[Record]) -> None:
        """Fold records, the oldest first; those of a version that is unknown are passed over."""
        for record in records:
            self.last_seq = record.seq
            try:
                payload = record.event.payload()
            except ValueError:
                continue
            if fold := self._folds.get(type(payload)):
                fold(payload, record.event.at)

    def facts(self) -> dict[str, Any]:
        """Give the health of the store, as the API shows it."""
        return {
            "verified": self._verified,
            "fully_verified_at": self._fully_verified_at,
            "found": self._found,
            "mended": self._mended,
            "flaws": list(self._flaws.values())[::-1],
            "lost": self._lost,
            "failed": list(self._failed.values())[::-1],
        }

    def trouble_at(self, place: str) -> str:
        """Tell why a place could not be reached the last time; empty if it was."""
        return self._unreachable.get(place, "")

    def _on_damaged(self, told: StoreDamaged, at: datetime) -> None:
        self._find(("store", told.file), told.what, at)

    def _on_mismatched(self, told: DataMismatched, at: datetime) -> None:
        self._find(("folder", f"{told.source}/{told.path}"), told.what, at)

    def _on_mended(self, told: StoreMended, at: datetime) -> None:
        self._mend(("store", told.file), told.origin, at, told.duration_s)

    def _on_data_mended(self, told: DataMended, at: datetime) -> None:
        origin = f"snapshot {told.snapshot_id[:10]}"
        self._mend(("folder", f"{told.source}/{told.path}"), origin, at, told.duration_s)

    def _on_verified(self, told: StoreVerified, at: datetime) -> None:
        self._verified = {
            "at": at,
            "is_full": told.is_full,
            "files": told.files,
            "bytes": told.bytes,
            "flaws": told.flaws,
            "duration_s": told.duration_s,
        }
        if not told.is_full:
            return
        self._fully_verified_at = at
        if not told.flaws:
            # Somebody mended what was open without a word, or forgot what needed it.
            self._lost = None
            for key in [key for key, flaw in self._flaws.items() if _is_open(key, flaw)]:
                self._mend(key, "", at, None)

    def _on_lost(self, told: StoreLost, at: datetime) -> None:
        self._lost = {"at": at, "paths": told.paths, "first": told.first}

    def _on_taken(self, told: SnapshotTaken, _at: datetime) -> None:
        self._failed.pop(told.source, None)
        self._unreachable.pop(told.place, None)

    def _on_failed(self, told: SnapshotFailed, at: datetime) -> None:
        self._failed.pop(told.source, None)
        self._failed[told.source] = {"at": at, "source": told.source, "reason": told.reason}
        if len(self._failed) > FAILED_MAX:
            self._failed.popitem(last=False)

    def _on_replicated(self, told: StoreReplicated, at: datetime) -> None:
        self.replicated_at = at
        self._unreachable.pop(told.replica, None)

    def _on_unreachable(self, told: StoreUnreachable, _at: datetime) -> None:
        # There are two at most: the store, and the second one.
        self._unreachable[told.place] = told.reason

    def _find(self, key: Key, what: str, at: datetime) -> None:
        known = self._flaws.pop(key, None)
        if known is None or known["mended_at"] is not None:
            self._found += 1
            known = {"at": at, "where": key[0], "name": key[1]}
        known |= {"what": what, "mended_at": None, "origin": "", "duration_s": None}
        self._flaws[key] = known
        if len(self._flaws) > FLAWS_MAX:
            self._flaws.popitem(last=False)

    def _mend(self, key: Key, origin: str, at: datetime, duration_s: float | None) -> None:
        if key not in self._flaws or self._flaws[key]["mended_at"] is not None:
            self._find(key, "", at)
        self._flaws[key] |= {"mended_at": at, "origin": origin, "duration_s": duration_s}
        self._mended += 1


def _is_open(key: Key, flaw: dict[str, Any]) -> bool:
    return key[0] == "store" and flaw["mended_at"] is None
