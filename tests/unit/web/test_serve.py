import contextlib
import socket
from pathlib import Path

import httpx
import pytest
from tests.unit.web.site import serving

from resile.core.events import ServiceReady
from resile.core.vocabulary import Verb
from resile.testing.view import FakeSystemView
from resile.web import create_control_app, serve


def test_a_tcp_server_streams_and_ends_at_once_when_told() -> None:
    view = FakeSystemView()
    with (
        serving(view) as site,
        httpx.Client(base_url=site.url, timeout=20) as client,
        client.stream("GET", "/events") as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        site.change(lambda: view.append(ServiceReady(service="a", generation=1, after_s=0)))
        assert next(line for line in lines if line.startswith("id:")) == "id: 1"

        site.server.should_exit = True

        # The stream ends whole: httpx raises if a chunked answer is cut off.
        assert not [line for line in lines if line.startswith("id:")]


def test_tcp_connections_neither_wait_for_acknowledgements_nor_hang_for_ever() -> None:
    with serving(FakeSystemView()) as site, socket.create_connection(site.address):
        no_delay = site.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        timeout_ms = site.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert no_delay == 1
    assert timeout_ms == 30_000


def test_the_control_application_is_served_on_a_unix_socket(tmp_path: Path) -> None:
    view = FakeSystemView()
    path = tmp_path / "resile.sock"

    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))

    with (
        serving(view, app=create_control_app(view), sock=sock),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=20) as client,
    ):
        answer = client.post("http://resile/api/restart")

    assert answer.status_code == 202
    assert view.requests == [(Verb.RESTART, (), "operator")]


@pytest.mark.parametrize(
    "raw", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
)
def test_nonsense_does_not_hurt_the_server(raw: bytes) -> None:
    with serving(FakeSystemView()) as site:
        with socket.create_connection(site.address, timeout=20) as sock:
            sock.sendall(raw)
            assert sock.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))

        assert httpx.get(f"{site.url}/livez").text == "ok\n"


@pytest.mark.parametrize("before", [b"", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_half_of_a_request_is_not_waited_for_for_ever(
    before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEAD_TIMEOUT_S", 0.05)
    with (
        serving(FakeSystemView()) as site,
        socket.create_connection(site.address, timeout=20) as sock,
        sock.makefile("rb") as answers,
    ):
        sock.sendall(before)
        while before and answers.readline() != b"\r\n":
            pass
        sock.sendall(b"GET / HT")

        assert answers.read() in (b"", b"ok\n")


def test_answer_that_takes_long_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_TIMEOUT_S", 0.05)
    view = FakeSystemView()
    with (
        serving(view) as site,
        httpx.Client(base_url=site.url, timeout=20) as client,
        client.stream("GET", "/events") as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        with socket.create_connection(site.address, timeout=20) as later:
            assert later.recv(1) == b""  # A later connection's time is over: the stream's as well.

        site.change(lambda: view.append(ServiceReady(service="a", generation=1, after_s=0)))
        assert next(line for line in lines if line.startswith("id:")) == "id: 1"


def test_connections_above_the_limit_are_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "OPEN_MAX", 2)
    with serving(FakeSystemView()) as site, contextlib.ExitStack() as stack:
        first = stack.enter_context(httpx.Client(base_url=site.url, timeout=20))
        second = stack.enter_context(httpx.Client(base_url=site.url, timeout=20))
        assert first.get("/livez").text == second.get("/livez").text == "ok\n"

        third = stack.enter_context(socket.create_connection(site.address, timeout=20))
        with contextlib.suppress(ConnectionResetError):
            assert third.recv(1) == b""

        assert first.get("/livez").text == "ok\n"
