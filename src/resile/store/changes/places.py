"""Where a folder's log is: in the state folder of the system, found by the folder's real path.

    changes/ID/folder.json      whose log it is, and from when on it has everything
    changes/ID/log/             the transaction log
    changes/ID/log.damaged/     one that was found damaged and made way for a new one
    changes/ID/blobs/           contents that are too big for the log

ID is made from the path, so that one look tells whether a folder has a log.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from blake3 import blake3

from resile.core.files import write_durable
from resile.store.writeahead.model import CHANGES_NAME

_RECORD_NAME = "folder.json"
_RECORD_BYTES_MAX = 1 << 20
_VERSION = 1
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The log of one folder.

    Args:
        path: Where it is.
        folder: Whose it is, without links.
        began_at: From then on it has what was committed.
        excludes: Patterns of what it leaves out, as the folder's snapshots do.
    """

    path: Path
    folder: Path
    began_at: datetime
    excludes: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """The transaction log."""
        return self.path / "log"

    @property
    def damaged_log(self) -> Path:
        """The one before it, if that was damaged."""
        return self.path / "log.damaged"

    @property
    def blobs(self) -> Path:
        """What is too big for the log."""
        return self.path / "blobs"


def place_path(state: Path, folder: Path) -> Path:
    """Give where the log of a folder is, or would be."""
    name = blake3(os.fsencode(folder.resolve())).hexdigest()[:_ID_DIGITS]
    return state / CHANGES_NAME / name


def find_place(state: Path, folder: Path) -> Place | None:
    """Find the log of a folder; None if it has none."""
    return _read(place_path(state, folder))


def all_places(changes: Path) -> Iterator[Place]:
    """Give every log in a folder `changes`."""
    for path in sorted(changes.iterdir()) if changes.is_dir() else ():
        if (place := _read(path)) is not None:
            yield place


def write_place(place: Place) -> None:
    """Note whose log it is; durable.

    Raises:
        OperationError: If it could not be written.
    """
    data: dict[str, Any] = {
        "version": _VERSION,
        "folder": os.fsencode(place.folder).hex(),
        "began_at": place.began_at.isoformat(),
        "excludes": list(place.excludes),
    }
    data["check"] = _check(data)
    write_durable(place.path / _RECORD_NAME, json.dumps(data).encode())


def forget_place(state: Path, folder: Path) -> None:
    """Let a folder have no log from now on; what is in it stays where it is.

    Raises:
        OSError: If it could not be removed.
    """
    (place_path(state, folder) / _RECORD_NAME).unlink(missing_ok=True)


def _read(path: Path) -> Place | None:
    """Read whose log it is; a damaged note is none: the next beginning writes it again."""
    try:
        with (path / _RECORD_NAME).open("rb") as file:
            data = json.loads(file.read(_RECORD_BYTES_MAX))
        check = data.pop("check")
        if (check, data["version"]) != (_check(data), _VERSION):
            return None
        return Place(
            path=path,
            folder=Path(os.fsdecode(bytes.fromhex(data["folder"]))),
            began_at=datetime.fromisoformat(data["began_at"]),
            excludes=tuple(data["excludes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _check(data: dict[str, Any]) -> str:
    return blake3(json.dumps(data).encode()).hexdigest()
