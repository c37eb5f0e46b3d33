"""What is in a store, as the pages show it: read at once, kept for a while, kept longer if it fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from resile.errors import NotAStoreError, ResileError, StoreDamagedError, StoreKeyError

if TYPE_CHECKING:
    from resile.store import Repository, Snapshot

SNAPSHOTS_MAX = 1000
"""So many are told one by one: five days of one every seven minutes, and a page that still scrolls."""
_FOLDERS = ("packs", "parity", "snapshots", "marks")


def _nothing() -> dict[str, Any]:
    return {"snapshots": 0, "snapshot_bytes": 0, "store_bytes": 0, "dedup_ratio": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A store as it was at one moment.

    Args:
        read_at: When; None: never.
        snapshots: The newest, newest first.
        every: Of all snapshots, by id: `source`, `host`, `started_at`, `finished_at`.
        totals: Of all of it.
        trouble: Why it could not be read after that; None: it could.
    """

    read_at: datetime | None = None
    snapshots: tuple[dict[str, Any], ...] = ()
    every: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=_nothing)
    trouble: dict[str, str] | None = None


def read_listing(place: str, key_file: str, *, now: datetime) -> Listing:
    """Read what is in a store. Blocks.

    Raises:
        ResileError: If it cannot be read; `in_trouble` says how that is shown.
    """
    # Here, in the thread, as it loads a store's modules.
    from resile.daemon.storing import opened
    from resile.store import protected

    with opened(place, key_file) as store:
        every, kept = store.snapshots(), protected(store)
        return Listing(
            read_at=now,
            snapshots=tuple(_facts(one, kept) for one in every[: -SNAPSHOTS_MAX - 1 : -1]),
            totals=_totals(store, every),
            every={one.snapshot_id: _identity(one) for one in every},
        )


UNREAD = Listing(
    trouble={"kind": "slow", "text": "The store is still being read.", "hint": "resile snapshots"}
)
"""For whoever asks before it was read once."""


def in_trouble(known: Listing, exc: ResileError) -> Listing:
    """Keep what was known, and say why there is nothing newer."""
    return replace(
        known,
        trouble={
            "kind": _kind_of(exc),
            "text": str(exc),
            "hint": exc.hint or "resile snapshots",
        },
    )


def _kind_of(exc: ResileError) -> str:
    if isinstance(exc, NotAStoreError):
        return "missing"
    if isinstance(exc, StoreKeyError):
        return "key"
    return "damaged" if isinstance(exc, StoreDamagedError) else "unreachable"


def _identity(snapshot: "Snapshot") -> dict[str, Any]:
    return {
        "source": snapshot.source,
        "host": snapshot.host,
        "started_at": snapshot.started_at,
        "finished_at": snapshot.finished_at,
    }


def _facts(snapshot: "Snapshot", kept: frozenset[str]) -> dict[str, Any]:
    from resile.store import SAFETY_TAG

    counts = snapshot.counts
    return {
        **_identity(snapshot),
        "id": snapshot.snapshot_id,
        "user": snapshot.user,
        "tags": snapshot.tags,
        "files": counts.files,
        "folders": counts.folders,
        "bytes": counts.bytes,
        "new_bytes": counts.new_bytes,
        "stored_bytes": counts.stored_bytes,
        "unread": len(snapshot.unread),
        "is_protected": snapshot.snapshot_id in kept,
        "is_safety": SAFETY_TAG in snapshot.tags,
    }


def _totals(store: "Repository", every: "list[Snapshot]") -> dict[str, Any]:
    size = sum(one.counts.bytes for one in every)
    taken = sum(file.size_bytes for folder in _FOLDERS for file in store.backend.list(folder))
    return {
        "snapshots": len(every),
        "snapshot_bytes": size,
        "store_bytes": taken,
        "dedup_ratio": size / taken if taken else None,
    }
