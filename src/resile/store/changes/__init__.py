"""The logs of what contained runs commit between two snapshots, and going back with them."""

from resile.store.changes.committing import DoneCommit, Workspace, note_commit
from resile.store.changes.keeping import begin_log, open_log, stop_log, trim_log
from resile.store.changes.listing import CommitList, list_commits
from resile.store.changes.moments import Moment, at_moment, choose_base
from resile.store.changes.restoring import note_restore

__all__ = [
    "CommitList",
    "DoneCommit",
    "Moment",
    "Workspace",
    "at_moment",
    "begin_log",
    "choose_base",
    "list_commits",
    "note_commit",
    "note_restore",
    "open_log",
    "stop_log",
    "trim_log",
]
