"""Explain why a path may not be used: which part of it forbids that, with its mode and owner. Changes nothing."""

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path

PATHS_MAX = 10
_QUOTED = re.compile(r"['\"\u2018\u201c]([^'\"\u2019\u201d\n]{1,500})['\"\u2019\u201d]")
_PLAIN = re.compile(r"(?<![\w/])((?:\.{0,2}/)[^\s'\":,;()]{1,500})")
_BINDS = re.compile(r"\bbind|listen", re.IGNORECASE)
FIRST_FREE_PORT = 1024


def paths_in(text: str, *, folder: Path) -> Iterator[Path]:
    """Yield the paths that a complaint names, as seen from a folder; the likeliest first."""
    named = [*_QUOTED.findall(text), *_PLAIN.findall(text)]
    for name in named[:PATHS_MAX]:
        if "\0" not in name and name.strip("./ "):
            yield folder / name


def explain_permission(text: str, *, folder: Path) -> str:
    """Say what a complaint of a permission is about, as exactly as it can be told.

    Args:
        text: What the program said.
        folder: Where it ran.
    """
    for path in paths_in(text, folder=folder):
        refused = _refused(path)
        if refused:
            return refused
    if _BINDS.search(text):
        return (
            f"a port below {FIRST_FREE_PORT} takes the right CAP_NET_BIND_SERVICE, and "
            f"{_user()} has not got it: use a higher port"
        )
    return f"its words name no path that {_user()} may not use: {text}"


def _refused(path: Path) -> str:
    """Tell what of a path is not allowed; empty if nothing is, or it is not there."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return _told(folder, "enter") if _status(folder) is not None else ""
    status = _status(path)
    if status is None:
        folder = path.parent
        is_closed = _status(folder) is not None and not os.access(
            folder, os.W_OK, effective_ids=True
        )
        return _told(folder, "make files in") if is_closed else ""
    wanted = [("read", os.R_OK), ("write", os.W_OK)]
    if stat.S_ISREG(status.st_mode):
        wanted.append(("execute", os.X_OK))
    missing = [word for word, mode in wanted if not os.access(path, mode, effective_ids=True)]
    return _told(path, " or ".join(missing)) if missing else ""


def _told(path: Path, what: str) -> str:
    status = path.stat()
    mode = f"{stat.filemode(status.st_mode)} ({stat.S_IMODE(status.st_mode):04o})"
    owner = f"{_name_of_user(status.st_uid)}:{_name_of_group(status.st_gid)}"
    return f"{path} has the mode {mode} and belongs to {owner}: {_user()} may not {what} it"


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _user() -> str:
    uid = os.geteuid()
    return f"the user {_name_of_user(uid)} ({uid})"


def _name_of_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _name_of_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
