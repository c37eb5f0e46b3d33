"""Ask PostgreSQL, within one deadline over all steps; quote as libpq does, and make verifiers of passwords.

Through libpq's own asynchronous calls: `connect_timeout` knows whole seconds only, counts for
each host anew, and does not bound the query.

Source: libpq, "Asynchronous Command Processing" and "PQconnectStart".
"""

import select
from typing import Any

from resile.clients._extras import require
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError, OperationError

Row = tuple[str, ...]


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
    deadline_s = clock.monotonic() + timeout_s
    session = Session(dsn, deadline_s=deadline_s, clock=clock)
    try:
        session.ask("SELECT 1", deadline_s=deadline_s)
    finally:
        session.close()


def check_dsn(dsn: str) -> None:
    """Check that a DSN can be read, without connecting.

    Raises:
        ConfigError: If it cannot.
        MissingExtraError: If psycopg is not installed.
    """
    _checked(dsn)


def parts_of(dsn: str) -> dict[str, str]:
    """Take a DSN apart: what it says, by libpq's keywords (`host`, `port`, `dbname`...).

    Raises:
        ConfigError: If it cannot be read.
        MissingExtraError: If psycopg is not installed.
    """
    options = require("psycopg.pq", extra="daemon").Conninfo.parse(_checked(dsn))
    return {one.keyword.decode(): one.val.decode() for one in options if one.val is not None}


def with_parts(dsn: str, **parts: str) -> str:
    """Give a DSN with some parts in the place of its own.

    Raises:
        ConfigError: If it cannot be read.
        MissingExtraError: If psycopg is not installed.
    """
    _checked(dsn)
    made: str = require("psycopg.conninfo", extra="daemon").make_conninfo(dsn, **parts)
    return made


class Session:
    """One connection. Blocks, up to its deadlines. Not thread-safe.

    Args:
        dsn: A libpq connection string or URI. It never appears in an error.
        deadline_s: When it must stand, by the clock's `monotonic`.
        clock: Measures the time.

    Raises:
        TimeoutError: If it took longer.
        ConfigError: If the DSN cannot be read.
        OperationError: If the server refuses; transient.
        MissingExtraError: If psycopg is not installed.
    """

    def __init__(self, dsn: str, *, deadline_s: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._pq = require("psycopg.pq", extra="daemon")
        self._error: type[Exception] = require("psycopg", extra="daemon").Error
        self._clock = clock
        self._connection: Any = self._pq.PGconn.connect_start(_checked(dsn))
        try:
            self._connect(deadline_s)
        except BaseException:
            self.close()
            raise

    def ask(self, query: str, *values: str, deadline_s: float) -> list[Row]:
        """Run one statement, and give its rows as text; a NULL is an empty one.

        Args:
            query: With `$1`, `$2`... for the values.
            values: As text; the server knows their types.
            deadline_s: When the answer must be there.

        Raises:
            TimeoutError: If it took longer. The session is of no use then.
            OperationError: If the server fails or refuses; transient.
        """
        try:
            return self._ask(query, values, deadline_s)
        except self._error as exc:
            raise OperationError(str(exc).strip(), is_transient=True) from exc

    def identifier(self, name: str) -> str:
        """Quote a name for use in a statement, where no value can stand."""
        quoted: bytes = self._pq.Escaping(self._connection).escape_identifier(name.encode())
        return quoted.decode()

    def literal(self, text: str) -> str:
        """Quote a text for use in a statement, where no value can stand, as in `ALTER ROLE`."""
        quoted: bytes = self._pq.Escaping(self._connection).escape_literal(text.encode())
        return quoted.decode()

    def verifier(self, user: str, password: str) -> str:
        """Make what the server keeps of a password (SCRAM-SHA-256), here: it never gets the password.

        Raises:
            OperationError: If libpq cannot.
        """
        try:
            made: bytes = self._connection.encrypt_password(
                password.encode(), user.encode(), b"scram-sha-256"
            )
        except self._error as exc:
            raise OperationError("libpq could not make a verifier of a password") from exc
        return made.decode()

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._connection.finish()

    def _connect(self, deadline_s: float) -> None:
        polling, connection = self._pq.PollingStatus, self._connection
        wanted = select.POLLOUT
        while connection.status != self._pq.ConnStatus.BAD:
            self._wait(wanted, deadline_s)
            match connection.connect_poll():
                case polling.OK:
                    connection.nonblocking = 1
                    return
                case polling.READING:
                    wanted = select.POLLIN
                case polling.WRITING:
                    wanted = select.POLLOUT
                case _:
                    break
        raise OperationError(connection.get_error_message().strip(), is_transient=True)

    def _ask(self, query: str, values: tuple[str, ...], deadline_s: float) -> list[Row]:
        connection = self._connection
        connection.send_query_params(query.encode(), [value.encode() for value in values])
        while connection.flush():
            self._wait(select.POLLOUT, deadline_s)
        rows: list[Row] = []
        while (result := self._result(deadline_s)) is not None:
            if result.status not in (
                self._pq.ExecStatus.TUPLES_OK,
                self._pq.ExecStatus.COMMAND_OK,
            ):
                message = connection.get_error_message().strip()
                raise OperationError(message, is_transient=True)
            rows += _rows(result)
        return rows

    def _result(self, deadline_s: float) -> Any:
        self._connection.consume_input()
        while self._connection.is_busy():
            self._wait(select.POLLIN, deadline_s)
            self._connection.consume_input()
        return self._connection.get_result()

    def _wait(self, wanted: int, deadline_s: float) -> None:
        left_s = deadline_s - self._clock.monotonic()
        poll = select.poll()
        poll.register(self._connection.socket, wanted)
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise TimeoutError("PostgreSQL does not answer")


def _checked(dsn: str) -> bytes:
    pq, psycopg = require("psycopg.pq", extra="daemon"), require("psycopg", extra="daemon")
    conninfo = dsn.encode()
    try:
        pq.Conninfo.parse(conninfo)
    except psycopg.Error:
        # Not chained: libpq repeats parts of the DSN, and those may be a password.
        raise ConfigError(
            "the DSN cannot be read by libpq", hint="write postgresql://user@host/database"
        ) from None
    return conninfo


def _rows(result: Any) -> list[Row]:
    columns = range(result.nfields)
    return [
        tuple(_text(result.get_value(row, column)) for column in columns)
        for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace").strip()
