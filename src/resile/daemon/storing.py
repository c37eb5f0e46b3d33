"""`python -m resile.daemon.storing WORK`: one piece of work on a store, in a process of its own.

The brain starts it for what takes long or needs much memory: comparing, restoring. WORK is a JSON
object: `place`, `key_file`, `state`, `verb`, and what the verb needs; it works on the snapshot `id`, or on
the folder `source` as it was `at` a moment. The last line that it writes is a JSON object: `done`, or `failed` with the sort of the error, its message and its hint.
"""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from resile.core.clock import SYSTEM_CLOCK
from resile.errors import ConfigError, RejectedError, ResileError
from resile.store import (
    SAFETY_TAG,
    Difference,
    DifferenceKind,
    Entry,
    Moment,
    Repository,
    Snapshot,
    at_moment,
    cache_folder,
    choose_base,
    compare,
    find_path,
    kept_by,
    left_out_of,
    live_root,
    note_restore,
    open_backend,
    open_store,
    protect,
    read_key,
    restore_in_place,
    save_live,
    text_diff,
    unprotect,
)
from resile.store.restore.model import Reader

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
            answer = {"done": _VERBS[work["verb"]](store, _point(store, work), work)}
    except ResileError as exc:
        answer = {"failed": {"sort": _sort_of(exc), "message": str(exc), "hint": exc.hint}}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """What is compared and restored.

    Args:
        snapshot: The snapshot, or the one that the replay began from.
        moment: Its folder, with what was replayed.
        at: The time that was asked for; None: the snapshot itself.
    """

    snapshot: Snapshot
    moment: Moment
    at: datetime | None = None


def _point(store: Repository, work: Mapping[str, Any]) -> _Point:
    """Find what is meant.

    Raises:
        ConfigError: If the folder has no snapshot that is so old.
        StoreError: If there is no such snapshot, or it cannot be read.
    """
    if "at" not in work:
        snapshot = store.find(work["id"])
        return _Point(snapshot=snapshot, moment=Moment(root=snapshot.root, reader=store))
    at, state, every = datetime.fromisoformat(work["at"]), _state(work), store.snapshots()
    own = [s for s in every if s.source == work["source"] and SAFETY_TAG not in s.tags]
    base = choose_base(state, own, at)
    if base is None:
        raise ConfigError(
            f"no snapshot of {work['source']} is so old",
            hint="GET /api/store lists them: the oldest is the first moment",
        )
    moment = at_moment(state, base, store, at, snapshots=every)
    return _Point(snapshot=base, moment=moment, at=at)


def _state(work: Mapping[str, Any]) -> Path | None:
    return Path(work["state"]) if work.get("state") else None


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


def _diff(store: Repository, point: _Point, work: Mapping[str, Any]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    changes: list[dict[str, Any]] = []
    with _root(store, point.snapshot, work["against"]) as before:
        for change in compare(point.moment.reader, before, point.moment.root):
            counts[change.kind.value] += 1
            if len(changes) < CHANGES_MAX:
                changes.append(_change(change))
    left_out = left_out_of(point.snapshot) if work["against"] == LIVE else []
    return {
        "id": point.snapshot.snapshot_id,
        "against": work["against"],
        "counts": dict(counts),
        "changes": changes,
        "is_cut": counts.total() > len(changes),
        "left_out": len(left_out),
        "moment": _told(point),
    }


def _told(point: _Point) -> dict[str, Any] | None:
    """Tell how a moment came to be; None: it is a snapshot."""
    if point.at is None:
        return None
    moment = point.moment
    return {
        "at": point.at.isoformat(),
        "base_at": point.snapshot.started_at.isoformat(),
        "replayed": len(moment.commits),
        "until": moment.commits[-1].committed_at.isoformat() if moment.commits else None,
        "is_logged": moment.is_logged,
        "gap": moment.gap,
        "problem": moment.problem,
    }


def _text(store: Repository, point: _Point, work: Mapping[str, Any]) -> dict[str, Any]:
    path, moment = os.fsencode(work["path"]), point.moment
    with _root(store, point.snapshot, work["against"]) as root:
        before, now = _found(store, root, path), _found(moment.reader, moment.root, path)
        if before is None and now is None:
            raise ConfigError(f"{work['path']!r} is in neither of them", hint="give a path of diff")
        change = Difference(path=path, kind=DifferenceKind.MODIFIED, before=before, after=now)
        text = text_diff(moment.reader, change)
    return {
        "path": work["path"],
        "diff": text[:TEXT_CHARACTERS_MAX],
        "is_cut": len(text) > TEXT_CHARACTERS_MAX,
    }


def _restore(store: Repository, point: _Point, work: Mapping[str, Any]) -> dict[str, Any]:
    folder, moment = Path(point.snapshot.source), point.moment
    began_s = SYSTEM_CLOCK.monotonic()
    paths = tuple(os.fsencode(path) for path in work["paths"])
    before = save_live(store, folder, paths=paths)
    rules = kept_by(store, point.snapshot, state=_state(work))
    with restore_in_place(folder, moment.root, moment.reader, paths=paths, rules=rules) as restored:
        report = restored.report
    return {
        "id": point.snapshot.snapshot_id,
        "target": str(folder),
        "before": before and before.snapshot_id,
        "files": report.files,
        "folders": report.folders,
        "bytes": report.bytes,
        "kept": len(restored.kept),
        "duration_s": SYSTEM_CLOCK.monotonic() - began_s,
        "skipped": [
            {"path": one.path, "reason": one.reason} for one in report.skipped[:PROBLEMS_MAX]
        ],
        "skipped_count": report.skipped_count,
        "foreign_count": report.foreign_count,
        "not_noted": _note(_state(work), folder, moment, paths, before),
    }


def _note(
    state: Path | None,
    folder: Path,
    moment: Moment,
    paths: tuple[bytes, ...],
    before: Snapshot | None,
) -> str:
    """Have the logs of folders know it; give why that could not be."""
    try:
        note_restore(state, folder, moment.root, moment.reader, paths=paths, before=before)
    except ResileError as exc:
        return exc.message
    return ""


def _protect(store: Repository, point: _Point, work: Mapping[str, Any]) -> dict[str, Any]:
    (protect if work["is_on"] else unprotect)(store, point.snapshot)
    return {}


_VERBS: Final[dict[str, Callable[[Repository, _Point, Mapping[str, Any]], dict[str, Any]]]] = {
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


def _found(reader: Reader, root: Entry | None, path: bytes) -> Entry | None:
    if root is None:
        return None
    with contextlib.suppress(ConfigError):
        return find_path(reader, root, path)
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
