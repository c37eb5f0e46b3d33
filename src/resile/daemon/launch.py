"""How each declared service is launched and stopped. Frozen data, made from the configuration."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from resile.contain.cgroups import CgroupLimits
from resile.daemon.protocol import Spawn


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What the guard needs to start a service, and the brain to stop it.

    Args:
        argv: The command.
        env: The whole environment.
        cwd: Where it runs.
        limits: Of its cgroup.
        is_notify: It speaks sd_notify.
        watchdog_s: It pings at least so often; 0 means never.
        stop_signal: Asks it to end. Default SIGTERM.
        drain_s: How long it may finish what it has begun before its cgroup is killed. Default 5.
        log_bytes_max: Size at which its log is rotated.
        log_files_max: Rotated logs to keep.
        log_lines_per_s_max: Above it lines are dropped and counted.
    """

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

    def spawn(self, service: str, generation: int) -> Spawn:
        """Make the request that starts this generation."""
        return Spawn(
            request_id=0,
            service=service,
            generation=generation,
            argv=self.argv,
            env=self.env,
            cwd=self.cwd,
            limits=self.limits,
            is_notify=self.is_notify,
            watchdog_s=self.watchdog_s,
            stop_signal=self.stop_signal,
            drain_s=self.drain_s,
            log_bytes_max=self.log_bytes_max,
            log_files_max=self.log_files_max,
            log_lines_per_s_max=self.log_lines_per_s_max,
        )
