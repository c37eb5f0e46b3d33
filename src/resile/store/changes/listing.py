"""What the log of a folder holds, read beside whoever writes it."""

from collections.abc import Iterator
from pathlib import Path

from resile.store.changes.places import Place, find_place
from resile.store.log import LogLook
from resile.store.transactions import Committed
from resile.store.transactions.reading import commits


class CommitList:
    """The commits in the log of a folder. Not thread-safe.

    Args:
        place: Of the log; None: there is none.
    """

    def __init__(self, place: Place | None) -> None:
        self.place = place
        self._look: LogLook | None = None

    def __iter__(self) -> Iterator[Committed]:
        """Give them in their order, up to the first damage.

        Raises:
            NotAStoreError: If the log's format is one to come.
            StoreError: If it could not be read.
        """
        if self.place is not None:
            self._look = LogLook(self.place.log)
            yield from commits(self._look.records(), None)

    @property
    def damage(self) -> str:
        """What is wrong with the log; known when all were given."""
        return "" if self._look is None else self._look.damage


def list_commits(state: Path, folder: Path) -> CommitList:
    """Give what was committed in a folder since its log began, or was trimmed.

    Args:
        state: The state folder of the system.
        folder: Which.
    """
    return CommitList(find_place(state, folder))
