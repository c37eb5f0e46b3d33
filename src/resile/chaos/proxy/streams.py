"""Both ends of a proxied connection, and how one is cut."""

import asyncio
import contextlib
import socket
import struct
from typing import Final

READ_BYTES: Final = 1 << 16
_LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for no time: the connection ends with RST (socket(7))."""


class Side:
    """One end: what is read from it, and what is written to it. For one event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write, and wait while the other side does not read."""
        self.writer.write(data)
        await self.writer.drain()

    def finish(self) -> None:
        """Tell the other side that nothing more comes."""
        with contextlib.suppress(OSError, RuntimeError):
            if self.writer.can_write_eof():
                self.writer.write_eof()

    def reset(self) -> None:
        """Cut the connection with RST."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.writer.transport.abort()

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()


async def pass_on(source: Side, target: Side) -> None:
    """Hand everything on as it comes, then the end."""
    while data := await source.reader.read(READ_BYTES):
        await target.send(data)
    target.finish()
