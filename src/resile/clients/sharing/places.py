"""Where this process shares breakers and limits: over the daemon's socket, or PostgreSQL."""

import threading
from typing import TYPE_CHECKING, Protocol

from resile.clients.lane import Lane
from resile.clients.sharing.agreement import Agreement
from resile.clients.sharing.over_lane import LaneSharing
from resile.clients.sharing.rates import RateBook

if TYPE_CHECKING:
    from resile.clients.sharing.postgres import PostgresSharing

AGREEMENT, RATES = Agreement(), RateBook()
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


def share_over(lane: Lane) -> None:
    """Share over the daemon, unless something else was named before."""
    global _place  # noqa: PLW0603 - one place for one process
    sharing = LaneSharing(lane, AGREEMENT, RATES, is_chosen=lambda one: _place is one)
    with _lock:
        _place = _place or sharing
    sharing.start()


def share(dsn: str) -> "PostgresSharing":
    """Share what is `shared=True` through PostgreSQL, so over machines. Does not wait.

    In place of the daemon, for all of this process; a thread of its own looks twice a second. While
    the database does not answer each process decides by itself; that is logged, and shown in
    `trouble`. It makes the tables `resile_breaker` and `resile_rate`, if there are none. Processes
    with the same guards on the same tables agree: give each system a schema of its own, by
    `options=-csearch_path%3Dshop`.

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
    sharing = PostgresSharing(dsn, AGREEMENT, RATES)
    with _lock:
        before, _place = _place, sharing
        AGREEMENT.forget()
    if isinstance(before, PostgresSharing):
        before.close()
    sharing.start()
    return sharing


def shared_names() -> set[str]:
    """Give the names of the guards here whose state is to be shared."""
    return {*AGREEMENT.names(), *RATES.names()}


def shared_with(*, is_shared: bool) -> str:
    """Tell for people with whom a guard's state is shared now; empty if it is not to be."""
    if not is_shared:
        return ""
    if _place is None:
        return "with nobody: neither a daemon nor a database was named"
    return f"with nobody: {_place.trouble}" if _place.trouble else _place.name
