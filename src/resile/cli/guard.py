"""Who guards this folder: read from `run/guard.json`, and believed only if that process lives."""

import json
import os
import select
from pathlib import Path

from resile.core.process import Identity, is_alive


def living_guard(facts: Path) -> Identity | None:
    """Give the guard's identity; None if it is dead, or none was ever there."""
    try:
        data = json.loads(facts.read_bytes())
        guard = Identity(
            boot_id=data["boot_id"], pid=int(data["pid"]), start_ticks=int(data["start_ticks"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return guard if is_alive(guard) else None


def wait_gone(guard: Identity, *, timeout_s: float) -> bool:
    """Wait until this very process has ended; False if it still lives after the time."""
    try:
        fd = os.pidfd_open(guard.pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(guard):
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout_s) * 1000))
    finally:
        os.close(fd)
