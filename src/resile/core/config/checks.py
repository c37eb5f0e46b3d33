"""The check tables: `ready` and `live` of a service, and `[check.NAME]` for what belongs to none.

A check has exactly one key that says how to look (`http`, `tcp`, ...), and options. Which ways
there are depends on the question: liveness never looks at a dependency, so it knows no database.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from resile.core.config.base import (
    Address,
    Command,
    Count,
    Dsn,
    FolderPath,
    Name,
    Section,
    Url,
    setting,
)
from resile.core.config.faults import fault
from resile.core.config.units import DurationIn, SizeIn, SizeOrShareIn

KINDS = (
    "http",
    "tcp",
    "unix",
    "command",
    "file",
    "sqlite",
    "postgres",
    "process",
    "heartbeat",
    "disk",
    "memory",
)
"""Every way to look at something, in the order in which the tables declare them."""

_OPTIONS_OF = {
    "status": ("http",),
    "age_max": ("file",),
    "rss_max": ("process",),
    "free_min": ("disk", "memory"),
}
"""Options that only some kinds understand."""

_TIMEOUT_S = 1.0
_DISK_FREE_MIN = "10%"
_MEMORY_FREE_MIN = "5%"


class CheckSection(Section):
    """What every check may say: the ways to look that fit everywhere, and the rhythm."""

    http: Url | None = setting(
        None,
        description="Get this URL; good is a status of 200 to 399. "
        'Example: "http://127.0.0.1:8080/health".',
    )
    tcp: Address | None = setting(
        None, description='Connect to HOST:PORT. Example: "127.0.0.1:6379".'
    )
    unix: FolderPath | None = setting(
        None, description='Connect to this unix socket. Example: "run/app.sock".'
    )
    command: Command | None = setting(
        None,
        description="Run this program; good is exit code 0. A list of words, no shell. "
        'Example: ["pg_isready", "-q"].',
    )
    file: FolderPath | None = setting(
        None,
        description="This file exists; with `age_max` it must also have been written lately. "
        'Example: "data/last-backup".',
    )
    status: Annotated[Count, Field(ge=100, le=599)] | None = setting(
        None,
        description="The one HTTP status that is good, 100 to 599. Default: any of 200 to 399.",
    )
    age_max: Annotated[float, DurationIn("1s", "3650d")] | None = setting(
        None, description="The file's last change may be so long ago, 1s to 3650d. Default: any."
    )
    interval: Annotated[float, DurationIn("100ms", "1d")] = setting(
        "10s", description="Time from one look to the next, 100ms to 1d."
    )
    timeout: Annotated[float, DurationIn("10ms", "1h")] = setting(
        lambda data: min(_TIMEOUT_S, data.get("interval", _TIMEOUT_S)),
        description="A look that takes longer is a bad one; 10ms to 1h, at most the interval. "
        "Default: 1s, or the interval where that is shorter.",
    )
    fall: Count = setting(
        3, ge=1, le=100, description="So many bad looks in a row mean DOWN, 1 to 100."
    )
    rise: Count = setting(
        2, ge=1, le=100, description="So many good looks in a row mean UP, 1 to 100."
    )
    degraded_after: Annotated[float, DurationIn("1ms", "1h")] | None = setting(
        None,
        description="A good look that takes longer counts as DEGRADED, 1ms to 1h. Default: never.",
    )

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """List the ways to look that this table knows."""
        return tuple(kind for kind in KINDS if kind in cls.model_fields)

    @property
    def kind(self) -> str:
        """The way to look that was chosen."""
        return next(kind for kind in self.kinds() if getattr(self, kind) is not None)

    @property
    def target(self) -> str:
        """What is looked at, as text; empty where the kind says it all."""
        value = getattr(self, self.kind)
        return "" if isinstance(value, bool | tuple | float) else str(value)

    @model_validator(mode="before")
    @classmethod
    def _has_kind(cls, data: Any) -> Any:
        if not isinstance(data, dict) or any(kind in data for kind in KINDS):
            return data
        if any(key not in cls.model_fields for key in data):
            return data  # the key that nobody knows is most likely the kind, spelt wrong
        raise fault("says nothing to look at", hint=f"add one of {', '.join(cls.kinds())}")

    @field_validator("*", mode="after")
    @classmethod
    def _fits(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        name = str(info.field_name)
        given = [kind for kind in KINDS if info.data.get(kind) is not None]
        if name in KINDS and given:
            raise fault(
                f"a check looks in one way, and this one has `{given[0]}` already",
                hint="keep one of them",
            )
        owners = _OPTIONS_OF.get(name, tuple(given))
        if given and not set(owners) & set(given):
            raise fault(f"belongs to a check of {' or '.join(owners)}, and this one is {given[0]}")
        if name == "timeout" and value > info.data.get("interval", value):
            raise fault("must not be longer than the interval", hint="raise `interval`")
        return value


class ReadyCheck(CheckSection):
    """Can the service do its work now, with everything that it needs? DOWN: send it no work."""

    sqlite: FolderPath | None = setting(
        None, description="`SELECT 1` in this SQLite file succeeds. It is opened read-only."
    )
    postgres: Dsn | None = setting(
        None, description='`SELECT 1` succeeds. Example: "postgresql://app@127.0.0.1/app".'
    )
    interval: Annotated[float, DurationIn("100ms", "1d")] = setting(
        "1s",
        description="Time from one look to the next, 100ms to 1d. Short, because those that "
        "depend on the service wait for it.",
    )


class LiveCheck(CheckSection):
    """Does the process itself work? DOWN: restart it. Never looks at what it depends on."""

    process: Literal[True] | None = setting(
        None, description="Its main process runs and, with `rss_max`, has not grown above it."
    )
    heartbeat: Annotated[float, DurationIn("100ms", "1d")] | None = setting(
        None,
        description="It sends WATCHDOG=1 (sd_notify) at least so often, 100ms to 1d. "
        "Needs `notify = true`.",
    )
    rss_max: Annotated[int, SizeIn("1MiB", "1024TiB")] | None = setting(
        None, description="The main process may have so much resident memory. Default: any."
    )
    interval: Annotated[float, DurationIn("100ms", "1d")] = setting(
        "5s",
        description="Time from one look to the next, 100ms to 1d. With `fall` 3 a hang is seen "
        "within 15 s.",
    )


def _free_min(data: dict[str, Any]) -> str | None:
    if data.get("disk") is not None:
        return _DISK_FREE_MIN
    return _MEMORY_FREE_MIN if data.get("memory") is not None else None


class SystemCheck(CheckSection):
    """Something that belongs to no service. A service may name it in `depends_on`."""

    sqlite: FolderPath | None = setting(
        None, description="`SELECT 1` in this SQLite file succeeds. It is opened read-only."
    )
    postgres: Dsn | None = setting(
        None, description='`SELECT 1` succeeds. Example: "postgresql://app@127.0.0.1/app".'
    )
    heartbeat: Annotated[float, DurationIn("1s", "366d")] | None = setting(
        None,
        description="Somebody runs `resile beat NAME` at least so often, 1s to 366d: a nightly "
        "job, a script in cron.",
    )
    process: Name | None = setting(
        None,
        description="The main process of the service of this name runs and, with `rss_max`, has "
        "not grown above it.",
    )
    disk: FolderPath | None = setting(
        None, description='The file system of this folder has `free_min` free. Example: ".".'
    )
    memory: Literal[True] | None = setting(
        None, description="The machine has `free_min` of its memory available."
    )
    rss_max: Annotated[int, SizeIn("1MiB", "1024TiB")] | None = setting(
        None, description="The process may have so much resident memory. Default: any."
    )
    free_min: Annotated[int | float, SizeOrShareIn("1B", "1024TiB")] | None = setting(
        _free_min,
        description='What must be free, as a size or a share: "1GiB" or "10%". '
        "Default: 10% for a disk, 5% for memory.",
    )
