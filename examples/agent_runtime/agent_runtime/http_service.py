"""A small JSON-over-HTTP server on loopback: routes, bounded bodies, and every error as JSON."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from agent_runtime.lifecycle import BoundedThreads
from agent_runtime.settings import BODY_BYTES_MAX, HOST

CLIENT_TIMEOUT_S = 5.0
"""How long a client may take for each piece of its request."""
BEARER = "Bearer "
DISCARD_BYTES_MAX = 16 << 20
"""So much of a body that is too long is read and thrown away, so that its sender reads our answer."""

Answer = tuple[int, Mapping[str, Any]]
Route = Callable[[Mapping[str, Any]], Answer]
"""Takes the request's body (empty for GET), gives status and JSON object."""
Mounted = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]
"""A WSGI application."""

Admit = Callable[[str], bool]
"""Tells whether a key opens."""

logger = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that gets an error as its answer.

    Args:
        status: The HTTP status.
        message: What is wrong, in one sentence.
        hint: What the sender can do.
    """

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": message, "hint": hint}


class HttpService(BoundedThreads):
    """Serves routes on a loopback port.

    Args:
        port: 0 takes a free one.
        routes: By method and path.
        body_bytes_max: A longer body is answered with 413.
        mounted: Answers every GET that no route knows.
        admit: Tells of each POST's key (`Authorization: Bearer KEY`) whether it opens; another one gets 401.

    Raises:
        OSError: If the port is taken.
    """

    allow_reuse_address = True

    def __init__(
        self,
        port: int,
        routes: Mapping[tuple[str, str], Route],
        *,
        body_bytes_max: int = BODY_BYTES_MAX,
        mounted: Mounted | None = None,
        admit: Admit | None = None,
    ) -> None:
        self.routes = routes
        self.admit = admit
        self.mounted = mounted
        self.body_bytes_max = body_bytes_max
        super().__init__((HOST, port), _Handler)
        logger.info("listening on http://%s:%d", *self.server_address[:2])

    def turn_away(self, request: Any) -> None:
        """Answer 503 at once."""
        body = json.dumps({"error": "too many connections", "hint": "try again later"}).encode()
        head = f"HTTP/1.0 503 Busy\r\nRetry-After: 1\r\nContent-Length: {len(body)}\r\n\r\n"
        request.settimeout(CLIENT_TIMEOUT_S)
        request.sendall(head.encode() + body)


class _Handler(BaseHTTPRequestHandler):
    """One request on one connection."""

    server: HttpService
    timeout = CLIENT_TIMEOUT_S
    server_version = "agent_runtime"

    def do_GET(self) -> None:
        """Answer a GET."""
        path = self.path.partition("?")[0]
        is_ours = any(known == path for _, known in self.server.routes)
        if self.server.mounted is not None and not is_ours:
            self._hand_over(self.server.mounted, path)
        else:
            self._answer(dict)

    def do_POST(self) -> None:
        """Answer a POST with a JSON body."""
        self._answer(self._read_admitted)

    def _answer(self, read: Callable[[], Mapping[str, Any]]) -> None:
        try:
            status, body = self._route()(read())
        except RefusedError as refusal:
            status, body = refusal.status, refusal.body
        except TimeoutError:
            status, body = 408, {"error": "the request did not arrive in time", "hint": ""}
        except Exception:
            logger.exception("%s %s failed", self.command, self.path)
            status, body = 500, {"error": "an internal error; the log has it", "hint": ""}
        self._send(status, body)

    def _hand_over(self, application: Mounted, path: str) -> None:
        def start(status: str, headers: list[tuple[str, str]]) -> None:
            self.send_response(int(status.partition(" ")[0]))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()

        for piece in application({"REQUEST_METHOD": self.command, "PATH_INFO": path}, start):
            self.wfile.write(piece)

    def _route(self) -> Route:
        path = self.path.partition("?")[0]
        route = self.server.routes.get((self.command, path))
        if route is not None:
            return route
        methods = sorted(method for method, known in self.server.routes if known == path)
        if methods:
            raise RefusedError(405, f"{path} takes {' or '.join(methods)}, not {self.command}")
        paths = sorted({known for _, known in self.server.routes})
        raise RefusedError(404, f"there is no {path}", hint=f"there is {', '.join(paths)}")

    def _read_admitted(self) -> Mapping[str, Any]:
        admit = self.server.admit
        if admit is not None and not admit(
            self.headers.get("Authorization", "").removeprefix(BEARER)
        ):
            self._discard(min(self._body_length(), DISCARD_BYTES_MAX))
            raise RefusedError(401, "this key does not open", hint=f"Authorization: {BEARER}KEY")
        return self._read_json()

    def _read_json(self) -> Mapping[str, Any]:
        length = self._body_length()
        try:
            body = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError) as exc:
            hint = 'send an object such as {"script": "print(1)"}'
            raise RefusedError(400, f"the body is not JSON: {exc}", hint=hint) from exc
        if not isinstance(body, dict):
            raise RefusedError(400, f"the body is a JSON {type(body).__name__}, not an object")
        return body

    def _body_length(self) -> int:
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit()):
            raise RefusedError(411, "the request has no Content-Length")
        length = int(text)
        if length > self.server.body_bytes_max:
            self._discard(min(length, DISCARD_BYTES_MAX))
            message = f"the body has {length} bytes; {self.server.body_bytes_max} are allowed"
            raise RefusedError(413, message, hint="put large data into the knowledge base")
        return length

    def _discard(self, length: int) -> None:
        while length > 0 and (piece := self.rfile.read(min(length, 1 << 16))):
            length -= len(piece)

    def _send(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the HTTP parser refused, as JSON too."""
        self.close_connection = True
        self._send(code, {"error": message or explain or HTTPStatus(code).phrase, "hint": ""})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the access log out of the way: a probe a second would fill it."""
        logger.debug(format, *args)


def text_field(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Take a text out of a request's body.

    Raises:
        RefusedError: 400, if it is missing without a default, or not a text.
    """
    value = body.get(name, default)
    if not isinstance(value, str):
        state = "missing" if name not in body else f"a {type(body[name]).__name__}"
        raise RefusedError(400, f'"{name}" is {state}; it must be a text')
    return value


def object_field(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Take a JSON object out of a request's body; an empty one if it is missing.

    Raises:
        RefusedError: 400, if it is something else.
    """
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise RefusedError(400, f'"{name}" is a {type(value).__name__}; it must be an object')
    return value
