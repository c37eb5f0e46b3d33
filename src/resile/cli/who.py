"""Who types: the name that the journal keeps with a request."""

import getpass
import os


def operator() -> str:
    """Give the user's name; `uid N` where the machine has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
