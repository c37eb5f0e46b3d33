"""What was published is read again before anybody relies on it.

It is read as the system gives it, mostly from memory: so a write that was claimed and not done is found, and
a byte that fell over on its way. What the medium loses later, a scrub finds.
"""

import contextlib

from resile.errors import StoreDamagedError
from resile.store.backends.port import Backend
from resile.store.checking import hashed_windows

QUARANTINE = "quarantine/"
_WINDOW_BYTES = 1 << 20
"""It is hashed while it is in the processor's cache; several threads read at once."""


def read_back(backend: Backend, name: str) -> None:
    """Compare a file that was published with its name; one that differs goes to quarantine.

    Nothing happens where the place itself compares sums.

    Raises:
        StoreDamagedError: If it is not what was written.
        StoreError: If it cannot be read for another reason than damage.
    """
    if not backend.is_read_back:
        return
    try:
        for _ in hashed_windows(backend, name, window_bytes=_WINDOW_BYTES):
            pass
    except StoreDamagedError as exc:
        with contextlib.suppress(StoreDamagedError):
            backend.move(name, quarantined(name))
        raise StoreDamagedError(
            f"the disk of {backend.url} does not keep what is written to it: {exc.message}",
            name=name,
            hint="look for its errors (dmesg, smartctl -a), and give another place: --store PATH",
        ) from exc


def quarantined(name: str) -> str:
    """Give the name of a damaged file in quarantine, where nothing reads it but people."""
    return f"{QUARANTINE}{name.replace('/', '-')}"
