"""Find out what a person must know of a fault: in what words its program complained, and what is so with the path."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from resile.core.vocabulary import Cause
from resile.daemon.remedies.permissions import explain_permission
from resile.recover import OpenFault, service_of

BUNDLE_BYTES_MAX = 4 << 20
LINES_MAX = 20


class Explainer:
    """Blocks for file reads; safe to share between threads.

    Args:
        folders: Where each service runs.
        folder: Where the commands of system checks run.
    """

    def __init__(self, *, folders: Mapping[str, str], folder: Path) -> None:
        self._folders = folders
        self._folder = folder

    def words_of(self, fault: OpenFault) -> str:
        """Give the reason of a fault, and what its process wrote last, if there is a crash bundle."""
        return "\n".join([fault.reason, *_last_lines(str(fault.evidence.get("bundle", "")))])

    def explain(self, fault: OpenFault) -> str:
        """Say what a person must know, and what to do next."""
        name = service_of(fault.target) or ""
        words = self.words_of(fault)
        if fault.evidence.get("cause") == Cause.PERMISSION.value:
            folder = Path(self._folders.get(name, self._folder))
            found = explain_permission(words, folder=folder)
            again = f"; change that, then: resile restart {name}" if name else ""
            return f"{found}{again}"
        see = f"; see resile logs {name}" if name else ""
        return f"{fault.reason}{see}"


def _last_lines(bundle: str) -> Iterable[str]:
    """Give the last lines of a crash bundle, the newest first."""
    if not bundle:
        return ()
    try:
        with Path(bundle).open("rb") as file:
            lines = json.loads(file.read(BUNDLE_BYTES_MAX))["last_lines"]
        return tuple(str(line) for line in reversed(lines[-LINES_MAX:]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
