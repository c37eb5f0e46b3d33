"""What is switched off in a system, for the processes that do not read its journal.

The journal is the truth; `run/switches.json` in the state folder says the same to the keepers of the
store and of secrets, to contained runs and to faults on purpose. The brain writes it, and the
command where no brain answers.
"""

import contextlib
import hashlib
import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from resile.core.codec import decode, encode
from resile.core.files import make_private_dir, write_durable
from resile.core.log_line import log_line
from resile.core.switches import Switches
from resile.core.vocabulary import Part
from resile.errors import OperationError

logger = logging.getLogger(__name__)

_NAME = "switches.json"
_VERSION = 1
_BYTES_MAX = 1 << 20

Stamp = tuple[int, int, int] | None
"""Tells one version of the file from another; None: there is none."""


def switches_file(state: Path) -> Path:
    """Give where a system keeps its switches for other processes."""
    return state / "run" / _NAME


def write_switches(state: Path, switches: Switches) -> None:
    """Tell other processes. Durable when it returns; mode 0600.

    Raises:
        OperationError: If it cannot be written; what was there is as it was.
    """
    path = switches_file(state)
    make_private_dir(path.parent)
    body = encode(switches)
    data = {"version": _VERSION, "sum": _sum(body), "body": body}
    write_durable(path, json.dumps(data).encode())


def read_switches(state: Path) -> Switches:
    """Read what is off in a system; nothing is where nothing was ever switched.

    Raises:
        OperationError: If there is something that cannot be read: nobody knows what it said.
    """
    path = switches_file(state)
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return Switches()
    except OSError as exc:
        raise _unreadable(path, exc.strerror or str(exc)) from exc
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
        data: Any = json.loads(content)
        if data.get("version") == _VERSION and data.get("sum") == _sum(data.get("body")):
            return decode(Switches, data["body"])
    raise _unreadable(path, "it is damaged, or of another version")


def check_switch(state: Path, part: Part, *, now: datetime) -> None:
    """Refuse what a part of a system would do, by what the file says.

    Raises:
        RejectedError: If it is off.
        OperationError: If nobody can tell.
    """
    read_switches(state).check(part, now=now)


def stamp_of(state: Path) -> Stamp:
    """Tell which version of the file is there."""
    try:
        found = switches_file(state).stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)


class SwitchReader:
    """Knows what the file says, and reads it again when it changed. Safe to share between threads.

    Args:
        state: The state folder.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._known: tuple[Stamp, Switches, str] = (None, Switches(), "")

    def now(self) -> Switches:
        """Give what is off; of what cannot be read, what was known before."""
        return self._look()[1]

    def why_off(self, part: Part, now: datetime) -> str:
        """Tell why a part is off, empty if it is on; where nobody knows, it is off."""
        _, switches, trouble = self._look()
        off = switches.find(part, now=now)
        return trouble or ("" if off is None else off.reason)

    def _look(self) -> tuple[Stamp, Switches, str]:
        stamp = stamp_of(self._state)
        known = self._known
        if stamp != known[0]:
            try:
                known = (stamp, read_switches(self._state), "")
            except OperationError as exc:
                fields: dict[str, object] = {"reason": exc.message}
                logger.warning(log_line("switches.unreadable", fields), extra=fields)
                known = (stamp, known[1], exc.message)
            self._known = known
        return known


def _unreadable(path: Path, why: str) -> OperationError:
    return OperationError(
        f"{path} cannot be read, so nobody knows what is switched off: {why}",
        hint="`resile up` writes it anew from the journal; without a daemon remove it by hand",
    )


def _sum(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
