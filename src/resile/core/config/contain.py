"""The tables `[contain]` and `[contain.profile.NAME]`: what contained runs may use."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resile.core.config.base import Count, FolderPath, Name, Section, setting
from resile.core.config.faults import did_you_mean, fault, quoted
from resile.core.config.units import DurationIn, ShareIn, SizeIn, SizeOrShareIn
from resile.core.vocabulary import ViolationKind


class ProfileSection(Section):
    """Limits by name, for `resile run --profile NAME`. What is left out is as in `base`."""

    base: Literal["strict", "build"] = setting(
        "strict",
        description="What the limits that are left out are: `strict` (10s, half a core, half of "
        "the memory, 5 processes, no network) or `build` (1h, all cores, 75 % of the memory, 4096 "
        "processes, the network of the host).",
    )
    time: Annotated[float, DurationIn("0s", "30d")] | None = setting(
        None,
        description="Wall time, 0s to 30d; 0s means no limit. Default: that of `base`, as below.",
    )
    cpu: Annotated[float, ShareIn("0%", "100000%")] | None = setting(
        None,
        description='Processor; "100%" is one core; "0%" means no limit. Default: that of `base`.',
    )
    cpu_time: Annotated[float, DurationIn("0s", "30d")] | None = setting(
        None,
        description="Processor time of all its processes together, 0s to 30d; 0s means no limit. "
        "Default: that of `base`.",
    )
    memory: Annotated[float | int, SizeOrShareIn("1MiB", "1024TiB")] | None = setting(
        None,
        description="Memory, or a share of what is available at the start. Default: that of `base`.",
    )
    processes: Annotated[Count, Field(ge=0, le=4_194_304)] | None = setting(
        None,
        description="Processes and threads at once, 0 to 4194304; 0 means no limit. Default: that of `base`.",
    )
    files: Annotated[Count, Field(ge=0, le=1_048_576)] | None = setting(
        None,
        description="Open files of each process, 0 to 1048576; 0 means the machine's limit. Default: that of `base`.",
    )
    output: Annotated[int, SizeIn("0B", "1TiB")] | None = setting(
        None,
        description="Printed to standard output and error together; 0 means no limit. Default: that of `base`.",
    )
    disk: Annotated[int, SizeIn("0B", "1024TiB")] | None = setting(
        None,
        description="Written to its workspaces, and to its /tmp; 0 means no limit. Default: that of `base`.",
    )
    disk_files: Annotated[Count, Field(ge=0, le=1_000_000_000)] | None = setting(
        None, description="Files and folders made there; 0 means no limit. Default: that of `base`."
    )
    network: Literal["none", "host"] | None = setting(
        None,
        description="`none`: nothing but its own loopback. `host`: what this machine reaches. Default: that of `base`.",
    )
    at_quota: Literal["throttle", "kill"] | None = setting(
        None,
        description="At its share of the processor: `throttle` slows it down, `kill` ends it "
        "after `quota_grace` there. Default: that of `base`.",
    )
    quota_grace: Annotated[float, DurationIn("100ms", "1h")] | None = setting(
        None,
        description='With `at_quota = "kill"`: how long it may stay at its share. Default: that of `base`.',
    )
    grace: Annotated[float, DurationIn("0s", "1h")] | None = setting(
        None,
        description="Between the request to end and the kill, 0s to 1h. Default: that of `base`.",
    )
    readable: tuple[FolderPath, ...] = setting(
        (), description="Where it may read. Default: everywhere that is not hidden."
    )
    hidden: tuple[FolderPath, ...] = setting(
        (), description="What it sees empty, in addition to the well-known places of keys."
    )
    protected: tuple[str, ...] | None = setting(
        None,
        description="Globs below a workspace; a change of what they match is a violation. "
        "Default: what others execute later, such as `.git/hooks/*`.",
    )
    kills: tuple[str, ...] | None = setting(
        None,
        description="Kinds of violations that end a run at once: syscall, connect, setuid_bit, "
        'device, protected_path, escaping_link, survivor. Default: ["syscall"], of which only '
        "those that serve an escape count. The others are recorded, and nothing is committed "
        "without a person.",
    )

    @model_validator(mode="after")
    def _has_known_kinds(self) -> "ProfileSection":
        for kind in self.kills or ():
            if kind not in tuple(ViolationKind):
                raise fault(
                    f"{quoted(kind)} is not a kind of violation",
                    hint=did_you_mean(kind, tuple(ViolationKind)),
                )
        return self


class ContainSection(Section):
    """How commands are run that nobody trusts; each part can be switched off.

    The switches of a system count for `resile run` in its folder, and for `resile.run` inside of its
    services from their next start on. At once, for everything: `resile kill --all --hold`.
    """

    enabled: bool = setting(
        True,
        description="Off: every contained run is refused with an error that names this switch. "
        "Nothing is run uncontained instead.",
    )
    observer: bool = setting(
        True,
        description="Off: the kernel still refuses what is forbidden, but nobody is told of it, so "
        "no run is ended for it and no incident is made. Each run warns.",
    )
    overlay: bool = setting(
        True,
        description="Off: workspaces are copied instead of being staged on an overlay, which takes "
        "time in their size. The transaction is the same.",
    )
    profile: dict[Name, ProfileSection] = setting(
        {}, description="Limits by name; `strict` and `build` are there without being declared."
    )
