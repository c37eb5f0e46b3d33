"""What of a system a drill has to know: what is declared, and what a user said of drills. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RATE_DEFAULT = 10.0
TIMEOUT_S_DEFAULT = 5.0
ID = "{id}"
"""Stands in a body for the id of a write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredService:
    """A `[service.NAME]`.

    Args:
        name: Its name.
        memory_bytes: Its limit; None: it has none.
        is_restarted_before_oom: It is restarted when it is about to reach that limit.
        is_probed: Something looks whether it still works.
        address: `HOST:PORT` where it listens on the loopback; empty: nobody knows.
        intensity: So many restarts in `period_s`; then it is quarantined.
        period_s: The window of these.
    """

    name: str
    memory_bytes: int | None = None
    is_restarted_before_oom: bool = False
    is_probed: bool = True
    address: str = ""
    intensity: int = 5
    period_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """The requests that are sent while something is broken.

    Args:
        url: Where `POST` requests go; http or https.
        body: What is sent; `{id}` is another one each time.
        kind: The body's type.
        acked: An answer with this text acknowledges the write; empty: every status below 300 does.
        read_back: A body whose answer names the id of every write that is there; empty: nobody counts.
        clean_up: A body that removes what the writes have left; empty: nothing is removed.
        service: Takes the load; empty: nobody said.
        rate: Requests a second.
        timeout_s: For each answer.
    """

    url: str
    body: str
    kind: str = "application/json"
    acked: str = ""
    read_back: str = ""
    clean_up: str = ""
    service: str = ""
    rate: float = RATE_DEFAULT
    timeout_s: float = TIMEOUT_S_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Other bars than a scenario's own; None: as they are."""

    detection_s_max: float | None = None
    recovery_s_max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A system, as far as it matters here.

    Args:
        services: All of them.
        folders: Those that get snapshots, by name.
        protected: Those of them whose files are brought back.
        databases: The files of SQLite databases that are looked at.
        packs: The folder of the store's packs; None: there is no store in a folder, or nothing to mend it from.
        scrub_every_s: So often everything that is kept is read again.
        secrets: Those with a rotator.
        load: What is sent meanwhile; None: nothing.
        exclude: Scenarios, targets or cells that are left out; `*` stands for anything.
        bars: By scenario.
    """

    services: tuple[DeclaredService, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)
    protected: tuple[Path, ...] = ()
    databases: tuple[Path, ...] = ()
    packs: Path | None = None
    scrub_every_s: float = 60.0
    secrets: tuple[str, ...] = ()
    load: LoadSpec | None = None
    exclude: tuple[str, ...] = ()
    bars: Mapping[str, Bars] = field(default_factory=dict)

    def service(self, target: str) -> DeclaredService | None:
        """Give the service that a target names; None if it names none."""
        return next((one for one in self.services if f"service/{one.name}" == target), None)
