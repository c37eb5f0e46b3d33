"""Tell the supervisor how we are, in the protocol of systemd: a datagram to $NOTIFY_SOCKET.

Without that variable nobody listens, and every call does nothing.

Source: sd_notify(3).
"""

import os
import socket


def notify(message: str) -> None:
    """Send `READY=1`, `WATCHDOG=1`, `STOPPING=1` or `STATUS=...`; never blocks, never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            sender.sendto(message.encode(), address)
        except OSError:
            return  # A lost word is not worth a dead service: the next watchdog ping repeats it.
