"""Where the names are that `resile.store` loads when they are first used."""

from typing import Final

HOMES: Final = {
    "asking": (
        "KEEPER_SOCKET_NAME",
        "Checkpoint",
        "ask_keeper",
    ),
    "backends.choose": ("open_backend",),
    "backends.port": ("Backend",),
    "changes": (
        "Moment",
        "at_moment",
        "begin_log",
        "choose_base",
        "list_commits",
        "note_restore",
        "open_log",
        "stop_log",
        "trim_log",
    ),
    "collecting": (
        "GRACE_S",
        "Collected",
        "collect",
        "forget",
        "protect",
        "unprotect",
    ),
    "decide": (
        "Keep",
        "Kept",
        "decide_kept",
    ),
    "differing": (
        "Difference",
        "DifferenceKind",
        "compare",
        "text_diff",
    ),
    "drilling": ("Drilled", "drill"),
    "finding": (
        "find_path",
        "read_file",
        "walk_entries",
    ),
    "format.keys": (
        "make_key",
        "read_key",
    ),
    "format_file": ("mend_format",),
    "live": (
        "kept_by",
        "left_out_of",
        "live_root",
        "save_live",
    ),
    "marks": ("protected",),
    "mismatches": (
        "LiveCheck",
        "Looked",
    ),
    "model": (
        "CHECKPOINT_TAG",
        "SAFETY_TAG",
        "Counts",
        "Entry",
        "EntryType",
        "Snapshot",
        "Unread",
    ),
    "opening": (
        "cache_folder",
        "create",
        "open_or_create",
        "open_store",
    ),
    "parity": ("add_parity",),
    "repairing": (
        "Mended",
        "Origin",
        "Repaired",
        "repair",
    ),
    "replicating": (
        "Lag",
        "Replicated",
        "lag",
        "replicate",
    ),
    "repository": ("Repository",),
    "restore": (
        "RestoreReport",
        "restore_in_place",
        "restore_to",
    ),
    "scrubbing": (
        "Scrub",
        "Step",
        "mend_file",
        "mend_replica",
    ),
    "snapshot": (
        "Taken",
        "Why",
        "take_snapshot",
    ),
    "transactions": ("TransactionLog",),
    "verifying": (
        "Affected",
        "Verified",
        "verify",
    ),
    "walk": ("Rules",),
    "watching": ("Watch",),
}
