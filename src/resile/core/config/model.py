"""What a user may write into `resile.toml`: the root, and the table `[resile]`.

The descriptions of the fields are the reference: the JSON Schema and the documentation are made
from them.
"""

import hashlib
import ipaddress
import json
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo, field_validator

from resile.core.config.base import (
    Count,
    Flag,
    FolderPath,
    Name,
    Section,
    ServiceName,
    setting,
)
from resile.core.config.checks import SystemCheck
from resile.core.config.contain import ContainSection
from resile.core.config.drill import DrillSection
from resile.core.config.faults import fault, quoted
from resile.core.config.playbooks import PlaybookSection, PlaybooksSection
from resile.core.config.prunable import PRUNABLE, PrunablePattern
from resile.core.config.secrets import SecretName, SecretSection, SecretsSection
from resile.core.config.services import GroupSection, ServiceSection
from resile.core.config.store import SnapshotSection, StoreSection
from resile.core.config.units import DurationIn, SizeIn

HTTP_PORT = 8470


def _system_name(value: str, info: ValidationInfo) -> str:
    """Fall back to the folder's name."""
    folder = (info.context or {}).get("folder")
    name = value or (folder.name if folder is not None else "") or "resile"
    if len(name) > 100 or not name.isprintable():
        raise fault("must be at most 100 printable characters")
    return name


class HttpSection(Section):
    """Where the dashboard and the read-only API are served."""

    allow_remote: Flag = setting(
        False,
        description="Must be true for a host that others can reach. The pages show what runs "
        "here to everybody who can connect; nobody can change anything through them.",
    )
    host: str = setting("127.0.0.1", description="The address to listen on.")
    port: Count = setting(
        HTTP_PORT, ge=1, le=65535, description="The port to listen on, 1 to 65535."
    )

    @field_validator("host", mode="after")
    @classmethod
    def _is_local_unless_allowed(cls, host: str, info: ValidationInfo) -> str:
        if info.data.get("allow_remote", True) or _is_loopback(host):
            return host
        raise fault(
            f"{quoted(host)} can be reached from other machines",
            hint='use "127.0.0.1", or say allow_remote = true beside it',
        )


class JournalSection(Section):
    """How long the record of events is kept. Old segments are removed whole."""

    segment_size: Annotated[int, SizeIn("1MiB", "4GiB")] = setting(
        "64MiB",
        description="A segment of this size is sealed and a new one begun, 1MiB to 4GiB. The "
        "default holds about 150,000 events; sealing it takes 50 ms.",
    )
    segment_age: Annotated[float, DurationIn("1h", "366d")] = setting(
        "30d", description="A segment of this age is sealed, 1h to 366d."
    )
    segments_max: Count = setting(
        32,
        ge=2,
        le=100_000,
        description="Segments to keep, the open one included, 2 to 100000; the oldest go first. "
        "With the default the journal stays below about 2 GiB.",
    )


class BudgetSection(Section):
    """How often a remedy may be tried on one target until a person must look."""

    attempts: Count = setting(
        3, ge=1, le=100, description="Tries in the window, 1 to 100; two or three tell."
    )
    window: Annotated[float, DurationIn("1s", "7d")] = setting(
        "30m", description="The window, 1s to 7d."
    )
    at_once: Count = setting(
        8,
        ge=1,
        le=1000,
        description="So many remedies are at work at the same time, 1 to 1000, the most urgent first; "
        "a quarter of the places is kept for P0. Each may start a process, and more starts than the "
        "machine has processors for make all of them late.",
    )


class ResileSection(Section):
    """The system as a whole."""

    name: Annotated[str, AfterValidator(_system_name)] = setting(
        "", description="What the pages and incidents call this system. Default: the folder's name."
    )
    state_dir: FolderPath = setting(
        ".resile", description="Where the journal, the logs and the sockets are kept."
    )
    http: HttpSection = setting({}, description="Where the dashboard is served.")
    journal: JournalSection = setting({}, description="How long events are kept.")
    budget: BudgetSection = setting(
        {},
        description="How often a remedy may be tried until a person must look.",
    )
    predictor: str = setting(
        "trend",
        description="What predicts that memory, disks and descriptors run out: `trend`, `river` "
        "(needs `resile[ml]`), or the name of another package's predictor (entry point group `resile.predictors`).",
    )
    prunable: tuple[PrunablePattern, ...] = setting(
        (), description=f"{PRUNABLE}Relative ones start at the folder of this file."
    )
    stable: Annotated[float, DurationIn("0s", "1h")] = setting(
        "1s", description="A symptom must be gone so long until a recovery counts, 0s to 1h."
    )
    log_bytes_max: Annotated[int, SizeIn("4KiB", "10GiB")] = setting(
        "10MiB", description="A service's log is rotated at this size, 4KiB to 10GiB."
    )
    log_files_max: Count = setting(
        5, ge=1, le=1000, description="Rotated logs to keep for each service, 1 to 1000."
    )
    log_lines_per_s_max: Count = setting(
        10_000,
        ge=1,
        le=10_000_000,
        description="Lines a second that a service may log, 1 to 10000000; what is above is "
        "dropped and counted, so that one service cannot fill the disk.",
    )
    crashes_max: Count = setting(
        50,
        ge=0,
        le=100_000,
        description="Crash bundles to keep, 0 to 100000; the oldest go first, each with the core "
        "file that it names.",
    )


class Config(Section):
    """A whole `resile.toml`, with its paths made absolute and its defaults filled in."""

    resile: ResileSection = setting({}, description="Name, folders, pages and limits of the whole.")
    service: dict[ServiceName, ServiceSection] = setting(
        {}, description="The programs that are kept running, by name; all but `guard`."
    )
    check: dict[Name, SystemCheck] = setting(
        {}, description="What is watched and belongs to no service, by name."
    )
    group: dict[Name, GroupSection] = setting(
        {}, description="Services that are restarted together, by name."
    )
    contain: ContainSection = setting(
        {}, description="Limits, by name, for commands that nobody trusts."
    )
    store: StoreSection = setting({}, description="Where snapshots go.")
    snapshot: dict[Name, SnapshotSection] = setting(
        {}, description="Folders that get snapshots by themselves, by name."
    )
    secrets: SecretsSection = setting({}, description="Where secrets are kept.")
    secret: dict[SecretName, SecretSection] = setting(
        {}, description="Secrets, by name: who gets them, and how they are rotated."
    )
    playbooks: PlaybooksSection = setting({}, description="The folder of this system's playbooks.")
    playbook: dict[Name, PlaybookSection] = setting(
        {}, description="What is done about which fault, by name, beside the shipped playbooks."
    )
    drill: DrillSection = setting({}, description="What `resile drill` does and leaves out.")
    policy: dict[str, dict[str, Any]] = setting(
        {},
        description="Options of the guards in the services' own code, by the guard's name: read "
        "by `resile.load` there, and only checked here.",
    )

    def as_data(self) -> dict[str, Any]:
        """Give all settings as plain data; what is not set is left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """SHA-256 of all effective settings, as 64 hexadecimal digits."""
        text = json.dumps(self.as_data(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
