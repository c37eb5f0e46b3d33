"""The tables `[store]` and `[snapshot.NAME]`: where snapshots go, and what they are of."""

from typing import Annotated

from pydantic import Field

from resile.core.config.base import Count, Flag, FolderPath, Section, StorePlace, setting
from resile.core.config.units import DurationIn, SizeIn


class KeepSection(Section):
    """Which snapshots are kept; what no rule keeps is forgotten. Protected ones always stay."""

    last: Count = setting(12, ge=0, le=100_000, description="The newest, 0 to 100000.")
    hourly: Count = setting(24, ge=0, le=100_000, description="One of each hour, 0 to 100000.")
    daily: Count = setting(7, ge=0, le=100_000, description="One of each day, 0 to 100000.")
    weekly: Count = setting(5, ge=0, le=100_000, description="One of each week, 0 to 100000.")
    within: Annotated[float, DurationIn("0s", "36500d")] = setting(
        "0s", description="All that are younger than this, 0s to 36500d."
    )


class SnapshotSection(Section):
    """A folder that gets snapshots by itself while the daemon runs."""

    folder: FolderPath = Field(description="The folder.")
    every: Annotated[float, DurationIn("10s", "366d")] = setting(
        "5m", description="How often, 10s to 366d; a snapshot without a change takes no space."
    )
    exclude: tuple[str, ...] = setting(
        (), description="What is left out: `*.tmp` (any name), `build/*` (a path in the folder)."
    )
    tags: tuple[str, ...] = setting((), description="What its snapshots are called.")
    keep: KeepSection = setting({}, description="Which are kept.")
    log: Flag = setting(
        True,
        description="Whether a log keeps what contained runs commit in it between two snapshots, "
        "for `resile restore --at`.",
    )
    protect: Flag = setting(
        False,
        description="Whether its files are compared with the last snapshot. One that differs "
        "although its times say that nobody changed it is brought back.",
    )
    compare_every: Annotated[float, DurationIn("2s", "366d")] | None = setting(
        None,
        description="protect: how often each file is read and compared, 2s to 366d. Default: as often "
        "as the store is scrubbed. A small folder may be read every few seconds.",
    )
    halt: tuple[str, ...] = setting(
        (), description="Services that are stopped meanwhile, because they write to it."
    )


class StoreSection(Section):
    """Where snapshots go, and how the store is looked after."""

    place: StorePlace = setting(
        "",
        description="A folder (a relative one starts at the folder of this file), `file:///FOLDER` or "
        "`s3://BUCKET/PREFIX`. Default: `store` in the state folder, which protects from mistakes and crashes but not from the loss of the disk.",
    )
    key_file: FolderPath | None = setting(
        None, description="The key, 64 hex digits, mode 0600. Default: the store is not encrypted."
    )
    replica: StorePlace = setting(
        "", description="A second store that is kept in step, and from which damage is mended."
    )
    replicate: Flag = setting(True, description="Whether the daemon keeps the replica in step.")
    parity: Flag = setting(
        False,
        description="Whether packs get Reed-Solomon parity, which mends two damaged MiB in twenty "
        "where there is no second store. It takes a tenth more space and needs `resile[parity]`.",
    )
    scrub_every: Annotated[float, DurationIn("1m", "366d")] = setting(
        "7d", description="How often every byte is read and compared with its hash, 1m to 366d."
    )
    scrub_bytes_per_s: Annotated[int, SizeIn("64KiB", "100GiB")] = setting(
        "16MiB", description="So fast at most, 64KiB to 100GiB a second."
    )
