"""Pinging PostgreSQL where the server stops making sense in the middle."""

import socket
import threading

import pytest
from tests.support.servers import REQUEST_BYTES_MAX, Behaviour, scripted

from resile.clients import postgres
from resile.errors import OperationError

WELCOME = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"
"""AuthenticationOk and ReadyForQuery."""
CANCELLED = b"SERROR\0C57014\0Mcanceling statement due to conflict\0\0"
FAILURE = b"E" + (len(CANCELLED) + 4).to_bytes(4, "big") + CANCELLED + b"Z\0\0\0\x05I"
EMPTY = b"I\0\0\0\x04Z\0\0\0\x05I"
"""EmptyQueryResponse: not what `SELECT 1` is answered with."""


def welcoming(answer: bytes | None) -> Behaviour:
    """Let the client in, then answer its query; None hangs."""

    def behave(connection: socket.socket, is_over: threading.Event) -> None:
        connection.sendall(WELCOME)
        connection.recv(REQUEST_BYTES_MAX)
        if answer is None:
            is_over.wait()
        else:
            connection.sendall(answer)

    return behave


def ping(behave: Behaviour, *, timeout_s: float = 10.0) -> None:
    with scripted(behave) as served:
        dsn = f"postgresql://u@127.0.0.1:{served.port}/db?sslmode=disable&gssencmode=disable"
        postgres.ping(dsn, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (FAILURE, "canceling statement due to conflict"),
        (b"", "server closed the connection unexpectedly"),
        (EMPTY, "no error details available"),
    ],
)
def test_query_that_fails_is_an_operation_error(answer: bytes, message: str) -> None:
    with pytest.raises(OperationError, match=message) as caught:
        ping(welcoming(answer))

    assert caught.value.is_transient


def test_query_that_hangs_times_out() -> None:
    with pytest.raises(TimeoutError):
        ping(welcoming(None), timeout_s=0.3)


def test_time_is_over_before_it_began() -> None:
    with pytest.raises(TimeoutError):
        ping(welcoming(None), timeout_s=0.0)
