"""Take a snapshot of the knowledge base before a script runs.

A script runs contained and is undone if it fails, so a run without a checkpoint is no danger: it
goes on, and the answer says why there is none.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resile import ResileError, snapshot

TAG = "before-dispatch"
TIMEOUT_S = 1.0
"""It takes some milliseconds; a run does not wait for longer than this."""
REUSE_WITHIN_S = 1.0
"""Of many runs that change nothing, one in a second takes one; the others are given it."""


def take_checkpoint(knowledge: Path, run_id: str) -> Mapping[str, Any]:
    """Ask the storekeeper for one, and give what is answered about it.

    Args:
        knowledge: The folder.
        run_id: It is also called by this, so that `resile snapshots` names the run, unless nothing
            changed since the last one.
    """
    began_s = time.monotonic()
    snapshot_id = reason = ""
    try:
        taken = snapshot(
            knowledge, tags=(TAG, run_id), reuse_within_s=REUSE_WITHIN_S, timeout_s=TIMEOUT_S
        )
        snapshot_id = taken.snapshot_id
    except ResileError as exc:
        reason = exc.message
    return {
        "checkpoint": snapshot_id,
        "no_checkpoint": reason,
        "checkpoint_ms": round((time.monotonic() - began_s) * 1000, 1),
    }
