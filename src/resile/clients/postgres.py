"""Ask PostgreSQL whether it answers, within one deadline over all steps.

Through libpq's own asynchronous calls: `connect_timeout` knows whole seconds only, counts for
each host anew, and does not bound the query.

Source: libpq, "Asynchronous Command Processing" and "PQconnectStart".
"""

import select
from typing import Any

from resile.clients._extras import require
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError, OperationError

_QUERY = b"SELECT 1"


def ping(dsn: str, *, timeout_s: float, clock: Clock = SYSTEM_CLOCK) -> None:
    """Connect, run `SELECT 1`, disconnect. Blocks; safe to call from any thread.

    Finding the addresses of a host's name is the resolver's business and not bounded.

    Args:
        dsn: A libpq connection string or URI. It never appears in an error.
        timeout_s: For everything together, above 0.
        clock: Measures the time.

    Raises:
        TimeoutError: If it took longer.
        ConfigError: If the DSN cannot be read.
        OperationError: If the server refuses or fails; transient.
        MissingExtraError: If psycopg is not installed.
    """
    pq = require("psycopg.pq", extra="daemon")
    psycopg = require("psycopg", extra="daemon")
    conninfo = _checked(pq, psycopg, dsn)
    deadline_s = clock.monotonic() + timeout_s
    connection = pq.PGconn.connect_start(conninfo)
    try:
        _connect(pq, connection, deadline_s, clock)
        _query(pq, connection, deadline_s, clock)
    except psycopg.Error as exc:
        raise OperationError(str(exc).strip(), is_transient=True) from exc
    finally:
        connection.finish()


def _checked(pq: Any, psycopg: Any, dsn: str) -> bytes:
    conninfo = dsn.encode()
    try:
        pq.Conninfo.parse(conninfo)
    except psycopg.Error:
        # Not chained: libpq repeats parts of the DSN, and those may be a password.
        raise ConfigError(
            "the DSN cannot be read by libpq", hint="write postgresql://user@host/database"
        ) from None
    return conninfo


def _connect(pq: Any, connection: Any, deadline_s: float, clock: Clock) -> None:
    wanted = select.POLLOUT
    while connection.status != pq.ConnStatus.BAD:
        _wait(connection.socket, wanted, deadline_s, clock)
        match connection.connect_poll():
            case pq.PollingStatus.OK:
                return
            case pq.PollingStatus.READING:
                wanted = select.POLLIN
            case pq.PollingStatus.WRITING:
                wanted = select.POLLOUT
            case _:
                break
    raise OperationError(connection.get_error_message().strip(), is_transient=True)


def _query(pq: Any, connection: Any, deadline_s: float, clock: Clock) -> None:
    connection.nonblocking = 1
    connection.send_query(_QUERY)
    while connection.flush():
        _wait(connection.socket, select.POLLOUT, deadline_s, clock)
    connection.consume_input()
    while connection.is_busy():
        _wait(connection.socket, select.POLLIN, deadline_s, clock)
        connection.consume_input()
    result = connection.get_result()
    if result is None or result.status != pq.ExecStatus.TUPLES_OK:
        raise OperationError(connection.get_error_message().strip(), is_transient=True)


def _wait(fd: int, wanted: int, deadline_s: float, clock: Clock) -> None:
    left_s = deadline_s - clock.monotonic()
    poll = select.poll()
    poll.register(fd, wanted)
    if left_s <= 0 or not poll.poll(left_s * 1000):
        raise TimeoutError
