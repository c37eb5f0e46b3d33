"""The health server against clients that mean it no good, over real sockets."""

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.support.probing import PATIENCE_S, hanging, over_socket, service

import resile
from resile import ConfigError, OperationError
from resile.health.endpoints import server as server_module
from resile.health.endpoints.server import CONNECTIONS_MAX, HEAD_BYTES_MAX, HealthServer

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
ALIVE = b'{"alive": true}\n'


@pytest.fixture
def health() -> Iterator[resile.Health]:
    with service() as health:
        yield health


@pytest.fixture
def server(health: resile.Health) -> Iterator[HealthServer]:
    with health.serve(0) as server:
        yield server


def connect(server: HealthServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=PATIENCE_S)


def answer_to(server: HealthServer, sent: bytes, *, ends: bool = False) -> bytes:
    """Send bytes and read until the server closes."""
    with connect(server) as client:
        client.sendall(sent)
        if ends:
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    data = b""
    while piece := client.recv(1 << 16):
        data += piece
    return data


def wait_until_open(server: HealthServer, *, at_most: int) -> None:
    """Wait until the server has so many connections at most."""
    wait_until(lambda: len(server._open) <= at_most)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_it_listens_on_loopback_only(server: HealthServer) -> None:
    assert server.host == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.port}"


def test_it_listens_on_ipv6_loopback_when_told(health: resile.Health) -> None:
    with health.serve(0, host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert answer_to(server, LIVE).endswith(ALIVE)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /health/live HTTP/1.0", 200),
        (b"GET /health%2Flive HTTP/1.1", 200),
        (b"GET http://any.host/health/live HTTP/1.1", 200),
        (b"GET /health/live", 400),
        (b"GET  /health/live HTTP/1.1", 400),
        (b"GET /health/live FTP/1.1", 400),
        (b"GET http://[::1/health/live HTTP/1.1", 400),
        (b"GET /health/live HTTP/2.0", 505),
        (b"", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (b"GET /\x00 HTTP/1.1", 404),
        (b"GET /../../etc/passwd HTTP/1.1", 404),
        (b"get /health/live HTTP/1.1", 405),
    ],
)
def test_each_request_line_gets_its_status(
    server: HealthServer, request_line: bytes, status: int
) -> None:
    answer = answer_to(server, request_line + b"\r\n\r\n")

    assert status_of(answer) == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_error_of_our_own_is_answered_and_logged(
    server: HealthServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    async def fail(*_: object) -> None:
        raise KeyError("a mistake of ours")

    with monkeypatch.context() as broken:
        broken.setattr(server._endpoint, "answer_async", fail)
        answer = answer_to(server, method.encode() + b" /health/ready HTTP/1.1\r\n\r\n")

    assert status_of(answer) == 500
    assert b"mistake" not in answer
    assert answer.endswith(b"}\n") == (method == "GET")
    (record,) = caplog.records
    assert record.getMessage() == "health.answer_failed path='/health/ready'"
    assert record.exc_info is not None
    assert answer_to(server, LIVE).endswith(ALIVE)


def test_a_head_without_an_end_is_refused(server: HealthServer) -> None:
    endless = b"GET /health/live HTTP/1.1\r\nX: " + b"y" * (4 * HEAD_BYTES_MAX)

    assert status_of(answer_to(server, endless)) == 431


def test_of_requests_in_one_piece_the_first_is_answered(server: HealthServer) -> None:
    answer = answer_to(server, LIVE * 50)

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close\r\n" in answer


def test_a_body_is_thrown_away_and_the_answer_arrives(server: HealthServer) -> None:
    body = b"x" * 200_000
    head = b"POST /health HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)

    assert status_of(answer_to(server, head + body, ends=True)) == 405


def test_who_hangs_up_early_is_forgotten(server: HealthServer) -> None:
    for sent in (b"", b"GET /hea", LIVE):
        with connect(server) as client:
            client.sendall(sent)

    assert answer_to(server, LIVE).endswith(ALIVE)


def test_a_client_that_is_slow_to_ask_is_cut_off(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "READ_TIMEOUT_S", 0.05)

    assert status_of(answer_to(server, b"GET /health/live HTT")) == 408


def test_a_client_that_does_not_read_is_cut_off(
    health: resile.Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "WRITE_TIMEOUT_S", 0.05)
    gauge = health.add_gauge("queue_jobs", "Jobs.", labels=("queue",))
    for number in range(900):
        gauge.set(1, queue=f"{number:03}" * 5000)  # More than the kernel's buffers take.
    with health.serve(0) as server, connect(server) as client:
        client.sendall(LIVE.replace(b"/health/live", b"/metrics"))

        assert answer_to(server, LIVE).endswith(ALIVE)
        wait_until_open(server, at_most=0)
        assert len(read_all(client)) < 900 * 15_000, "the answer went on"


def test_slow_clients_keep_nobody_from_being_answered(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "READ_TIMEOUT_S", 10 * PATIENCE_S)
    with ExitStack() as stack:
        for _ in range(2 * CONNECTIONS_MAX):
            stack.enter_context(connect(server)).sendall(b"GET /health/li")

        assert answer_to(server, LIVE).endswith(ALIVE)
        wait_until_open(server, at_most=CONNECTIONS_MAX)


def test_many_at_once_are_all_answered_by_one_thread(server: HealthServer) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(CONNECTIONS_MAX - 1)]
        for client in clients:
            client.sendall(LIVE)

        assert all(read_all(client).endswith(ALIVE) for client in clients)
    assert threading.active_count() == before


