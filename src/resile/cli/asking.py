"""Ask the storekeeper of this system for a snapshot: it knows already what changed."""

import json
from dataclasses import dataclass
from pathlib import Path

from resile.cli.places import find_places
from resile.cli.stores import StoreOptions, place_of
from resile.core.unix import connect_unix
from resile.errors import ConfigError, StoreError
from resile.store import Repository, Taken, Why, open_backend

SOCKET_NAME = "storekeeper.sock"
TIMEOUT_S = 3600.0
"""The first snapshot of a large folder takes minutes, and may have to wait for another one."""
_ANSWER_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the storekeeper did.

    Args:
        snapshot_id: The snapshot that it took.
        is_changed: Something differs from the one before.
        why: Why files were read.
    """

    snapshot_id: str
    is_changed: bool
    why: Why

    def in_store(self, store: Repository) -> Taken:
        """Give it as if it had been taken here.

        Raises:
            StoreError: If it is not there any more.
        """
        return Taken(
            snapshot=store.find(self.snapshot_id), why=self.why, is_changed=self.is_changed
        )


def ask_keeper(options: StoreOptions, folder: Path, tags: tuple[str, ...]) -> Asked | None:
    """Have the storekeeper take a snapshot, and wait for it.

    Returns:
        What it did; None if none runs here, or it keeps another folder or store.

    Raises:
        StoreError: If it tried and could not.
    """
    try:
        path = find_places(options.config).run / SOCKET_NAME
    except ConfigError:
        return None
    request = {
        "snapshot": str(folder.absolute()),
        "tags": list(tags),
        "store": open_backend(place_of(options)[0]).url,
    }
    try:
        with connect_unix(path, timeout_s=TIMEOUT_S) as sock:
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as file:
                answer = json.loads(file.readline(_ANSWER_BYTES_MAX) or b"{}")
    except (OSError, ValueError):
        return None  # It ended meanwhile, or is another user's: the command can do it itself.
    if "error" in answer:
        raise StoreError(str(answer["error"]), hint=str(answer.get("hint", "")))
    if "id" not in answer:
        return None
    return Asked(
        snapshot_id=answer["id"], is_changed=answer["is_changed"], why=Why(**answer["why"])
    )
