"""Begin to talk to the daemon in a process that belongs to its system, and load nothing elsewhere."""

import os

from resile.core.vocabulary import STATE_VARIABLE


def connect_in_system() -> None:
    """Let the daemon know this process's guards, if the process belongs to a system."""
    if os.environ.get(STATE_VARIABLE):
        from resile.clients.daemon import connect

        connect()
