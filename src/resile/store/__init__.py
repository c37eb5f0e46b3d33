"""Snapshots of folders in packs named by their hash: taken, verified, repaired, restored.

Its modules are loaded when a name of theirs is first used: contained runs need only `writeahead`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.store.backends.choose import open_backend
    from resile.store.backends.port import Backend
    from resile.store.collecting import GRACE_S, Collected, collect, forget, protect, unprotect
    from resile.store.decide import Keep, Kept, decide_kept
    from resile.store.differing import Difference, DifferenceKind, compare, text_diff
    from resile.store.finding import find_path, read_file, walk_entries
    from resile.store.format.keys import make_key, read_key
    from resile.store.live import live_root, save_live
    from resile.store.marks import protected
    from resile.store.mismatches import LiveCheck, Looked
    from resile.store.model import SAFETY_TAG, Counts, Entry, EntryType, Snapshot, Unread
    from resile.store.opening import cache_folder, create, open_store
    from resile.store.parity import add_parity
    from resile.store.repairing import Mended, Origin, Repaired, mend_format, repair
    from resile.store.replicating import Lag, Replicated, lag, replicate
    from resile.store.repository import Repository
    from resile.store.restore import RestoreReport, restore_in_place, restore_to
    from resile.store.restore import recover as recover_restores
    from resile.store.scrubbing import Scrub, Step, mend_file, mend_replica
    from resile.store.snapshot import Taken, Why, take_snapshot
    from resile.store.verifying import Affected, Verified, verify
    from resile.store.walk import Rules
    from resile.store.watching import Watch

__all__ = [
    "GRACE_S",
    "SAFETY_TAG",
    "Affected",
    "Backend",
    "Collected",
    "Counts",
    "Difference",
    "DifferenceKind",
    "Entry",
    "EntryType",
    "Keep",
    "Kept",
    "Lag",
    "LiveCheck",
    "Looked",
    "Mended",
    "Origin",
    "Repaired",
    "Replicated",
    "Repository",
    "RestoreReport",
    "Rules",
    "Scrub",
    "Snapshot",
    "Step",
    "Taken",
    "Unread",
    "Verified",
    "Watch",
    "Why",
    "add_parity",
    "cache_folder",
    "collect",
    "compare",
    "create",
    "decide_kept",
    "find_path",
    "forget",
    "lag",
    "live_root",
    "make_key",
    "mend_file",
    "mend_format",
    "mend_replica",
    "open_backend",
    "open_store",
    "protect",
    "protected",
    "read_file",
    "read_key",
    "recover_restores",
    "repair",
    "replicate",
    "restore_in_place",
    "restore_to",
    "save_live",
    "take_snapshot",
    "text_diff",
    "unprotect",
    "verify",
    "walk_entries",
]


def __getattr__(name: str) -> object:
    if name == "recover_restores":
        from resile.store.restore import recover

        return recover
    from resile.core.lazy import load
    from resile.store._homes import HOMES

    return load(__name__, name, HOMES)
