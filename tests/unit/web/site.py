"""A real server in a thread, on a port of its own, with a pretended system behind it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from resile.testing.view import FakeSystemView
from resile.web import WebServer, build_server, create_app


class Site:
    """`change` runs a function where the view lives: on the server's event loop."""

    def __init__(
        self,
        view: FakeSystemView,
        *,
        app: FastAPI | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        self.view = view
        self.app = app or create_app(view)
        self.sock = sock or socket.create_server(("127.0.0.1", 0))
        self.address = self.sock.getsockname()
        self.server: WebServer = build_server(self.app, self.sock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="site")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.address[1]}"

    def start(self) -> None:
        self.sock.listen()
        self._thread.start()

    def change(self, work: Callable[[], object]) -> None:
        async def run() -> None:
            work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(20)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self.server.run_until_stopped())


@contextmanager
def serving(
    view: FakeSystemView, *, app: FastAPI | None = None, sock: socket.socket | None = None
) -> Iterator[Site]:
    site = Site(view, app=app, sock=sock)
    site.start()
    try:
        yield site
    finally:
        site.stop()
