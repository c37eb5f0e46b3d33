"""What a secret may be called. Pure, and quick to load: each process that reads a secret does."""

import re

SECRET_NAME_LENGTH_MAX = 200
DYNAMIC_PREFIX = "dynamic/"
"""What the names of credentials begin with that Vault makes for each reader, with a lease."""
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*(/[a-zA-Z0-9_][a-zA-Z0-9_.-]*)*")


def is_secret_name(text: str) -> bool:
    """Tell whether it is one: parts of letters, digits, `_`, `.` and `-`, with `/` between them.

    No part begins with a dot or a dash, so that a name is a path that stays below its folder.
    """
    return len(text) <= SECRET_NAME_LENGTH_MAX and _NAME.fullmatch(text) is not None


def variable_of(name: str) -> str:
    """Name the variable of a secret: in upper case, with `_` for what no variable may have."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name).upper()
    return f"_{text}" if text[:1].isdigit() else text
