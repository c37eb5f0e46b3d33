"""The guards of every process, as their processes say. Pure but for the memory that it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from resile.clients import wire

ROWS_MAX: Final = 5000
"""Of all processes together: ten times what one may have."""
NAMES_MAX: Final = 1000
"""Names that were seen, so that a guard can be ordered about while its process starts anew."""
_STATES = frozenset({"", "closed", "open", "half_open"})
_MODES = frozenset({"automatic", "forced_open", "disabled", "metrics_only"})
_COUNTS = ("calls", "failures", "rejected", "retries", "opened", "in_flight", "limit")
_TEXTS = ("reason", "last_failure", "policy", "shared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that is connected.

    Args:
        key: Names this connection.
        pid: Of the process, as the kernel says.
        program: What it calls itself.
        service: The service that it belongs to; empty if to none.
        connected_at: Since when it is heard.
    """

    key: int
    pid: int
    program: str
    service: str
    connected_at: datetime


class PolicyTable:
    """Rows by process and guard. Not thread-safe."""

    def __init__(self) -> None:
        self._rows: dict[Process, dict[str, dict[str, Any]]] = {}
        self._seen: dict[str, None] = {}

    def put(self, process: Process, value: object, now: datetime) -> dict[str, dict[str, Any]]:
        """Take what a process says of its guards, in place of what it said before.

        Returns:
            What it had said before, by guard.

        Raises:
            WireError: If it is no list of readings, or there are too many of them.
        """
        if not isinstance(value, list) or len(value) > wire.GUARDS_MAX:
            raise wire.WireError(f"the readings are no list of at most {wire.GUARDS_MAX}")
        rows = [_row(one, now) for one in value]
        others = sum(len(kept) for other, kept in self._rows.items() if other != process)
        before = self._rows.get(process, {})
        self._rows[process] = {row["guard"]: row for row in rows[: max(0, ROWS_MAX - others)]}
        for name in self._rows[process]:
            self._seen.pop(name, None)
            self._seen[name] = None
        while len(self._seen) > NAMES_MAX:
            del self._seen[next(iter(self._seen))]
        return before

    def drop(self, process: Process) -> None:
        """Forget a process that is gone."""
        self._rows.pop(process, None)

    def guards_of(self, process: Process) -> Mapping[str, Mapping[str, Any]]:
        """Give the guards of one process, by name."""
        return self._rows.get(process, {})

    def names(self) -> Iterable[str]:
        """Give the names that were seen lately, also in processes that are gone."""
        return self._seen

    def rows(self, now: datetime) -> list[dict[str, Any]]:
        """Give all, by guard and then by process; what counts down has gone on since."""
        found = [
            {**row, **_who(process), "left_s": _left(row, now)}
            for process, rows in self._rows.items()
            for row in rows.values()
        ]
        return sorted(found, key=lambda row: (row["guard"], row["service"], row["pid"]))


def _who(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "program": process.program,
        "service": process.service,
        "connected_at": process.connected_at,
    }


def _left(row: Mapping[str, Any], now: datetime) -> float | None:
    end = row["ends_at"]
    return None if end is None else max(0.0, round((end - now).total_seconds(), 1))


def _row(value: object, now: datetime) -> dict[str, Any]:
    """Check one reading; what is not known is left out."""
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(name, str) or not name:
        raise wire.WireError("a reading has no name")
    state, mode = str(value.get("state")), str(value.get("mode"))
    if state not in _STATES or mode not in _MODES:
        raise wire.WireError(f"{wire.text_of(name)!r} is in no state or mode that is known")
    left_s, rate = value.get("left_s"), value.get("success_rate")
    failed_s = value.get("last_failed_at_s")
    return {
        "guard": wire.text_of(name),
        "state": state,
        "mode": mode,
        **{key: wire.text_of(value.get(key)) for key in _TEXTS},
        **{key: int(wire.number_of(value.get(key))) for key in _COUNTS},
        "success_rate": None if rate is None else wire.number_of(rate, high=1.0),
        "last_failed_at": None if failed_s is None else moment(failed_s),
        "ends_at": None if left_s is None else now + timedelta(seconds=seconds(left_s)),
        "at": now,
    }


def moment(at_s: object) -> datetime:
    """Give a time in seconds since 1970 as one in UTC."""
    return datetime.fromtimestamp(wire.number_of(at_s, high=32503680000.0), UTC)


def seconds(value: object) -> float:
    """Give a duration from outside, a year at most."""
    return wire.number_of(value, high=366 * 86400.0)
