"""What a path may look like: relative, without tricks, and nothing of resile's own."""

import os

from resile.errors import TransactionError
from resile.store.transactions.model import PATH_BYTES_MAX
from resile.store.writeahead.model import DEPTH_MAX, STAGE_PREFIX


def check_path(path: str) -> None:
    """Refuse a path that does not name something in the folder.

    Raises:
        TransactionError: If it is empty, absolute, too long or too deep, has an empty part, `.`,
            `..` or a zero in it, or begins as the stages do.
    """
    parts = path.split("/")
    if not path or path.startswith("/"):
        fault = "it is not relative to the folder"
    elif {"", ".", ".."} & set(parts) or "\0" in path:
        fault = "it has an empty part, a dot, two dots or a zero in it"
    elif len(parts) > DEPTH_MAX or len(os.fsencode(path)) > PATH_BYTES_MAX:
        fault = f"it is longer than {PATH_BYTES_MAX} bytes or {DEPTH_MAX} folders"
    elif parts[0].startswith(STAGE_PREFIX):
        fault = "the name is resile's own"
    else:
        return
    raise TransactionError(
        f"{path[:80]!r} cannot be worked on: {fault}",
        hint="Give a path such as data/notes.txt.",
    )
