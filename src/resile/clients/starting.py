"""Begin what a process of a system does by itself, and load nothing elsewhere."""

import os
import sys

from resile.core.vocabulary import CONFIG_VARIABLE, STATE_VARIABLE


def connect_in_system() -> None:
    """Let the daemon know this process's guards, if the process belongs to a system.

    They follow `[policy.NAME]` of the system's file, too, unless the program loads one itself.
    """
    if os.environ.get(STATE_VARIABLE):
        from resile.clients.daemon import connect

        connect()
    if path := os.environ.get(CONFIG_VARIABLE):
        from resile.policies.reloading import follow_system

        follow_system(path)


def program_name() -> str:
    """Give the name of this program alone: arguments may hold secrets."""
    return os.path.basename(sys.argv[0] if sys.argv and sys.argv[0] else sys.executable)  # noqa: PTH119
