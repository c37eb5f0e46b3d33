"""Requests that a proxy answers itself, or lets wait: one request for each connection."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from resile.chaos.proxy.streams import READ_BYTES, Side, pass_on
from resile.chaos.proxy.toxics import Toxic

HEAD_BYTES_MAX: Final = 1 << 16
_END: Final = b"\r\n\r\n"
_CLOSE: Final = b"Connection: close"
_BODY_READ_S: Final = 0.2
"""A body that is not read would turn the answer's end into a reset."""


async def answer_error(client: Side, head: bytes, toxic: Toxic) -> bool:
    """Answer with an error instead of the server; tell whether it was done."""
    if toxic.chance.random() >= toxic.arguments["share"]:
        return False
    toxic.tally.struck()
    status = toxic.arguments["status"]
    await _drop_body(client, head)
    await client.send(_answer(status, {"error": "injected by resile chaos"}))
    client.close()
    return True


async def let_wait(_client: Side, _head: bytes, toxic: Toxic) -> bool:
    """Let a request wait before the server gets it."""
    if toxic.chance.random() < toxic.arguments["share"]:
        toxic.tally.struck()
        await asyncio.sleep(toxic.arguments["latency"])
    return False


async def read_head(client: Side) -> bytes:
    """Read a request up to its body; what follows stays with it. Empty if none came."""
    head = b""
    while _END not in head:
        data = await client.reader.read(READ_BYTES)
        head += data
        if not data or len(head) > HEAD_BYTES_MAX:
            break
    return head


async def hand_on(head: bytes, client: Side, server: Side) -> None:
    """Let the server answer, and both sides close afterwards."""
    await server.send(once(head))
    async with asyncio.TaskGroup() as group:
        group.create_task(pass_on(client, server))
        await pass_on(server, client)


def once(head: bytes) -> bytes:
    """Ask for an end of the connection after the answer: its next request would pass unseen.

    A request that changes the protocol (a websocket) is left as it is.
    """
    lines, end, rest = head.partition(_END)
    first, *others = lines.split(b"\r\n")
    if not end or any(line.lower().startswith(b"upgrade:") for line in others):
        return head
    kept = [
        line for line in others if not line.lower().startswith((b"connection:", b"keep-alive:"))
    ]
    return b"\r\n".join([first, *kept, _CLOSE]) + end + rest


def _answer(status: int, body: Mapping[str, Any]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Injected"
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


async def _drop_body(client: Side, head: bytes) -> None:
    """Read what is left of a body, but not for long."""
    left = _body_bytes(head)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_BODY_READ_S):
            while left > 0 and (data := await client.reader.read(READ_BYTES)):
                left -= len(data)


def _body_bytes(head: bytes) -> int:
    """Tell how much of the body is still to come; one that does not tell its length is long."""
    lines, _, body = head.partition(_END)
    for line in lines.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value) - len(body)
        if name.strip().lower() == b"transfer-encoding":
            return HEAD_BYTES_MAX
    return 0
