"""Names of snapshots: an id, its first digits, or `latest`."""

from collections.abc import Sequence

from resile.errors import UnknownSnapshotError
from resile.store.model import SAFETY_TAG, Snapshot

PREFIX_DIGITS_MIN = 4
LATEST = "latest"
_NEAREST_MAX = 3
_SHOWN_DIGITS = 10


def find_snapshot(every: Sequence[Snapshot], name: str, *, source: str = "") -> Snapshot:
    """Find a snapshot by `latest` (none that a restore took), its id, or the beginning of its id.

    Args:
        every: All there are, oldest first.
        name: At least 4 digits, or `latest`.
        source: With `latest`: of this folder; empty: of any.

    Raises:
        UnknownSnapshotError: If there is none, several begin so, or the name is too short; the hint
            has those that are nearest to it.
    """
    if name == LATEST:
        found = [one for one in every if not source or one.source == source]
        found = [one for one in found if SAFETY_TAG not in one.tags][-1:]
    else:
        found = [one for one in every if name and one.snapshot_id.startswith(name.lower())]
    if len(found) == 1 and (name == LATEST or len(name) >= PREFIX_DIGITS_MIN):
        return found[0]
    if name != LATEST and len(name) < PREFIX_DIGITS_MIN:
        what = f"{name!r} is too short: give `latest`, or at least {PREFIX_DIGITS_MIN} digits"
    else:
        what = f"{len(found) or 'no'} snapshots are called {name!r}"
    raise UnknownSnapshotError(what, hint=_hint(found or _alike(every, name)))


def _alike(every: Sequence[Snapshot], name: str) -> list[Snapshot]:
    """Give the snapshots whose first digits look most like a name, the best last."""
    from difflib import SequenceMatcher

    def likeness(one: Snapshot) -> float:
        return SequenceMatcher(None, one.snapshot_id[: len(name)], name.lower()).ratio()

    return sorted(every, key=likeness)


def _hint(near: Sequence[Snapshot]) -> str:
    shown = [
        f"{one.snapshot_id[:_SHOWN_DIGITS]} ({one.started_at:%Y-%m-%d %H:%M} UTC, {one.source})"
        for one in list(reversed(near))[:_NEAREST_MAX]
    ]
    listed = "all are listed by: resile snapshots"
    return f"the nearest: {', '.join(shown)}; {listed}" if shown else listed
