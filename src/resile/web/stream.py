"""Live events for many readers (server-sent events), each bounded.

One follower reads the journal for all clients and encodes each record once. A client that
asked to resume first reads what it missed at its own pace, then joins the live queue. Whoever
lets that queue fill up is dropped: its browser reconnects and resumes where it was.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from resile.core.journal import Query, Record, record_json
from resile.web.answers import ApiError, dump
from resile.web.port import SystemView

CLIENTS_MAX = 200
QUEUE_LENGTH_MAX = 64
"""About a second of a very busy journal: longer than any hiccup of a healthy reader."""
KEEPALIVE_S = 15.0
"""Proxies close a connection that was silent for 30 s or more."""
REPLAY_PAGE = 200
_RETRY_MS = 1000
_FAREWELL_S = 0.2
_log = logging.getLogger(__name__)

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Client:
    """One reader's place in the hub. Used from the event loop only."""

    def __init__(self, *, queue_length_max: int) -> None:
        self.queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(queue_length_max)
        self.is_live = False
        self.is_too_slow = False
        self.closed = asyncio.Event()

    def offer(self, seq: int, frame: bytes) -> None:
        """Queue a frame; a full queue closes the client for good."""
        if not self.is_live or self.closed.is_set():
            return
        try:
            self.queue.put_nowait((seq, frame))
        except asyncio.QueueFull:
            self.is_too_slow = True
            self.closed.set()


class EventHub:
    """Follow the journal once, and hand each record to every client.

    Used from the event loop only. It follows only while somebody listens.

    Args:
        view: Whose events.
        clients_max: More than so many get 503. Default 200.
        queue_length_max: A client that lags so many frames behind is dropped. Default 64.
        keepalive_s: A comment is sent after so long a silence. Default 15.
    """

    def __init__(
        self,
        view: SystemView,
        *,
        clients_max: int = CLIENTS_MAX,
        queue_length_max: int = QUEUE_LENGTH_MAX,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        self.view = view
        self.keepalive_s = keepalive_s
        self._clients_max = clients_max
        self._queue_length_max = queue_length_max
        self._clients: set[Client] = set()
        self._follower: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def clients_count(self) -> int:
        """How many listen now."""
        return len(self._clients)

    def join(self) -> Client:
        """Take a place, and start to follow if it is the first one.

        Raises:
            ApiError: If all places are taken, or the daemon is going down.
        """
        if self._is_closed:
            raise ApiError(503, "resile is going down.")
        if len(self._clients) >= self._clients_max:
            message = f"All {self._clients_max} places for live events are taken."
            raise ApiError(503, message, hint="Close a page, or read /api/events instead.")
        client = Client(queue_length_max=self._queue_length_max)
        self._clients.add(client)
        if self._follower is None:
            head = head_seq(self.view)
            self._follower = asyncio.create_task(self._follow(head), name="events")
        return client

    def leave(self, client: Client) -> None:
        """Give the place back; the last one ends the following."""
        self._clients.discard(client)
        if not self._clients and self._follower is not None:
            self._follower.cancel()
            self._follower = None

    def close(self) -> None:
        """End every stream, and refuse new ones. Call it before the server waits for its tasks."""
        self._is_closed = True
        self._close_clients()

    def _close_clients(self) -> None:
        for client in self._clients:
            client.closed.set()

    async def _follow(self, head: int) -> None:
        try:
            async for record in self.view.follow(after_seq=head):
                self._hand_out(record)
        except Exception:  # noqa: BLE001 - the readers must not hang, whatever failed
            _log.exception("live events ended; the readers reconnect")
        # The readers are sent away, and whoever comes back starts the following anew.
        self._follower = None
        self._close_clients()

    def _hand_out(self, record: Record) -> None:
        frame = to_frame(record)
        for client in self._clients:
            client.offer(record.seq, frame)


class EventStream(Response):
    """The answer to one reader: what it missed, then what comes, until either side ends it.

    Args:
        hub: Where live records come from.
        after_seq: Resume behind this record; None means from now on.
    """

    media_type: str = "text/event-stream"

    def __init__(self, hub: EventHub, *, after_seq: int | None) -> None:
        super().__init__(headers=_HEADERS)
        # A stream has no length. A number beyond the head is from another journal: begin anew.
        del self.headers["content-length"]
        self._hub = hub
        self._sent_seq = min(after_seq, head_seq(hub.view)) if after_seq is not None else None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream. The place in the hub is given back however it ends.

        Raises:
            ApiError: If there is no place; nothing was sent then.
        """
        client = self._hub.join()
        try:
            await _first_of(
                self._send_all(send, client), _disconnected(receive), client.closed.wait()
            )
            if not client.is_too_slow:
                await _say_goodbye(send)
        finally:
            self._hub.leave(client)

    async def _send_all(self, send: Send, client: Client) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _send_chunk(send, f"retry: {_RETRY_MS}\n\n".encode())
        await self._replay(send)
        client.is_live = True
        await self._replay(send)
        while True:
            await _send_chunk(send, await self._next_chunk(client))

    async def _replay(self, send: Send) -> None:
        while self._sent_seq is not None:
            query = Query(after_seq=self._sent_seq, limit=REPLAY_PAGE)
            page = await self._hub.view.events(query)
            for record in page:
                await _send_chunk(send, to_frame(record))
                self._sent_seq = record.seq
            if len(page) < REPLAY_PAGE:
                return

    async def _next_chunk(self, client: Client) -> bytes:
        # What was appended during the second replay is in the queue too.
        seq, frame = 0, b""
        while seq <= (self._sent_seq or 0):
            try:
                async with asyncio.timeout(self._hub.keepalive_s):
                    seq, frame = await client.queue.get()
            except TimeoutError:
                return b": keepalive\n\n"
        return frame


def to_frame(record: Record) -> bytes:
    """Write a record as one server-sent event."""
    return b"id: %d\ndata: %s\n\n" % (record.seq, dump(record_json(record)))


def head_seq(view: SystemView) -> int:
    """Tell the last record's number; 0 if the journal is empty."""
    return int(view.status().get("journal", {}).get("seq", 0))


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _say_goodbye(send: Send) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Run until the first one is done, then cancel the others; its error is raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
