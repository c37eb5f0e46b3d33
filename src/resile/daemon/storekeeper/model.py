"""What the storekeeper is to do, as frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from resile.store import Keep, open_backend

STORE, REPLICA = "store", "replica"
"""What the two places are called in jobs and in what is remembered."""
DEFAULT_NAME = "store"
"""The store's folder in the state folder, where none is configured."""


class JobKind(StrEnum):
    """What there is to do."""

    SNAPSHOT = "snapshot"
    """Of one folder."""
    REPLICATE = "replicate"
    COLLECT = "collect"
    """Free what no snapshot needs."""
    SCRUB = "scrub"
    """Read a piece of the store, or of the second one, and compare it with its hash."""
    LIVE = "live"
    """Compare a piece of a protected folder with its last snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One thing to do.

    Args:
        kind: What.
        name: Of the folder (`[snapshot.NAME]`), or which place; empty: there is but one.
    """

    kind: JobKind
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlan:
    """A folder that gets snapshots.

    Args:
        name: Of its table.
        source: The folder.
        every_s: Between two snapshots.
        excludes: What is left out.
        tags: What its snapshots are called.
        keep: Which stay.
        is_protected: Its files are compared with the last snapshot.
        compare_every_s: Between the beginnings of two such passes.
        halt: Services that are stopped while a damaged file of it is brought back.
        is_logged: It has a log of what contained runs commit in it.
    """

    name: str
    source: Path
    every_s: float
    excludes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    keep: Keep
    is_protected: bool = False
    compare_every_s: float = 604_800.0
    halt: tuple[str, ...] = ()
    is_logged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of it.

    Args:
        state: The state folder.
        place: Where the store is.
        key_file: Its key; None: it is not encrypted.
        replica: The second store; empty: there is none.
        replica_folder: Where it is, if that is a folder of this machine; reading all of a bucket
            again and again would be paid for.
        is_replicated: It is kept in step.
        scrub_every_s: Between the beginnings of two passes.
        scrub_bytes_per_s: So fast is read at most.
        has_parity: Packs get parity.
        folders: By name.
    """

    state: Path
    place: str
    key_file: Path | None = None
    replica: str = ""
    replica_folder: str = ""
    is_replicated: bool = True
    scrub_every_s: float
    scrub_bytes_per_s: int
    has_parity: bool = False
    folders: Mapping[str, FolderPlan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """How far a pass over something is. Kept across restarts.

    Args:
        began_at: When it began; None: there was none yet.
        position: The last name that is done; empty: it has not begun, or is over.
        is_over: It went through to the end.
        files, bytes: So much was read in it.
        flaws: So many files were damaged in it.
    """

    began_at: datetime | None = None
    position: str = ""
    is_over: bool = False
    files: int = 0
    bytes: int = 0
    flaws: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is remembered across restarts.

    Args:
        collected_at: When space was freed last; None: never.
        passes: By what is gone through: a place, or `live/NAME`.
    """

    collected_at: datetime | None = None
    passes: Mapping[str, Pass] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a job ended.

    Args:
        began_s, ended_s: When, monotonic.
        failures: So many times in a row by now; 0: it went well.
        size_bytes: So much was read, where reading has a limit.
        is_pass_over: A scrub has come to its end.
    """

    began_s: float
    ended_s: float
    failures: int = 0
    size_bytes: int = 0
    is_pass_over: bool = False


def plan_of(config: Mapping[str, Any], *, state: Path) -> Plan:
    """Read what is declared from the whole configuration as plain data."""
    store = config["store"]
    return Plan(
        state=state,
        place=store["place"] or str(state / DEFAULT_NAME),
        key_file=Path(store["key_file"]) if "key_file" in store else None,
        replica=store["replica"],
        replica_folder=_folder_of(store["replica"]),
        is_replicated=store["replicate"],
        scrub_every_s=store["scrub_every"],
        scrub_bytes_per_s=store["scrub_bytes_per_s"],
        has_parity=store["parity"],
        folders={name: _folder(name, table, store) for name, table in config["snapshot"].items()},
    )


def _folder(name: str, table: Mapping[str, Any], store: Mapping[str, Any]) -> FolderPlan:
    keep = table["keep"]
    return FolderPlan(
        name=name,
        source=Path(table["folder"]),
        every_s=table["every"],
        excludes=tuple(table["exclude"]),
        tags=tuple(table["tags"]),
        keep=Keep(
            last=keep["last"],
            hourly=keep["hourly"],
            daily=keep["daily"],
            weekly=keep["weekly"],
            within_s=keep["within"],
        ),
        is_protected=table["protect"],
        compare_every_s=table.get("compare_every", store["scrub_every"]),
        halt=tuple(table["halt"]),
        is_logged=table["log"],
    )


def _folder_of(place: str) -> str:
    """Give the folder that a place is; empty if it is none of this machine."""
    url = open_backend(place).url if place else ""
    return url if url.startswith("/") else ""
