"""Ask the storekeeper of this system for a snapshot: it knows already what changed."""

from pathlib import Path
from typing import TYPE_CHECKING

from resile.cli.places import find_places
from resile.cli.stores import StoreOptions, place_of
from resile.errors import ConfigError, DaemonUnreachableError

if TYPE_CHECKING:
    from resile.store import Checkpoint

TIMEOUT_S = 3600.0
"""The first snapshot of a large folder takes minutes, and may have to wait for another one."""


def ask_keeper(options: StoreOptions, folder: Path, tags: tuple[str, ...]) -> "Checkpoint | None":
    """Have the storekeeper take a snapshot, and wait for it.

    Returns:
        None if none runs here, or it keeps another folder or store: the command can do it itself.

    Raises:
        StoreError: If it tried and could not.
    """
    try:
        state = find_places(options.config).state
    except ConfigError:
        return None
    from resile.store import ask_keeper as ask
    from resile.store import open_backend

    place = open_backend(place_of(options)[0]).url
    try:
        return ask(state, folder.absolute(), tags=tags, place=place, timeout_s=TIMEOUT_S)
    except DaemonUnreachableError:
        return None
