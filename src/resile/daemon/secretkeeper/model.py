"""What the secretkeeper is to do, and whom it talks with, as frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from resile.core.secret_names import variable_of


class Deliver(StrEnum):
    """How services get a secret."""

    API = "api"
    """They ask for it."""
    ENV = "env"
    """As a variable, when they start."""
    FILE = "file"
    """As a file of a folder that is only theirs."""


HANDED = (Deliver.ENV, Deliver.FILE)
"""What a service is given when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlan:
    """One secret that is declared.

    Args:
        name: Of its table.
        services: Who gets it.
        deliver: How.
        variable: env: the variable's name.
        signal: file: what tells them that it was written anew, such as `HUP`; empty: nothing.
        is_canary: Nobody needs it.
        rotator: Its table; None: it is not rotated.
        every_s: How often it is rotated.
        rule: When it is rotated, instead; empty: as `every_s` says.
        deadline_s: So long consumers may take after a compromise.
        ttl_s: So long it may be served from memory.
        max_stale_s: So much longer while the provider is away.
    """

    name: str
    services: tuple[str, ...] = ()
    deliver: Deliver = Deliver.API
    variable: str = ""
    signal: str = ""
    is_canary: bool = False
    rotator: Mapping[str, Any] | None = None
    every_s: float = 30 * 86_400.0
    rule: str = ""
    deadline_s: float = 3.0
    ttl_s: float = 300.0
    max_stale_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of it.

    Args:
        state: The state folder.
        settings: The table `[secrets]` as plain data; durations are seconds.
        secrets: Those that are declared, by name. Others may be kept, too.
    """

    state: Path
    settings: Mapping[str, Any]
    secrets: Mapping[str, SecretPlan] = field(default_factory=dict)

    def secret(self, name: str) -> SecretPlan:
        """Give what is declared of a secret; of one that is not, what holds for all."""
        return self.secrets.get(name) or SecretPlan(
            name=name,
            ttl_s=self.settings["ttl"],
            max_stale_s=self.settings["max_stale"],
        )

    def handed_to(self, service: str) -> tuple[SecretPlan, ...]:
        """List what a service is given when it starts, and does not ask for."""
        return tuple(
            one
            for one in self.secrets.values()
            if service in one.services and one.deliver is not Deliver.API
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the kernel tells of a process that connected.

    Args:
        pid: As we see it; 0: we do not see it.
        uid: Its effective user when it connected.
        start_ticks: When it started, since the boot.
        is_near: It is in our own pid namespace.
        groups: The paths of its control groups.
        mark: What names its group where there are no control groups.
        program: The name of its executable, or of the script that an interpreter runs.
    """

    pid: int
    uid: int
    start_ticks: int = 0
    is_near: bool = True
    groups: tuple[str, ...] = ()
    mark: str = ""
    program: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Whoever is at the other end of a connection.

    Args:
        name: `service/NAME` or `user/UID/PROGRAM`.
        pid: Its process.
        uid: Its user.
        start_ticks: Of its process, which together with the pid names it for as long as it lives.
        program: As in the facts.
        service: Which one it belongs to; empty: to none, and an operator started it.
        generation: Of the service.
        place: The control group that it is in; empty if there is none.
        denied: Why it gets nothing at all; empty: it may ask.
    """

    name: str
    pid: int
    uid: int
    start_ticks: int = 0
    program: str = ""
    service: str = ""
    generation: int = 0
    place: str = ""
    denied: str = ""

    @property
    def label(self) -> str:
        """What people read: `dispatcher (pid 1234)`."""
        return f"{self.service or self.program} (pid {self.pid})"


def plan_of(config: Mapping[str, Any], *, state: Path) -> Plan:
    """Read what is declared from the whole configuration as plain data."""
    settings = config["secrets"]
    return Plan(
        state=state,
        settings=settings,
        secrets={name: _secret(name, table, settings) for name, table in config["secret"].items()},
    )


def _secret(name: str, table: Mapping[str, Any], settings: Mapping[str, Any]) -> SecretPlan:
    return SecretPlan(
        name=name,
        services=tuple(table["services"]),
        deliver=Deliver(table["deliver"]),
        variable=table["variable"] or variable_of(name),
        signal=table["signal"],
        is_canary=table["canary"],
        rotator=table.get("rotator"),
        every_s=table["every"],
        rule=table["rule"],
        deadline_s=table["deadline"],
        ttl_s=table.get("ttl", settings["ttl"]),
        max_stale_s=table.get("max_stale", settings["max_stale"]),
    )
