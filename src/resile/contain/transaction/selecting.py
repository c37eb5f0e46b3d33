"""Which operations a commit of some paths takes, and what is left after it. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from resile.contain.transaction.model import Operation, Sealed
from resile.contain.transaction.sealing import parents_of
from resile.errors import TransactionError

_NAMED_MAX = 5


def selected(sealed: Sealed, paths: Sequence[str]) -> tuple[Operation, ...]:
    """Give the operations that some paths stand for.

    A path stands for what is done to it and to all below it; inside of a new or deleted folder it
    stands for that whole folder. Inside of anything else there is nothing. Names of one new file
    belong together.

    Args:
        sealed: All operations.
        paths: Relative to the workspace; empty: all.
    """
    if not paths:
        return sealed.operations
    chosen = [o for o in sealed.operations if any(_stands_for(path, o) for path in paths)]
    while True:
        groups = {group for o in chosen for group in o.groups}
        more = [o for o in sealed.operations if o in chosen or groups & set(o.groups)]
        if len(more) == len(chosen):
            return tuple(chosen)
        chosen = more


def unknown_paths(sealed: Sequence[Sealed], paths: Sequence[str]) -> list[str]:
    """List the paths for which nothing is done in any workspace."""
    return [
        path
        for path in paths
        if not any(_stands_for(path, o) for part in sealed for o in part.operations)
    ]


def remaining(sealed: Sealed, committed: Sequence[Operation]) -> Sealed:
    """Give what is left after some operations were committed."""
    gone = {operation.path for operation in committed}
    left = tuple(o for o in sealed.operations if o.path not in gone)
    paths = {operation.path for operation in left}
    above = {parent for operation in left for parent in parents_of(operation.path)}
    return replace(
        sealed,
        operations=left,
        changes=tuple(c for c in sealed.changes if paths & {c.path, *parents_of(c.path)}),
        folders=tuple(folder for folder in sealed.folders if folder.path in above),
        sources=sealed.sources if left else (),
        skipped=sealed.skipped,
    )


def check_known(sealed: Sequence[Sealed], paths: Sequence[str]) -> None:
    """Refuse paths that stand for nothing.

    Raises:
        TransactionError: If there is one.
    """
    unknown = unknown_paths(sealed, paths)
    if unknown:
        for path in unknown:
            _check_folders(sealed, path)
        named = ", ".join(unknown[:_NAMED_MAX])
        raise TransactionError(
            f"{len(unknown)} of the paths have no change: {named}",
            hint="Paths are relative to the workspace, as the diff shows them.",
        )


def _stands_for(path: str, operation: Operation) -> bool:
    """Tell whether a path is the operation's, above it, or inside of the folder that it is about."""
    if path in (".", operation.path) or operation.path.startswith(f"{path}/"):
        return True
    is_inside = operation.after is None and path.startswith(f"{operation.path}/")
    return is_inside and _is_of_folder(operation)


def _is_of_folder(operation: Operation) -> bool:
    """Tell whether a folder comes or goes: only then is something inside of it."""
    was_folder = operation.base is not None and operation.base.is_folder
    return was_folder or operation.file_type == "folder"


def _check_folders(sealed: Sequence[Sealed], path: str) -> None:
    """Refuse a path that leads through what is no folder."""
    for operation in (o for part in sealed for o in part.operations):
        if path.startswith(f"{operation.path}/") and not _is_of_folder(operation):
            raise TransactionError(
                f"{path} has no change: {operation.path} is a {operation.file_type}, not a folder",
                hint=f"Name {operation.path} itself, or another path that the diff shows.",
            )
