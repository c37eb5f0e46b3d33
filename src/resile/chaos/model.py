"""What faults on purpose are made of: a wish, the record that undoes it, and what was seen of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from resile.core.process import Identity

TTL_S_MIN: Final = 0.5
TTL_S_MAX: Final = 3600.0
"""What shall last longer is no experiment."""
TTL_S_DEFAULT: Final = 30.0
LATE_S: Final = 5.0
"""A fault is gone so long after its time to live at the latest, whoever died meanwhile."""

Facts = Mapping[str, Any]
"""Plain JSON data."""


class Privilege(StrEnum):
    """What applying a fault needs beside the rights of whoever owns its target."""

    USER = "user"
    """Nothing."""
    ROOT = "root"
    DAEMON = "daemon"
    """A daemon that answers."""


class TargetKind(StrEnum):
    """What a fault hits, as its target is written."""

    PROCESS = "process"
    """`service/NAME`, `brain`, or `pid/NUMBER`."""
    GROUP = "group"
    """`service/NAME`, or nothing: the machine."""
    SERVICE = "service"
    """`service/NAME`: it needs a control group or the daemon."""
    FILE = "file"
    FOLDER = "folder"
    ADDRESS = "address"
    """`HOST:PORT` of a server."""
    URL = "url"
    SECRET = "secret"  # noqa: S105 - the word itself
    """`secret/NAME`, of `[secret.NAME]`."""
    GUARD = "guard"
    """`guard/NAME`: a guard of `[policy.NAME]`."""


class EndedBy(StrEnum):
    """Who took a fault back."""

    ENGINE = "engine"
    WATCHDOG = "watchdog"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A fault that somebody wants.

    Args:
        fault: Its name in the catalogue, such as `process.kill`.
        target: What it hits, as its `TargetKind` says; empty where that allows it.
        arguments: Its options, checked.
        ttl_s: It ends by itself after so many seconds, 0.5..3600.
    """

    fault: str
    target: str = ""
    arguments: Facts = field(default_factory=dict)
    ttl_s: float = TTL_S_DEFAULT

    def __post_init__(self) -> None:
        if not TTL_S_MIN <= self.ttl_s <= TTL_S_MAX:
            raise AssertionError(f"a time to live of {self.ttl_s} s was let through")


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRecord:
    """All that is needed to take a fault back; durable before the fault is applied.

    Args:
        fault_id: Which one.
        fault: Its name in the catalogue.
        target: What it hits.
        arguments: Its options.
        facts: What its module saw before it changed anything: how things were.
        ttl_s: How long it may last.
        until_s: Its end on the monotonic clock of this boot.
        boot_id: Of the boot that `until_s` belongs to.
        begun_at: When it was decided; aware, UTC.
        owner: The engine that ends it; when that dies, it ends. None: it lasts for its time.
        experiment_id: The experiment that it belongs to; empty if to none.
        who: Wanted it.
    """

    fault_id: str
    fault: str
    target: str
    arguments: Facts
    facts: Facts
    ttl_s: float
    until_s: float
    boot_id: str
    begun_at: datetime
    owner: Identity | None = None
    experiment_id: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a fault was taken back.

    Args:
        fault_id: Which one.
        by: Who did it.
        why: The reason.
        is_gone: It was proven to be gone.
        detail: What was seen.
    """

    fault_id: str
    by: EndedBy
    why: str
    is_gone: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a look at the world showed.

    Args:
        holds: It is so.
        detail: What was seen, in a few words.
    """

    holds: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What preflight tells of one fault.

    Args:
        fault: Its name.
        obstacle: Why it cannot be applied here; empty if it can.
    """

    fault: str
    obstacle: str

    @property
    def is_able(self) -> bool:
        """It can be applied."""
        return not self.obstacle
