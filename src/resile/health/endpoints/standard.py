"""Checks that most services need: a database, something to call, connections, disks, memory."""

import os
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, Protocol

from resile.core.units import format_size
from resile.core.vocabulary import CheckState
from resile.health.disks import read_disk
from resile.health.endpoints.model import CheckCall, Figure, HealthResult, HealthStatus
from resile.health.procfs import read_stat

SAMPLE = b"resile: a harmless sample, to see whether the scanner answers"


class Connection(Protocol):
    """A connection of the Python database interface (PEP 249)."""

    def cursor(self) -> Any:
        """Give a cursor with `execute`, `fetchone` and `close`."""
        ...

    def close(self) -> object:
        """Close it, or give it back to its pool."""
        ...


def database(connect: Callable[[], Connection], query: str) -> CheckCall:
    """Connect, ask one question, close."""

    def look() -> bool:
        with closing(connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(query)
            return cursor.fetchone() is not None

    return look


def sqlite(path: str, timeout_s: float) -> CheckCall:
    """Open a SQLite file read-only and read its schema, as a damaged file answers `SELECT 1`."""

    def look() -> HealthResult:
        from resile.health.checks.databases import ping_sqlite

        finding = ping_sqlite(path, timeout_s=timeout_s)
        if finding.state is CheckState.UP:
            return HealthResult()
        return HealthResult(HealthStatus.UNHEALTHY, finding.reason)

    return look


def scanner(scan: Callable[[bytes], object | Awaitable[object]]) -> CheckCall:
    """Have a small buffer scanned; what is found in it does not matter, that it returns does."""

    def look() -> Any:
        from inspect import isawaitable

        found = scan(SAMPLE)
        return _ended(found) if isawaitable(found) else None

    return look


async def _ended(found: Awaitable[object]) -> None:
    await found


def connections(count: Callable[[], int], limit: int) -> CheckCall:
    """Count connections; degraded from `limit` on."""

    def look() -> HealthResult:
        active = count()
        is_good = active < limit
        return HealthResult(
            HealthStatus.HEALTHY if is_good else HealthStatus.DEGRADED,
            "" if is_good else f"{active} connections, fewer than {limit} are wanted",
            {"connections": active},
            (Figure("connections_active", "Connections that are open.", active),),
        )

    return look


def disk(paths: tuple[str, ...], free_min: int) -> CheckCall:
    """Look at what several file systems have free; unhealthy if one has too little."""

    def look() -> HealthResult:
        spaces = {path: read_disk(path) for path in paths}
        short = [
            f"{format_size(space.free_bytes)} free on {path}"
            + (" and no inodes" if space.is_out_of_inodes else "")
            for path, space in spaces.items()
            if space.free_bytes <= free_min or space.is_out_of_inodes
        ]
        wanted = f", more than {format_size(free_min)} is wanted"
        least = min(space.free_bytes for space in spaces.values())
        return HealthResult(
            HealthStatus.UNHEALTHY if short else HealthStatus.HEALTHY,
            ", ".join(short) + wanted if short else "",
            {"free_gb": round(least / (1 << 30), 2)},
            tuple(
                Figure("free_bytes", "What users can still write.", free, {"mount": path})
                for path, free in ((path, space.free_bytes) for path, space in spaces.items())
            ),
        )

    return look


def memory(rss_max: int) -> CheckCall:
    """Look at the resident memory of this process; degraded from `rss_max` on."""

    def look() -> HealthResult:
        stat = read_stat(os.getpid())
        if stat is None:
            return HealthResult(HealthStatus.DEGRADED, "/proc is not mounted")
        rss = stat.rss_bytes
        is_good = rss < rss_max
        return HealthResult(
            HealthStatus.HEALTHY if is_good else HealthStatus.DEGRADED,
            ""
            if is_good
            else f"{format_size(rss)} resident, less than {format_size(rss_max)} is wanted",
            {"rss_mb": round(rss / (1 << 20), 1)},
            (Figure("rss_bytes", "Resident memory of the process.", rss),),
        )

    return look
