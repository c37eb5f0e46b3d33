"""Answers as JSON bytes, and every error as `{"error", "hint"}`."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from resile.core.codec import encode
from resile.errors import (
    ConfigError,
    ConflictError,
    RejectedError,
    ResileError,
    SecretConflictError,
    SecretDeniedError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.web.models import Error

_log = logging.getLogger(__name__)

_HINTS = {
    404: "GET /openapi.json lists every path.",
    405: "Changes are made with the resile command, which uses the daemon's own socket.",
}
_CONFLICTS_MAX = 200
"""Paths that one answer lists; the error's text counts them all."""
_STATUSES: tuple[tuple[type[ResileError], int], ...] = (
    (RejectedError, 409),
    (ConfigError, 400),
    (UnknownSecretError, 404),
    (SecretDeniedError, 403),
    (SecretConflictError, 409),
    (SecretRevokedError, 409),
)
"""What is not among them failed, and may work later: 503."""
ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": Error}}
"""For the OpenAPI description of every route."""


class ApiError(ResileError):
    """A request that gets an error as its answer.

    Args:
        status: The HTTP status, 400..599.
        message: What is wrong.
        hint: What to do next.
    """

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


def dump(data: object) -> bytes:
    """Write data as compact JSON; enums, times and frozen mappings are allowed in it.

    Names of files may hold bytes that are no text; they become U+FFFD.
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, default=encode)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass").decode(errors="replace").encode()


def json_answer(
    data: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with JSON."""
    return Response(dump(data), status, headers, "application/json")


def error_answer(status: int, message: str, hint: str = "") -> Response:
    """Answer with an error."""
    return json_answer({"error": message, "hint": hint}, status=status)


def install_error_handlers(app: FastAPI) -> None:
    """Give every error of an application the same shape."""
    app.add_exception_handler(ResileError, _on_resile_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_crash)


async def _on_resile_error(_request: Request, exc: Exception) -> Response:
    hint = exc.hint if isinstance(exc, ResileError) else ""
    if isinstance(exc, ConflictError):
        return _conflict_answer(exc)
    return error_answer(_status_of(exc), str(exc), hint)


def _conflict_answer(exc: ConflictError) -> Response:
    paths = [{"path": path, "what": what} for path, what in exc.paths[:_CONFLICTS_MAX]]
    return json_answer({"error": str(exc), "hint": exc.hint, "paths": paths}, status=409)


def _status_of(exc: Exception) -> int:
    if isinstance(exc, ApiError):
        return exc.status
    return next((status for kind, status in _STATUSES if isinstance(exc, kind)), 503)


async def _on_invalid_request(_request: Request, exc: Exception) -> Response:
    faults = exc.errors() if isinstance(exc, RequestValidationError) else ()
    lines = [
        f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in faults
    ]
    return error_answer(422, "; ".join(lines), "GET /openapi.json tells every parameter's bounds.")


async def _on_http_error(request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    detail = exc.detail if isinstance(exc, HTTPException) else ""
    answer = error_answer(
        status, f"{request.method} {request.url.path}: {detail}", _HINTS.get(status, "")
    )
    if isinstance(exc, HTTPException) and exc.headers:
        answer.headers.update(exc.headers)
    return answer


async def _on_crash(request: Request, exc: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=exc)
    return error_answer(
        500, "resile failed to answer this request.", "The daemon's log has the traceback."
    )
