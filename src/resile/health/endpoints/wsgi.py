"""The endpoints as a WSGI application, alone or in front of another one.

Source: PEP 3333.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from resile.health.endpoints.endpoint import Endpoint
from resile.health.endpoints.pages import find_page

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def wsgi_app(endpoint: Endpoint, app: "WSGIApplication | None") -> "WSGIApplication":
    """Make the application; what is not for the endpoints goes to `app`, or is not found."""

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        page = find_page(environ.get("PATH_INFO", ""), environ.get("SCRIPT_NAME", ""))
        if page is None and app is not None:
            return app(environ, start_response)
        method = environ["REQUEST_METHOD"]
        answer = endpoint.answer(page, method)
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers())
        return [b"" if method == "HEAD" else answer.body]

    return serve
