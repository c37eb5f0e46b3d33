"""Measure disks in a thread of their own: a file system on a network may not answer for hours."""

import os
import threading
from collections.abc import Iterator

from resile.core.vocabulary import Resource
from resile.daemon.foresight.plan import ForesightPlan
from resile.health import CheckKind, CheckSpec, DiskSpace, read_disk
from resile.health.prediction import SAMPLE_S, Reading, Source
from resile.recover import check_target

TAKEN_EVERY_S = 0.8 * SAMPLE_S
"""A little more often than it is taken, so that there is always something new to take."""


class DiskGauge:
    """Measures every `TAKEN_EVERY_S` from `start` on. Safe to share between threads.

    Args:
        plan: The disks of its checks are measured, and that of the state folder.
    """

    def __init__(self, plan: ForesightPlan) -> None:
        self._specs = [spec for spec in plan.checks if spec.kind is CheckKind.DISK]
        self._state = str(plan.state)
        self._lock = threading.Lock()
        self._readings: tuple[Reading, ...] = ()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resile-disks", daemon=True)

    def start(self) -> None:
        """Begin. Once only."""
        self._thread.start()

    def close(self) -> None:
        """End; one that hangs in the kernel is not waited for. Idempotent."""
        self._ended.set()

    def take(self) -> tuple[Reading, ...]:
        """Give what was measured since it was taken last; nothing while a disk hangs."""
        with self._lock:
            readings, self._readings = self._readings, ()
        return readings

    def measure(self) -> tuple[Reading, ...]:
        """Measure every file system once. Blocks as long as they do."""
        readings: list[Reading] = []
        devices: set[int] = set()
        for spec in self._specs:
            readings += _disk(spec.target, check_target(spec.id), devices, spec)
        if not _devices_of(self._state) & devices:
            readings += _disk(self._state, f"folder/{self._state}", devices, None)
        return tuple(readings)

    def _run(self) -> None:
        while not self._ended.is_set():
            readings = self.measure()
            with self._lock:
                self._readings = readings
            self._ended.wait(TAKEN_EVERY_S)


def _devices_of(path: str) -> set[int]:
    try:
        return {os.stat(path).st_dev}  # noqa: PTH116 - the paths of checks are text
    except OSError:
        return set()


def _disk(path: str, target: str, devices: set[int], spec: CheckSpec | None) -> Iterator[Reading]:
    """Measure a file system; what a check wants to be free is not there to be used."""
    try:
        space = read_disk(path)
    except OSError:  # Its check tells it.
        return
    devices |= _devices_of(path)
    limit = space.usable_bytes - _wanted_free(space, spec)
    if limit > 0:
        source = Source(resource=Resource.DISK, target=target, detail=path)
        yield Reading(source=source, used=space.usable_bytes - space.free_bytes, limit=limit)
    if space.usable_inodes:
        source = Source(resource=Resource.INODES, target=target, detail=path)
        used = space.usable_inodes - space.free_inodes
        yield Reading(source=source, used=used, limit=space.usable_inodes)


def _wanted_free(space: DiskSpace, spec: CheckSpec | None) -> int:
    options = {} if spec is None else spec.options
    share = options.get("free_min_share", 0.0)
    return int(max(options.get("free_min_bytes", 0.0), share * space.usable_bytes))
