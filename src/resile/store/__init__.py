"""Snapshots of folders in packs named by their hash: taken, verified, repaired, restored.

Its modules are loaded when a name of theirs is first used: contained runs need only `writeahead`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.store.asking import KEEPER_SOCKET_NAME, Checkpoint, ask_keeper
    from resile.store.backends.choose import open_backend
    from resile.store.backends.port import Backend
    from resile.store.changes import (
        Moment,
        at_moment,
        begin_log,
        choose_base,
        list_commits,
        note_restore,
        open_log,
        stop_log,
        trim_log,
    )
    from resile.store.collecting import GRACE_S, Collected, collect, forget, protect, unprotect
    from resile.store.decide import Keep, Kept, decide_kept
    from resile.store.differing import Difference, DifferenceKind, compare, text_diff
    from resile.store.drilling import Drilled, drill
    from resile.store.finding import find_path, read_file, walk_entries
    from resile.store.format.keys import make_key, read_key
    from resile.store.format_file import mend_format
    from resile.store.live import kept_by, left_out_of, live_root, save_live
    from resile.store.marks import protected
    from resile.store.mismatches import LiveCheck, Looked
    from resile.store.model import (
        CHECKPOINT_TAG,
        SAFETY_TAG,
        Counts,
        Entry,
        EntryType,
        Snapshot,
        Unread,
    )
    from resile.store.opening import cache_folder, create, open_or_create, open_store
    from resile.store.parity import add_parity
    from resile.store.repairing import Mended, Origin, Repaired, repair
    from resile.store.replicating import Lag, Replicated, lag, replicate
    from resile.store.repository import Repository
    from resile.store.restore import RestoreReport, restore_in_place, restore_to
    from resile.store.restore import recover as recover_restores
    from resile.store.scrubbing import Scrub, Step, mend_file, mend_replica
    from resile.store.snapshot import Taken, Why, take_snapshot
    from resile.store.transactions import TransactionLog
    from resile.store.verifying import Affected, Verified, verify
    from resile.store.walk import Rules
    from resile.store.watching import Watch

__all__ = [
    "CHECKPOINT_TAG",
    "GRACE_S",
    "KEEPER_SOCKET_NAME",
    "SAFETY_TAG",
    "Affected",
    "Backend",
    "Checkpoint",
    "Collected",
    "Counts",
    "Difference",
    "DifferenceKind",
    "Drilled",
    "Entry",
    "EntryType",
    "Keep",
    "Kept",
    "Lag",
    "LiveCheck",
    "Looked",
    "Mended",
    "Moment",
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
    "TransactionLog",
    "Unread",
    "Verified",
    "Watch",
    "Why",
    "add_parity",
    "ask_keeper",
    "at_moment",
    "begin_log",
    "cache_folder",
    "choose_base",
    "collect",
    "compare",
    "create",
    "decide_kept",
    "drill",
    "find_path",
    "forget",
    "kept_by",
    "lag",
    "left_out_of",
    "list_commits",
    "live_root",
    "make_key",
    "mend_file",
    "mend_format",
    "mend_replica",
    "note_restore",
    "open_backend",
    "open_log",
    "open_or_create",
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
    "stop_log",
    "take_snapshot",
    "text_diff",
    "trim_log",
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
