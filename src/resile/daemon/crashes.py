"""Crash bundles: what was known at the moment in which a service ended badly, in one JSON file.

A bundle holds the exit, what it used, the last lines that it wrote, the pressure on the machine,
and where the kernel left a core. The oldest go when there are more than are to be kept.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import encode
from resile.core.files import make_private_dir, write_durable
from resile.core.ids import new_id
from resile.core.units import format_size
from resile.daemon.protocol import Exited
from resile.errors import OperationError
from resile.health import read_pressure

FORMAT = 1
KEPT_WHEN_PRUNED = 10
"""Bundles that even a full disk does not cost: they are the evidence of what happens now."""
PRESSURE = Path("/proc/pressure")
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
_CORE_AGE_S_MAX = 60.0
"""A core that is older belongs to an earlier crash."""


class Crashes:
    """The folder of crash bundles. Safe to share between threads: every file is written whole.

    Args:
        state: The state folder.
        folders: Where each service runs; a core is looked for there.
        keep: Bundles to keep.
        clock: Where time comes from.
    """

    def __init__(self, state: Path, *, folders: Mapping[str, str], keep: int, clock: Clock) -> None:
        self._folder = state / "crashes"
        self._logs = state / "logs"
        self._folders = folders
        self._keep = keep
        self._clock = clock

    def path_for(self, exited: Exited) -> Path:
        """Choose where an exit's bundle will be."""
        name = new_id(f"{exited.service}-{exited.generation}", at=exited.at)
        return self._folder / f"{name}.json"

    def write(self, exited: Exited, path: Path) -> None:
        """Write a bundle; durable when it returns.

        Without room it is left out: the exit itself is in the journal.
        """
        bundle = {
            "format": FORMAT,
            "exit": {k: v for k, v in encode(exited).items() if k != "tail"},
            "log": str(self._logs / f"{exited.service}.log"),
            "last_lines": list(exited.tail),
            "core": self._core(exited),
            "pressure": dict(_pressure()),
            "load": os.getloadavg(),
        }
        try:
            make_private_dir(self._folder)
            write_durable(path, json.dumps(bundle, indent=1).encode())
        except OperationError:
            return
        self._drop_oldest(self._keep)

    def prune(self) -> str:
        """Remove what is prunable, to make room: rotated logs, and bundles but the newest few."""
        freed_bytes = sum(_remove(path) for path in self._logs.glob("*.log.*"))
        freed_bytes += self._drop_oldest(min(self._keep, KEPT_WHEN_PRUNED))
        return f"freed {format_size(freed_bytes)}"

    def _drop_oldest(self, keep: int) -> int:
        bundles = sorted(self._folder.glob("*.json"), key=_age_key, reverse=True)
        return sum(_remove(path) for path in bundles[keep:])

    def _core(self, exited: Exited) -> str:
        """Tell where the core is: a file in the service's folder, or the program that took it."""
        if not exited.core_dumped:
            return ""
        pattern = CORE_PATTERN.read_text().strip()
        if pattern.startswith("|"):
            return f"handed to {pattern[1:]}"
        folder = Path(pattern).parent if pattern.startswith("/") else None
        folder = folder or Path(self._folders.get(exited.service, "."))
        newest = max(folder.glob("core*"), key=_age_key, default=None)
        age_s = self._clock.now().timestamp() - _age_key(newest) if newest else _CORE_AGE_S_MAX
        return str(newest) if age_s < _CORE_AGE_S_MAX else ""


def _pressure() -> Iterator[tuple[str, Any]]:
    for resource in ("cpu", "memory", "io"):
        pressure = read_pressure(PRESSURE / resource)
        if pressure is not None:
            yield resource, asdict(pressure)


def _age_key(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> int:
    """Remove a file and tell how many bytes that freed."""
    try:
        size = path.lstat().st_size
        path.unlink()
    except OSError:
        return 0
    return size
