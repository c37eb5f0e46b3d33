"""Crash bundles: what was known at the moment in which a service ended badly, in one JSON file.

A bundle holds why it ended and how often that has happened, what it used, the last lines that it wrote with
the stack trace among them, where its threads stood if it hung, the pressure on the machine, and where the
kernel left a core. What the core tells is added when it has been read. The oldest go when there are more than
are to be kept, each with the core that it names.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import decode, encode
from resile.core.files import make_private_dir, write_durable
from resile.core.ids import new_id
from resile.core.units import format_size
from resile.daemon.autopsy import Autopsy
from resile.daemon.core_summary import CoreSummaries
from resile.daemon.cores import CoreFile, find_core, remove_core
from resile.daemon.protocol import Exited
from resile.daemon.stacks import ProcessStack
from resile.errors import OperationError
from resile.health import read_pressure
from resile.incidents import Problem

FORMAT = 2
KEPT_WHEN_PRUNED = 10
"""Bundles that even a full disk does not cost: they are the evidence of what happens now."""
PRESSURE = Path("/proc/pressure")
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """What is known of one crash.

    Args:
        exited: What the guard saw.
        autopsy: Why it ended.
        problem: What it has in common with earlier ones; None if it is no crash, but left a core.
        stacks: Where its threads stood, if it hung.
    """

    exited: Exited
    autopsy: Autopsy
    problem: Problem | None = None
    stacks: tuple[ProcessStack, ...] = ()


class Crashes:
    """The folder of crash bundles. Safe to share between threads: every file is written whole.

    Args:
        state: The state folder.
        folders: Where each service runs; a core is looked for there.
        keep: Bundles to keep.
        clock: Where time comes from.
        core_pattern: How the kernel names core files.
        summaries: Sums them up. Default: with gdb, where there is one.
    """

    def __init__(
        self,
        state: Path,
        *,
        folders: Mapping[str, str],
        keep: int,
        clock: Clock,
        core_pattern: Path = CORE_PATTERN,
        summaries: CoreSummaries | None = None,
    ) -> None:
        self._folder = state / "crashes"
        self._logs = state / "logs"
        self._folders = folders
        self._keep = keep
        self._clock = clock
        self._core_pattern = core_pattern
        self._summaries = summaries or CoreSummaries()

    def path_for(self, exited: Exited) -> Path:
        """Choose where an exit's bundle will be."""
        name = new_id(f"{exited.service}-{exited.generation}", at=exited.at)
        return self._folder / f"{name}.json"

    def write(self, crash: Crash, path: Path) -> None:
        """Write a bundle; durable when it returns.

        Without room it is left out: the exit itself is in the journal. The core goes then too, as
        what no bundle names would stay for ever.
        """
        exited = crash.exited
        core_text, core = self._core(exited)
        bundle = {
            "format": FORMAT,
            "why": encode(crash.autopsy.explanation),
            "error": crash.autopsy.words.error,
            "frames": list(crash.autopsy.words.frames),
            "problem": encode(crash.problem),
            "exit": {k: v for k, v in encode(exited).items() if k != "tail"},
            "trace": encode(crash.autopsy.words.trace),
            "stacks": encode(crash.stacks),
            "log": str(self._logs / f"{exited.service}.log"),
            "last_lines": list(exited.tail),
            "core": core_text,
            "core_file": encode(core),
            "core_summary": None,
            "pressure": dict(_pressure()),
            "load": os.getloadavg(),
        }
        try:
            make_private_dir(self._folder)
            write_durable(path, _text(bundle))
        except OperationError:
            if core is not None:
                remove_core(core)
            return
        self._drop_oldest(self._keep)

    def add_core_summary(self, path: Path) -> None:
        """Add to a bundle what its core tells, if it has one. Blocks for seconds; durable when it returns.

        A bundle that has gone meanwhile stays gone, and one that cannot be written stays as it is.
        """
        try:
            bundle = json.loads(path.read_bytes())
            core = decode(CoreFile, bundle["core_file"])
        except (OSError, ValueError, KeyError, TypeError):  # It has no core, mostly.
            return
        summary = self._summaries.of(Path(core.path))
        if summary is not None and summary["signal"] != bundle["exit"]["signal"]:
            return  # Another process wrote its core under the same name since.
        bundle["core_summary"] = summary
        with contextlib.suppress(OperationError):
            if path.exists():
                write_durable(path, _text(bundle))

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


def _text(bundle: Mapping[str, Any]) -> bytes:
    return json.dumps(bundle, indent=1).encode()


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
