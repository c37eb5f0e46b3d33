"""Look for traps in what a run changed: setuid files, devices, links that lead out, protected paths. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from resile.contain.model import CAPABILITY_NOTE, Change, ChangeKind, Violation, WorkspaceDiff
from resile.contain.transaction import Skipped
from resile.core.vocabulary import ViolationKind

_SETUID_OR_SETGID = 0o6000
_SETGID_FOLDER = 0o2000


def violations_in(
    diffs: Iterable[WorkspaceDiff],
    skipped: Iterable[Skipped] = (),
    *,
    protected: tuple[str, ...],
    at: datetime,
) -> tuple[Violation, ...]:
    """List what is suspicious in changes, in their order.

    Args:
        diffs: What was changed.
        skipped: What was made and is never kept.
        protected: Globs below a workspace; `*` matches across `/`, so `.git/hooks/*` is all below.
        at: The time of the look.
    """
    found = [
        suspicion
        for diff in diffs
        for change in diff.changes
        for suspicion in _suspicions(change, diff, protected)
    ]
    found += [(ViolationKind.DEVICE, _not_kept(item)) for item in skipped]
    return tuple(
        Violation(kind=kind, detail=detail, decision="recorded", source="scan", at=at)
        for kind, detail in found
    )


def _not_kept(item: Skipped) -> str:
    return f"{item.workspace}/{item.path} is not kept: {item.reason}"


def _suspicions(
    change: Change, diff: WorkspaceDiff, protected: tuple[str, ...]
) -> Iterator[tuple[ViolationKind, str]]:
    where = str(diff.workspace / change.path)
    mode = change.mode_after or 0
    is_same_content = change.kind is ChangeKind.METADATA
    before = (change.mode_before or 0) if is_same_content else 0
    is_folder = change.file_type == "folder"
    bits = mode & (_SETUID_OR_SETGID & ~(_SETGID_FOLDER if is_folder else 0))
    if change.kind is not ChangeKind.DELETED and bits & ~before:
        yield ViolationKind.SETUID_BIT, f"{where} has mode {mode:o}"
    if CAPABILITY_NOTE in change.notes:
        yield ViolationKind.SETUID_BIT, f"{where} has file capabilities"
    if any(_touches(change, pattern) for pattern in protected):
        yield ViolationKind.PROTECTED_PATH, f"{where} was {change.kind}"
    if change.link_target and _leads_out(change, diff):
        yield ViolationKind.ESCAPING_LINK, f"{where} points to {change.link_target}"


def _touches(change: Change, pattern: str) -> bool:
    """Tell whether a change is of what a glob protects, in any folder, or puts a link above it."""
    if fnmatchcase(change.path, pattern) or fnmatchcase(change.path, f"*/{pattern}"):
        return True
    parts = pattern.split("/")
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return bool(change.link_target) and any(
        fnmatchcase(change.path, glob) or fnmatchcase(change.path, f"*/{glob}") for glob in above
    )


def _leads_out(change: Change, diff: WorkspaceDiff) -> bool:
    """Tell whether a link points out of its workspace, as far as its text alone says.

    A `..` behind another part may lead anywhere, as that part may be a link itself.
    """
    workspace = PurePosixPath(diff.workspace)
    target = PurePosixPath(change.link_target)
    if target.is_absolute():
        return ".." in target.parts or not target.is_relative_to(workspace)
    ups = 0
    while ups < len(target.parts) and target.parts[ups] == "..":
        ups += 1
    depth = len(PurePosixPath(change.path).parent.parts)
    return ".." in target.parts[ups:] or ups > depth
