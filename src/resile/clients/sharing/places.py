"""Where the breakers of this process are shared: over the daemon's socket, or PostgreSQL."""

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from resile.clients.lane import Lane
from resile.clients.sharing.agreement import Agreement
from resile.clients.sharing.wording import record_from

if TYPE_CHECKING:
    from resile.clients.sharing.postgres import PostgresSharing

logger = logging.getLogger(__name__)

TOPIC = "shared"
AGREEMENT = Agreement()
"""Of this process's guards."""

_lock = threading.Lock()
_place: "Place | None" = None


class Place(Protocol):
    """Where the keeper is."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    @property
    def trouble(self) -> str:
        """Why it cannot be reached, so that each process decides by itself; empty if it can."""
        ...


class LaneSharing:
    """Shares over the daemon. Its work is done in the lane's thread.

    Args:
        lane: To the daemon.
        agreement: Of which breakers.
    """

    name = "on this machine"

    def __init__(self, lane: Lane, agreement: Agreement) -> None:
        self._lane = lane
        self._agreement = agreement
        self._connection = 0
        self._names: list[str] = []

    @property
    def trouble(self) -> str:
        """Tell why the daemon cannot be reached; empty if it can."""
        return self._lane.trouble

    def start(self) -> None:
        """Begin to look at the breakers, unless they are shared elsewhere."""
        self._lane.on(TOPIC, self._hear)
        self._lane.work(self._look)

    def _look(self) -> None:
        if _place is not self:
            return
        self._meet()
        names = self._agreement.names()
        if names != self._names:
            self._names = names
            self._lane.publish(TOPIC, names)
        if not self._lane.trouble:
            for claim in self._agreement.step():
                self._lane.send(TOPIC, claim._asdict())

    def _meet(self) -> None:
        """Forget what an earlier daemon said."""
        if self._lane.connections != self._connection:
            self._connection = self._lane.connections
            self._agreement.forget()

    def _hear(self, value: Any) -> None:
        self._meet()
        self._agreement.hear(record_from(value))
        self._look()


def share_over(lane: Lane) -> None:
    """Share over the daemon, unless something else was named before."""
    global _place  # noqa: PLW0603 - one place for one process
    sharing = LaneSharing(lane, AGREEMENT)
    with _lock:
        _place = _place or sharing
    sharing.start()


def share(dsn: str) -> "PostgresSharing":
    """Share the breakers that are `shared=True` through PostgreSQL, so over machines. Does not wait.

    In place of the daemon, for all of this process; a thread of its own looks twice a second. While the
    database does not answer each process decides by itself; that is logged, and shown in `trouble`.
    It makes the table `resile_breaker`, if there is none. Processes with the same guards on the
    same table agree: give each system a schema of its own, by `options=-csearch_path%3Dshop`.

    Args:
        dsn: A libpq connection string or URI. It never appears in an error or a log.

    Returns:
        What shares, with its `trouble`.

    Raises:
        ConfigError: If the DSN cannot be read.
        MissingExtraError: If psycopg is not installed.
    """
    from resile.clients.sharing.postgres import PostgresSharing

    global _place
    sharing = PostgresSharing(dsn, AGREEMENT)
    with _lock:
        before, _place = _place, sharing
        AGREEMENT.forget()
    if isinstance(before, PostgresSharing):
        before.close()
    sharing.start()
    return sharing


def shared_with(*, is_shared: bool) -> str:
    """Tell for people with whom a breaker is shared now; empty if it is not to be."""
    if not is_shared:
        return ""
    if _place is None:
        return "with nobody: neither a daemon nor a database was named"
    return f"with nobody: {_place.trouble}" if _place.trouble else _place.name
