"""The HTTP check against servers that misbehave."""

import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.looking import Stage
from tests.support.servers import (
    Behaviour,
    answering,
    flooding,
    resetting,
    scripted,
    silent,
    trickling,
)

from resile.core.vocabulary import CheckState
from resile.health import CheckKind, CheckResult
from resile.health.checks.http import BODY_BYTES_MAX, HEAD_BYTES_MAX, _tls

UP, DOWN = CheckState.UP, CheckState.DOWN
CERTIFICATE = Path(__file__).parents[2] / "support" / "data" / "localhost.pem"
UNBOUNDED_S = 10.0


def get(stage: Stage, behave: Behaviour, *, path: str = "/", **options: float) -> CheckResult:
    timeout_s = options.pop("timeout_s", 10.0)
    with scripted(behave) as served:
        return stage.look(CheckKind.HTTP, served.url + path, timeout_s=timeout_s, options=options)


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", UP, "HTTP 200"),
        (b"HTTP/1.0 204 No Content\r\n\r\n", UP, "HTTP 204"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", UP, "HTTP 302"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", DOWN, "HTTP 404"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", UP, "HTTP 200"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            UP,
            "HTTP 200",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
            DOWN,
            "connection closed after 2 of 9 bytes from",
        ),
        (b"", DOWN, "connection closed before an answer from"),
        (b"HTTP/1.1 200 OK\r\nSer", DOWN, "connection closed before an answer from"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", DOWN, "no HTTP answer from"),
        (b"HTTP/1.1 abc\r\n\r\n", DOWN, "no HTTP answer from"),
        (b"HTTP/1.1 20\r\n\r\n", DOWN, "no HTTP answer from"),
        (b"\x15\x03\x01\x00\x02\x02\n\r\n\r\n", DOWN, "no HTTP answer from"),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_BYTES_MAX + 100_000),
            DOWN,
            "more than 32 KiB of headers from",
        ),
    ],
)
def test_answer_is_judged_by_its_status(
    stage: Stage, answer: bytes, state: CheckState, reason: str
) -> None:
    result = get(stage, answering(answer))

    assert (result.state, result.reason[: len(reason)]) == (state, reason)


@pytest.mark.parametrize(
    "behave",
    [
        silent,
        trickling(b"", b"H"),
        trickling(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        trickling(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        trickling(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1"),
    ],
)
def test_server_that_trickles_does_not_extend_the_time(stage: Stage, behave: Behaviour) -> None:
    result = get(stage, behave, timeout_s=0.3)

    assert (result.state, result.reason) == (DOWN, "no answer within 300ms")
    assert 0.3 <= result.latency_s < UNBOUNDED_S


def test_trickling_interim_answers_do_not_extend_the_time(stage: Stage) -> None:
    result = get(stage, trickling(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), timeout_s=0.3)

    assert result.reason == "no answer within 300ms"


@pytest.mark.parametrize("length", [b"Content-Length: 10000000000\r\n", b""])
def test_endless_body_is_read_only_so_far(stage: Stage, length: bytes) -> None:
    result = get(stage, flooding(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n"))

    assert result.state is UP


def test_body_up_to_the_limit_is_read_to_its_end(stage: Stage) -> None:
    """A server that is cut off in the middle would log an error for each look."""
    sent = threading.Event()

    def behave(connection: object, is_over: threading.Event) -> None:
        body = b"x" * BODY_BYTES_MAX
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)  # type: ignore[attr-defined]
        if connection.recv(1) == b"":  # type: ignore[attr-defined]
            sent.set()

    assert get(stage, behave).state is UP  # type: ignore[arg-type]
    assert sent.is_set()


def test_reset_is_named(stage: Stage) -> None:
    result = get(stage, resetting)

    assert (result.state, result.reason[:24]) == (DOWN, "connection reset by http")


def test_redirect_is_not_followed(stage: Stage) -> None:
    with scripted(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as target:
        location = f"Location: {target.url}/".encode()
        redirect = answering(b"HTTP/1.1 301 Moved\r\n" + location + b"\r\n\r\n")

        assert get(stage, redirect).state is UP
        assert target.requests == []


@pytest.mark.parametrize(
    ("status", "state", "reason"), [(200, DOWN, "HTTP 404 from "), (404, UP, "HTTP 404 from ")]
)
def test_one_status_can_be_the_good_one(
    stage: Stage, status: int, state: CheckState, reason: str
) -> None:
    result = get(stage, answering(b"HTTP/1.1 404 Not Found\r\n\r\n"), status=status)

    assert (result.state, result.reason[: len(reason)]) == (state, reason)
    assert result.reason.endswith(", expected 200") == (state is DOWN)


def test_request_is_a_plain_get(stage: Stage) -> None:
    with scripted(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as served:
        stage.look(CheckKind.HTTP, f"{served.url}/a/b?c=d#e")

    assert served.requests == [
        b"GET /a/b?c=d HTTP/1.1\r\n"
        b"Host: 127.0.0.1:%d\r\n"
        b"User-Agent: resile\r\nAccept: */*\r\nConnection: close\r\n\r\n" % served.port
    ]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:80",
        "http://",
        "http://host:99999/",
        "http://host:x/",
        "http://[::1/",
        "http://user:secret@host/",
        "http://host/a b",
        "http://host/\r\nX-Injected: 1",
        "http://höst/",
        "file:///etc/passwd",
    ],
)
def test_malformed_url_is_down_with_a_hint(stage: Stage, url: str) -> None:
    result = stage.look(CheckKind.HTTP, url)

    assert result.state is DOWN
    assert result.reason.endswith("write http://127.0.0.1:8080/health")
    assert "secret" not in result.reason


def test_name_without_address_is_named(stage: Stage) -> None:
    result = stage.look(CheckKind.HTTP, "http://no-such-host.invalid/", timeout_s=0.5)

    assert result.reason.startswith("cannot resolve the host of http://no-such-host.invalid/")


@pytest.fixture
def tls() -> Iterator[Behaviour]:
    """Speak TLS with a certificate for localhost that signed itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    def behave(connection: object, _: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:  # type: ignore[arg-type]
            wrapped.recv(65536)
            wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    _tls.cache_clear()
    yield behave
    _tls.cache_clear()


def test_tls_is_spoken_and_the_certificate_checked(
    stage: Stage, tls: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(tls, wants_request=False) as served:
        unknown = stage.look(CheckKind.HTTP, f"https://localhost:{served.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(CERTIFICATE))
        _tls.cache_clear()
        known = stage.look(CheckKind.HTTP, f"https://localhost:{served.port}/")

    assert (unknown.state, known.state) == (DOWN, UP)
    assert "CERTIFICATE_VERIFY_FAILED" in unknown.reason
    assert unknown.certificate is None
    assert known.certificate is not None
    assert known.certificate.since < known.at < known.certificate.until


def test_tls_handshake_that_hangs_ends_in_time(stage: Stage, tls: Behaviour) -> None:
    with scripted(silent) as served:
        result = stage.look(CheckKind.HTTP, f"https://localhost:{served.port}/", timeout_s=0.3)

    assert result.reason == "no answer within 300ms"