def test_liveness_is_answered_while_every_check_hangs(health: resile.Health) -> None:
    with hanging() as gate, over_socket(health) as ask:
        for number in range(100):
            health.check(f"check{number}", critical=True, timeout="50ms")(gate)
        slow = threading.Thread(target=ask, args=("GET", "/health"))
        slow.start()

        assert ask("GET", "/health/live").status == 200
        slow.join(PATIENCE_S)
        assert ask("GET", "/health").status == 503


def test_closing_frees_the_port_and_ends_the_thread(health: resile.Health) -> None:
    server = health.serve(0)
    with connect(server) as idle:
        server.close()
        server.close()

        with suppress(ConnectionResetError):  # It may have waited to be accepted.
            assert idle.recv(1) == b""
    assert not server._thread.is_alive()
    with health.serve(server.port) as again:
        assert answer_to(again, LIVE).endswith(ALIVE)


def test_closing_forgets_no_connection_that_has_just_come(health: resile.Health) -> None:
    for _ in range(10):
        server = health.serve(0)
        with ExitStack() as stack:
            clients = [stack.enter_context(connect(server)) for _ in range(5)]
            server.close()
            for client in clients:
                with suppress(ConnectionResetError):
                    assert client.recv(1) == b""


def test_without_descriptors_it_waits_and_goes_on(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_ACCEPT_PAUSE_S", 0.01)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connect(server) as last, ExitStack() as stack:
        assert answer_to(server, LIVE).endswith(ALIVE)
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        client = stack.enter_context(socket.socket())
        client.settimeout(PATIENCE_S)
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), hard))
        client.connect((server.host, server.port))
        client.sendall(LIVE)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.settimeout(PATIENCE_S)

        assert read_all(client).endswith(ALIVE)


def test_closing_lets_an_answer_end(health: resile.Health) -> None:
    with hanging() as gate:
        health.check("slow", critical=True, timeout="10s")(gate)
        server = health.serve(0)
        with connect(server) as client:
            client.sendall(LIVE.replace(b"live", b"ready"))
            assert gate.is_entered.wait(PATIENCE_S)
            closer = threading.Thread(target=server.close)
            closer.start()
            wait_until(server._is_closed.is_set)
            gate.is_open.set()

            assert status_of(read_all(client)) == 200
            closer.join(PATIENCE_S)


def test_a_port_that_is_taken_is_told_with_a_hint(
    health: resile.Health, server: HealthServer
) -> None:
    with pytest.raises(OperationError, match="Address already in use") as caught:
        health.serve(server.port)
    assert caught.value.hint

    with pytest.raises(ConfigError, match="70000"):
        health.serve(70_000)


def test_no_descriptor_is_left(health: resile.Health) -> None:
    health.serve(0).close()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(3):
        with health.serve(0) as server:
            answer_to(server, LIVE)

    assert len(list(Path("/proc/self/fd").iterdir())) <= before
