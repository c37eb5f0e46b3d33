"""The tables `[service.NAME]` and `[group.NAME]`."""

import signal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from resile.core.config.base import (
    Command,
    Count,
    Environment,
    Flag,
    FolderPath,
    Name,
    Section,
    setting,
)
from resile.core.config.checks import LiveCheck, ReadyCheck
from resile.core.config.faults import did_you_mean, fault, quoted
from resile.core.config.prunable import PRUNABLE, PrunablePattern
from resile.core.config.units import DurationIn, DurationRangeIn, ShareIn, SizeIn

_SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL")


def _signal(value: object) -> str:
    name = value.upper().removeprefix("SIG") if isinstance(value, str) else ""
    if name in _SIGNALS:
        return name
    raise fault(
        f"{quoted(value)} is not a signal that asks a process to end",
        hint=did_you_mean(name, _SIGNALS),
    )


SignalName = Annotated[
    str, BeforeValidator(_signal), WithJsonSchema({"type": "string", "enum": list(_SIGNALS)})
]
"""A signal's name, with or without SIG."""


class RestartSection(Section):
    """When and how a service that ended is started again. After Erlang/OTP's supervisors."""

    policy: Literal["permanent", "transient", "temporary"] = setting(
        "permanent",
        description="Which ends are answered with a restart: `permanent` every one, `transient` "
        "all but exit code 0, `temporary` none.",
    )
    intensity: Count = setting(
        5,
        ge=1,
        le=1000,
        description="At most so many restarts in `period`, 1 to 1000; then the service is "
        "quarantined and an incident tells why.",
    )
    period: Annotated[float, DurationIn("1s", "1d")] = setting(
        "60s", description="The window of `intensity`, 1s to 1d."
    )
    backoff: Annotated[tuple[float, float], DurationRangeIn("0s", "1h")] = setting(
        "200ms..10s",
        description="The first and the longest delay before a restart, 0s to 1h. Delays double, "
        "with jitter; the first restart after a healthy time has none.",
    )
    healthy_after: Annotated[float, DurationIn("0s", "1d")] = setting(
        "10s", description="A process that ran so long makes the delays start anew, 0s to 1d."
    )


class StopSection(Section):
    """How a service is stopped. What is left of its processes in the end is killed, all of it."""

    signal: SignalName = setting(
        "TERM",
        description="What asks the main process to end: TERM, INT, QUIT, HUP, USR1, USR2, KILL.",
    )
    drain: Annotated[float, DurationIn("0s", "1h")] = setting(
        "5s",
        description="How long after the signal it may finish what it has begun, 0s to 1h; then "
        "its whole control group is killed. One that ends earlier is not waited for.",
    )

    @property
    def signal_number(self) -> int:
        """The signal as the kernel numbers it."""
        return int(getattr(signal, f"SIG{self.signal}"))


class LimitsSection(Section):
    """What all processes of a service together may use. Needs control groups (`resile doctor`)."""

    memory: Annotated[int, SizeIn("1MiB", "1024TiB")] | None = setting(
        None,
        description="Memory, 1MiB to 1024TiB; above it the kernel kills the service. Default: any.",
    )
    cpu: Annotated[float, ShareIn("1%", "100000%")] | None = setting(
        None,
        description='Processor time; "100%" is one core, "150%" one and a half. Default: any.',
    )
    processes: Annotated[Count, Field(ge=1, le=4_194_304)] | None = setting(
        None,
        description="Processes and threads at once, 1 to 4194304 (the kernel's own limit). "
        "Default: any.",
    )


class ServiceSection(Section):
    """A program that is kept running."""

    command: Command = Field(
        description="The program and its arguments, as a list of words; no shell reads it. "
        'Looked up in PATH. Example: ["python", "-m", "app"].'
    )
    cwd: FolderPath = setting(
        ".", description="Where it runs. Relative paths start at the folder of this file."
    )
    env: Environment = setting(
        {},
        description="Variables that it gets in addition to those of the daemon.",
    )
    ready: ReadyCheck | None = setting(
        None,
        description="Can it do its work now? Those that depend on it wait for this. "
        "Default: ready as soon as it runs.",
    )
    live: LiveCheck | None = setting(
        None,
        description="Does the process itself work? If not, it is restarted. Default: it works as "
        "long as it runs.",
    )
    notify: Flag = setting(
        False,
        description="It says READY=1 through sd_notify when it is ready. The socket's path is in "
        "NOTIFY_SOCKET.",
    )
    watchdog: Annotated[float, DurationIn("0s", "1d")] = setting(
        "0s",
        description="It must say WATCHDOG=1 through sd_notify at least so often, else it counts "
        "as hung; up to 1d, 0s means that it does not. Needs `notify = true`.",
    )
    ready_timeout: Annotated[float, DurationIn("100ms", "1d")] = setting(
        "60s", description="It must be ready so soon after its start, 100ms to 1d, else it failed."
    )
    depends_on: tuple[str, ...] = setting(
        (),
        description="Services and checks that must be up before it starts. Their loss later does "
        "not restart it.",
    )
    oom: Literal["warn", "restart"] = setting(
        "warn",
        description="When it is about to reach `limits.memory`, where the kernel would kill it: `warn` "
        "opens an incident of priority P3, `restart` restarts it in order, too; also where its memory or its "
        "descriptors are expected to run out within minutes. What restarts is bounded by the budget.",
    )
    prunable: tuple[PrunablePattern, ...] = setting(
        (), description=f"{PRUNABLE}Relative ones start at `cwd`."
    )
    renew: Command | None = setting(
        None,
        description="What renews its certificate: run in the folder of this file when a check or its "
        "last words say that it has expired, and then the service is restarted. Default: the secrets "
        "that it gets are rotated.",
    )
    critical: Flag = setting(
        False,
        description="Its loss is an outage: priority P0, to be recovered within 30 s. Else P1, "
        "2 min.",
    )
    restart: RestartSection = setting({}, description="When and how it is started again.")
    stop: StopSection = setting({}, description="How it is stopped.")
    limits: LimitsSection = setting({}, description="What its processes together may use.")


class GroupSection(Section):
    """Services that are restarted together. A service is in one group at most."""

    services: tuple[Name, ...] = Field(
        min_length=1, description="The members, in the order in which they are started."
    )
    strategy: Literal["one_for_one", "rest_for_one", "one_for_all"] = setting(
        "one_for_one",
        description="Who is restarted with a member that ended: `one_for_one` nobody, "
        "`rest_for_one` those behind it in the list, `one_for_all` the whole group.",
    )
