"""Look at a URL: one GET, no redirect followed, everything within one deadline.

A raw socket instead of `http.client`: at eight looks a second the daemon's idle budget counts,
and only so does one deadline hold for a server that sends a byte at a time
(bench/bench_health.py prints both figures).
"""

import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from resile.errors import ConfigError
from resile.health.checks.network import connect
from resile.health.checks.port import Deadline, Finding, LookContext, down, up
from resile.health.model import CheckSpec, Validity

if TYPE_CHECKING:
    import ssl

HEAD_BYTES_MAX = 32 << 10
"""Status line and headers; common servers send less than 8 KiB."""
BODY_BYTES_MAX = 64 << 10
"""So much of a body is read, so that a server is not cut off in the middle of a usual answer."""
_CHUNK_BYTES = 16 << 10
_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A URL, taken apart. `shown` has no query, which may hold a token."""

    is_tls: bool
    host: str
    port: int
    request: bytes
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What the headers say. `length` is -1 if they do not tell."""

    status: int
    length: int
    is_chunked: bool


class _BadAnswerError(Exception):
    """The server does not speak HTTP as it should."""


def look_http(spec: CheckSpec, context: LookContext) -> Finding:
    """GET a URL; UP if the status is `options["status"]`, by default any of 200..399."""
    target = _parse(spec.target)
    deadline = Deadline(context.clock, spec.timeout_s)
    try:
        with _open(target, deadline) as sock:
            certificate = _validity(sock) if target.is_tls else None
            sock.settimeout(deadline.left_s())
            sock.sendall(target.request)
            status = _read_answer(sock, deadline)
    except _BadAnswerError as exc:
        return down(f"{exc} from {target.shown}")
    expected = int(spec.options.get("status", 0))
    is_good = status == expected if expected else 200 <= status < 400
    wanted = f", expected {expected}" if expected and not is_good else ""
    reason = f"HTTP {status} from {target.shown}{wanted}"
    finding = up(reason) if is_good else down(reason)
    return finding if certificate is None else replace(finding, certificate=certificate)


@lru_cache(maxsize=1024)
def _parse(url: str) -> _Target:
    """Take a URL apart, once for each.

    Raises:
        ConfigError: If it is no plain http or https URL.
    """
    hint = "write http://127.0.0.1:8080/health"
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError("the URL has characters that must be percent-encoded", hint=hint)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"the URL is malformed: {exc}", hint=hint) from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("the target is not an http or https URL", hint=hint)
    if "@" in parts.netloc:
        raise ConfigError("the URL holds credentials, which checks do not send", hint=hint)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: resile\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    )
    return _Target(
        is_tls=parts.scheme == "https",
        host=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        request=request.encode(),
        shown=f"{parts.scheme}://{parts.netloc}{parts.path}",
    )


def _open(target: _Target, deadline: Deadline) -> socket.socket:
    sock = connect(target.host, target.port, deadline)
    if not target.is_tls:
        return sock
    try:
        sock.settimeout(deadline.left_s())
        return _tls().wrap_socket(sock, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise


def _validity(sock: socket.socket) -> Validity | None:
    """Tell for which time the certificate of a server is valid; it was checked already."""
    import ssl

    found = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
    if not found:
        return None
    since, until = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found[key])), UTC)
        for key in ("notBefore", "notAfter")
    )
    return Validity(since=since, until=until)


@cache
def _tls() -> "ssl.SSLContext":
    # Late: it costs memory and 10 ms, and most checks stay on the loopback.
    import ssl

    return ssl.create_default_context()


def _read_answer(sock: socket.socket, deadline: Deadline) -> int:
    head_bytes, body = _read_head(sock, deadline)
    head = _parse_head(head_bytes)
    while 100 <= head.status < 200:  # interim answers come before the real one (RFC 9110, 15.2)
        head_bytes, body = _read_head(sock, deadline, body)
        head = _parse_head(head_bytes)
    _read_body(sock, deadline, head, body)
    return head.status


def _read_head(sock: socket.socket, deadline: Deadline, data: bytes = b"") -> tuple[bytes, bytes]:
    while _HEAD_END not in data:
        if len(data) > HEAD_BYTES_MAX:
            raise _BadAnswerError(f"more than {HEAD_BYTES_MAX >> 10} KiB of headers")
        chunk = _receive(sock, deadline)
        if not chunk:
            raise _BadAnswerError("connection closed before an answer")
        data += chunk
    head, _, body = data.partition(_HEAD_END)
    return head, body


def _parse_head(head: bytes) -> _Head:
    status_line, _, headers = head.partition(b"\r\n")
    version, _, rest = status_line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/") or len(code) != 3 or not code.isdigit():
        raise _BadAnswerError("no HTTP answer")
    length, is_chunked = -1, False
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        match name.strip().lower():
            case b"content-length" if value.strip().isdigit():
                length = int(value)
            case b"transfer-encoding":
                is_chunked = b"chunked" in value.lower()
    return _Head(status=int(code), length=length, is_chunked=is_chunked)


def _read_body(sock: socket.socket, deadline: Deadline, head: _Head, body: bytes) -> None:
    """Read the body until its end, but no more than is polite."""
    if head.status in {204, 304}:
        return
    wanted = BODY_BYTES_MAX if head.length < 0 else min(head.length, BODY_BYTES_MAX)
    count, tail = len(body), body[-len(_LAST_CHUNK) :]
    while count < wanted and not (head.is_chunked and tail == _LAST_CHUNK):
        chunk = _receive(sock, deadline)
        if not chunk:
            break
        count += len(chunk)
        tail = (tail + chunk)[-len(_LAST_CHUNK) :]
    if head.length >= 0 and count < wanted:
        raise _BadAnswerError(f"connection closed after {count} of {head.length} bytes")


def _receive(sock: socket.socket, deadline: Deadline) -> bytes:
    sock.settimeout(deadline.left_s())
    return sock.recv(_CHUNK_BYTES)
