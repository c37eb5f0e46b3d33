"""The words between the guard and the brain: JSON lines over an inherited socket pair.

The brain asks (`Spawn`, `Signal`, `Kill`, `Forget`, `List`, `Ping`, `Quit`), each with a request id that
the guard's `Reply` repeats. The guard tells by itself (`Exited`, `Notified`, `StopWanted`).

Every request is idempotent by (service, generation): a brain that was cut off may ask again.
An exit is told again to every new brain until it is forgotten, so no exit code is lost.
"""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from resile.contain.cgroups import CgroupLimits
from resile.core.codec import decode, encode

GUARD_FD_VARIABLE = "RESILE_GUARD_FD"
"""Where the brain finds the number of its inherited socket."""
MESSAGE_BYTES_MAX = 1 << 20
"""A crash bundle's 200 lines of 4 KiB each fit in."""


class Message:
    """The base of every message; `tag` names it on the wire."""

    tag: ClassVar[str]
    registry: ClassVar[dict[str, type["Message"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "tag" in cls.__dict__:
            Message.registry[cls.tag] = cls


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn(Message):
    """Start generation `generation` of a service in its own cgroup, unless the guard knows it already.

    Args:
        argv: The command; argv[0] is looked up in the environment's PATH.
        env: The whole environment.
        cwd: Where it runs.
        limits: Of its cgroup.
        is_notify: Give it a NOTIFY_SOCKET.
        watchdog_s: Give it WATCHDOG_USEC; 0 means none.
        stop_signal: Asks it to end, where the guard has to stop it without a brain.
        drain_s: So long it may take then.
        log_bytes_max: Rotate its log at this size.
        log_files_max: Keep so many rotated ones.
        log_lines_per_s_max: Drop and count what is above.
    """

    tag: ClassVar[str] = "spawn"
    request_id: int
    service: str
    generation: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    limits: CgroupLimits = field(default_factory=CgroupLimits)
    is_notify: bool = False
    watchdog_s: float = 0.0
    stop_signal: int = signal.SIGTERM
    drain_s: float = 5.0
    log_bytes_max: int = 10 << 20
    log_files_max: int = 5
    log_lines_per_s_max: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal(Message):
    """Send a signal to the main process only; the rest of the tree is asked by its own parent."""

    tag: ClassVar[str] = "signal"
    request_id: int
    service: str
    generation: int
    signal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(Message):
    """Kill the whole cgroup; answered when it is empty."""

    tag: ClassVar[str] = "kill"
    request_id: int
    service: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget(Message):
    """The exit is in the journal: the guard need not remember it."""

    tag: ClassVar[str] = "forget"
    request_id: int
    service: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class List(Message):
    """Ask for every instance that the guard knows: running, or exited and not forgotten."""

    tag: ClassVar[str] = "list"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Message):
    """The brain is alive. A brain silent for longer than the guard's patience is killed."""

    tag: ClassVar[str] = "ping"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quit(Message):
    """Everything is stopped: kill what is left in any cgroup, then end with this code."""

    tag: ClassVar[str] = "quit"
    request_id: int
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(Message):
    """An instance's main process ended; what was left of its cgroup has been killed."""

    tag: ClassVar[str] = "exited"
    service: str
    generation: int
    pid: int
    exit_code: int | None = None
    signal: str = ""
    core_dumped: bool = False
    oom_kills: int | None = None
    """None: nobody counts them here."""
    memory_limit_hits: int = 0
    refused_processes: int = 0
    uptime_s: float = 0.0
    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    memory_max_bytes: int = 0
    survivors_killed: int = 0
    at: datetime
    tail: tuple[str, ...] = ()
    """The last 200 lines of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One generation of a service, as the guard knows it."""

    service: str
    generation: int
    pid: int
    start_ticks: int
    cgroup: str
    started_at: datetime
    is_ready: bool = False
    """It said READY=1."""
    last_ping_at: datetime | None = None
    """Its last WATCHDOG=1."""
    exited: Exited | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Message):
    """The answer to a request. `error` is empty when it was done; `hint` says what to do."""

    tag: ClassVar[str] = "reply"
    request_id: int
    error: str = ""
    hint: str = ""
    instances: tuple[Instance, ...] = ()
    """For `List` all of them, for `Spawn` the one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified(Message):
    """A service wrote to its NOTIFY_SOCKET."""

    tag: ClassVar[str] = "notified"
    service: str
    generation: int
    is_ready: bool = False
    is_stopping: bool = False
    is_watchdog: bool = False
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopWanted(Message):
    """Somebody asked the guard to end (SIGTERM, SIGINT): the brain stops everything in order."""

    tag: ClassVar[str] = "stop_wanted"
    signal: str


def to_line(message: Message) -> bytes:
    """Write a message as one line."""
    return json.dumps({"tag": message.tag, **encode(message)}).encode() + b"\n"


def from_line(line: bytes) -> Message:
    """Read a message from one line.

    Raises:
        ValueError: If the line is no message of ours.
    """
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError(f"no message {line[:80]!r}")  # noqa: TRY004 - what was read is wrong
    kind = Message.registry.get(data.pop("tag", ""))
    if kind is None:
        raise ValueError(f"unknown message {line[:80]!r}")
    return decode(kind, data)
