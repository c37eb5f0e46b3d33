"""The token that lets the dashboard decide about runs: a file that only this user can read.

The guard makes a new one at each start of the daemon and removes it at the end; a brain that is
restarted meanwhile reads the same one, so that an open page goes on working.
"""

import os
from pathlib import Path

from resile.core.files import write_durable

TOKEN_NAME = "token"  # noqa: S105 - the file's name
_TOKEN_BYTES = 32
"""Nobody guesses 256 bits, so the tries need no limit."""
_LENGTH_MAX = 200


def make_token(run: Path) -> None:
    """Write a new token into the folder of sockets, mode 0600.

    Raises:
        OperationError: If it cannot be written.
    """
    write_durable(run / TOKEN_NAME, os.urandom(_TOKEN_BYTES).hex().encode())


def read_token(run: Path) -> str:
    """Read the token; empty if there is none, and then nobody may decide over TCP."""
    try:
        with (run / TOKEN_NAME).open("rb") as file:
            return file.read(_LENGTH_MAX).decode("ascii", errors="replace").strip()
    except OSError:
        return ""


def remove_token(run: Path) -> None:
    """Remove the token; nothing happens if there is none."""
    (run / TOKEN_NAME).unlink(missing_ok=True)
