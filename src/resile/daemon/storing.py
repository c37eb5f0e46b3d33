"""`python -m resile.daemon.storing WORK`: one piece of work on a store, in a process of its own.

The brain starts it for what takes long or needs much memory: comparing, restoring. WORK is a JSON
object: `place`, `key_file`, `cache`, `verb`, `id`, and what the verb needs. The last line that it
writes is a JSON object: `done`, or `failed` with the sort of the error, its message and its hint.
"""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from resile.core.clock import SYSTEM_CLOCK
from resile.errors import ConfigError, RejectedError, ResileError
from resile.store import (
    Difference,
    DifferenceKind,
    Entry,
    Repository,
    Snapshot,
    cache_folder,
    compare,
    find_path,
    live_root,
    open_backend,
    open_store,
    protect,
    read_key,
    restore_in_place,
    save_live,
    text_diff,
    unprotect,
)

LIVE = "live"
CHANGES_MAX = 1000
"""Nobody reads more, and all that a store may hold would not fit into an answer."""
TEXT_CHARACTERS_MAX = 256 << 10
PROBLEMS_MAX = 100


def main(arguments: list[str]) -> int:
    """Do the work, and write what came of it; give the exit code."""
    work = json.loads(arguments[0])
    try:
        with opened(work["place"], work["key_file"]) as store:
            answer = {"done": _VERBS[work["verb"]](store, store.find(work["id"]), work)}
    except ResileError as exc:
        answer = {"failed": {"sort": _sort_of(exc), "message": str(exc), "hint": exc.hint}}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    return 0


@contextlib.contextmanager
def opened(place: str, key_file: str) -> Iterator[Repository]:
    """Open a store, and close it at the end.

    Raises:
        ConfigError: If `place` is none.
        StoreError: If it cannot be opened.
    """
    key = read_key(Path(key_file)) if key_file else None
    store = open_store(open_backend(place), cache=cache_folder(os.environ), key=key)
    try:
        yield store
    finally:
        store.close()


def _diff(store: Repository, after: Snapshot, work: Mapping[str, Any]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    changes: list[dict[str, Any]] = []
    with _root(store, after, work["against"]) as before:
        for change in compare(store, before, after.root):
            counts[change.kind.value] += 1
            if len(changes) < CHANGES_MAX:
                changes.append(_change(change))
    return {
        "id": after.snapshot_id,
        "against": work["against"],
        "counts": dict(counts),
        "changes": changes,
        "is_cut": counts.total() > len(changes),
    }


def _text(store: Repository, after: Snapshot, work: Mapping[str, Any]) -> dict[str, Any]:
    path = os.fsencode(work["path"])
    with _root(store, after, work["against"]) as root:
        before, now = _found(store, root, path), _found(store, after.root, path)
        if before is None and now is None:
            raise ConfigError(f"{work['path']!r} is in neither of them", hint="give a path of diff")
        change = Difference(path=path, kind=DifferenceKind.MODIFIED, before=before, after=now)
        text = text_diff(store, change)
    return {
        "path": work["path"],
        "diff": text[:TEXT_CHARACTERS_MAX],
        "is_cut": len(text) > TEXT_CHARACTERS_MAX,
    }


def _restore(store: Repository, chosen: Snapshot, work: Mapping[str, Any]) -> dict[str, Any]:
    folder = Path(chosen.source)
    began_s = SYSTEM_CLOCK.monotonic()
    paths = tuple(os.fsencode(path) for path in work["paths"])
    before = save_live(store, folder, paths=paths)
    with restore_in_place(folder, chosen.root, store, paths=paths) as restored:
        report = restored.report
    return {
        "id": chosen.snapshot_id,
        "target": str(folder),
        "before": before and before.snapshot_id,
        "files": report.files,
        "folders": report.folders,
        "bytes": report.bytes,
        "duration_s": SYSTEM_CLOCK.monotonic() - began_s,
        "skipped": [
            {"path": one.path, "reason": one.reason} for one in report.skipped[:PROBLEMS_MAX]
        ],
        "skipped_count": report.skipped_count,
        "foreign_count": report.foreign_count,
    }


def _protect(store: Repository, chosen: Snapshot, work: Mapping[str, Any]) -> dict[str, Any]:
    (protect if work["is_on"] else unprotect)(store, chosen)
    return {}


_VERBS: Final[dict[str, Callable[[Repository, Snapshot, Mapping[str, Any]], dict[str, Any]]]] = {
    "diff": _diff,
    "text": _text,
    "restore": _restore,
    "protect": _protect,
}


@contextlib.contextmanager
def _root(store: Repository, after: Snapshot, against: str) -> Iterator[Entry | None]:
    if against != LIVE:
        yield store.find(against).root
        return
    with live_root(store, after) as root:
        yield root


def _found(store: Repository, root: Entry | None, path: bytes) -> Entry | None:
    if root is None:
        return None
    with contextlib.suppress(ConfigError):
        return find_path(store, root, path)
    return None


def _change(change: Difference) -> dict[str, Any]:
    entry = change.after or change.before
    return {
        "path": os.fsdecode(change.path),
        "kind": change.kind.value,
        "file_type": entry.type.value if entry else "",
        "size_before": change.before and change.before.size,
        "size_after": change.after and change.after.size,
    }


def _sort_of(exc: ResileError) -> str:
    if isinstance(exc, ConfigError):
        return "config"
    return "rejected" if isinstance(exc, RejectedError) else "operation"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
