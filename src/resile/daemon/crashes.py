"""Crash bundles: what was known at the moment in which a service ended badly, in one JSON file.

A bundle holds the exit, what it used, the last lines that it wrote, the pressure on the machine,
and where the kernel left a core. The oldest go when there are more than are to be kept, each
with the core that it names.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import decode, encode
from resile.core.files import make_private_dir, write_durable
from resile.core.ids import new_id
from resile.core.units import format_size
from resile.daemon.cores import CoreFile, find_core, remove_core
from resile.daemon.protocol import Exited
from resile.errors import OperationError
from resile.health import read_pressure

FORMAT = 1
KEPT_WHEN_PRUNED = 10
"""Bundles that even a full disk does not cost: they are the evidence of what happens now."""
PRESSURE = Path("/proc/pressure")
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


class Crashes:
    """The folder of crash bundles. Safe to share between threads: every file is written whole.

    Args:
        state: The state folder.
        folders: Where each service runs; a core is looked for there.
        keep: Bundles to keep.
        clock: Where time comes from.
        core_pattern: How the kernel names core files.
    """

    def __init__(
        self,
        state: Path,
        *,
        folders: Mapping[str, str],
        keep: int,
        clock: Clock,
        core_pattern: Path = CORE_PATTERN,
    ) -> None:
        self._folder = state / "crashes"
        self._logs = state / "logs"
        self._folders = folders
        self._keep = keep
        self._clock = clock
        self._core_pattern = core_pattern

    def path_for(self, exited: Exited) -> Path:
        """Choose where an exit's bundle will be."""
        name = new_id(f"{exited.service}-{exited.generation}", at=exited.at)
        return self._folder / f"{name}.json"

    def write(self, exited: Exited, path: Path) -> None:
        """Write a bundle; durable when it returns.

        Without room it is left out: the exit itself is in the journal. The core goes then too, as
        what no bundle names would stay for ever.
        """
        core_text, core = self._core(exited)
        bundle = {
            "format": FORMAT,
            "exit": {k: v for k, v in encode(exited).items() if k != "tail"},
            "log": str(self._logs / f"{exited.service}.log"),
            "last_lines": list(exited.tail),
            "core": core_text,
            "core_file": encode(core),
            "pressure": dict(_pressure()),
            "load": os.getloadavg(),
        }
        try:
            make_private_dir(self._folder)
            write_durable(path, json.dumps(bundle, indent=1).encode())
        except OperationError:
            if core is not None:
                remove_core(core)
            return
        self._drop_oldest(self._keep)

    def prune(self) -> str:
        """Remove what is prunable, to make room.

        It is the rotated logs, and all bundles but the newest few, with their cores.
        """
        freed_bytes = sum(_remove(path) for path in self._logs.glob("*.log.*"))
        freed_bytes += self._drop_oldest(min(self._keep, KEPT_WHEN_PRUNED))
        return f"freed {format_size(freed_bytes)}"

    def _drop_oldest(self, keep: int) -> int:
        bundles = sorted(self._folder.glob("*.json"), key=_exit_key, reverse=True)
        return sum(_remove_core_of(path) + _remove(path) for path in bundles[keep:])

    def _core(self, exited: Exited) -> tuple[str, CoreFile | None]:
        """Tell where the core is, a file or the program that took it; and which file, if one."""
        if not exited.core_dumped:
            return "", None
        pattern = self._core_pattern.read_text().strip()
        if pattern.startswith("|"):
            return f"handed to {pattern[1:]}", None
        folder = Path(self._folders.get(exited.service, "."))
        now_s = self._clock.now().timestamp()
        core = find_core(pattern, folder, pid=exited.pid, now_s=now_s)
        return core.path if core else "", core


def _remove_core_of(bundle: Path) -> int:
    """Remove the core that a bundle names; before the bundle, so that none is left unnamed."""
    try:
        core = decode(CoreFile, json.loads(bundle.read_bytes())["core_file"])
    except (OSError, ValueError, KeyError, TypeError):  # An old bundle, or without a core.
        return 0
    return remove_core(core)


def _pressure() -> Iterator[tuple[str, Any]]:
    for resource in ("cpu", "memory", "io"):
        pressure = read_pressure(PRESSURE / resource)
        if pressure is not None:
            yield resource, asdict(pressure)


def _exit_key(bundle: Path) -> str:
    """Give the end of a bundle's name, which sorts by the time of the exit."""
    return bundle.stem.rpartition("_")[2]


def _remove(path: Path) -> int:
    """Remove a file and tell how many bytes that freed."""
    try:
        size = path.lstat().st_size
        path.unlink()
    except OSError:
        return 0
    return size
