"""From what the user wrote to what each part works with: the only place that knows both."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from resile.contain import RUNS_VARIABLE, Switches
from resile.contain.cgroups import CgroupLimits
from resile.core.config import Config
from resile.core.config.checks import CheckSection
from resile.core.config.services import ServiceSection
from resile.core.vocabulary import CONFIG_VARIABLE, STATE_VARIABLE, CheckGroup, FaultKind
from resile.daemon.launch import LaunchSpec
from resile.health import CheckKind, CheckSpec
from resile.recover import (
    BudgetSpec,
    CheckBinding,
    GroupSpec,
    RestartPolicy,
    RestartSpec,
    ServiceSpec,
    Strategy,
    SystemSpec,
)
from resile.recover.playbooks import playbooks_of

INTERNAL_PREFIX = "RESILE_"
"""Variables of this name steer the daemon; services do not inherit them."""
WATCHDOG_LOOKS = 4
"""So often in its time is a watchdog looked at: a hang is noticed at most a quarter late."""
SLOW_SHARE = 0.97
"""Of its memory limit: a little above where it counts as about to reach it."""
STOP_MARGIN_S = 10.0
"""What a stop may take beyond its drain: the kill of a large tree."""


def system_spec(config: Config, *, changed: Collection[str] = ()) -> SystemSpec:
    """Tell recovery what is declared.

    Args:
        config: What the user wrote.
        changed: Services that are declared otherwise than when they last worked.
    """
    return SystemSpec(
        services={
            name: _service(
                name,
                section,
                is_changed=name in changed,
                uses_secret=any(name in one.services for one in config.secret.values()),
            )
            for name, section in config.service.items()
        },
        checks={spec.id: _binding(spec) for spec in check_specs(config, environ={})},
        groups=tuple(
            GroupSpec(name=name, services=group.services, strategy=Strategy(group.strategy))
            for name, group in config.group.items()
        ),
        budget=BudgetSpec(
            attempts=config.resile.budget.attempts,
            window_s=config.resile.budget.window,
            at_once=config.resile.budget.at_once,
        ),
        stable_s=config.resile.stable,
        playbooks=playbooks_of(config.playbook),
    )


def check_specs(config: Config, *, environ: Mapping[str, str]) -> tuple[CheckSpec, ...]:
    """List every check, those of the services first.

    Args:
        config: What is declared.
        environ: What services inherit, and so do the commands that look at them.
    """
    inherited = _inherited(environ)
    checks = []
    for name, service in config.service.items():
        env = {**inherited, **service.env}
        if service.ready is not None:
            checks.append(
                _check(
                    f"{name}.ready",
                    service.ready,
                    CheckGroup.READY,
                    service=name,
                    cwd=str(service.cwd),
                    env=env,
                )
            )
        if service.live is not None:
            checks.append(
                _check(
                    f"{name}.live",
                    service.live,
                    CheckGroup.LIVE,
                    service=name,
                    cwd=str(service.cwd),
                    env=env,
                )
            )
        if service.watchdog:
            checks.append(_watchdog(name, service.watchdog))
    checks += [_check(name, check, CheckGroup.SYSTEM) for name, check in config.check.items()]
    return tuple(checks)


def launch_specs(
    config: Config, *, environ: Mapping[str, str], state: Path, config_file: Path
) -> dict[str, LaunchSpec]:
    """Tell the guard how each service is started.

    Args:
        config: What is declared.
        environ: What services inherit.
        state: The state folder, which they are told.
        config_file: The `resile.toml`, which they are told too.
    """
    told = {STATE_VARIABLE: str(state), CONFIG_VARIABLE: str(config_file)}
    inherited = {**_inherited(environ), **_switches(config), **told}
    return {
        name: _launch(section, inherited, config=config, handing=_handing(name, config, state))
        for name, section in config.service.items()
    }


def command_environ(
    environ: Mapping[str, str], *, state: Path, config_file: Path
) -> dict[str, str]:
    """Give the environment of the playbooks' commands: as a service's, without one's own variables."""
    told = {STATE_VARIABLE: str(state), CONFIG_VARIABLE: str(config_file)}
    return {**_inherited(environ), **told}


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name == RUNS_VARIABLE or not name.startswith(INTERNAL_PREFIX)
    }


def _switches(config: Config) -> Mapping[str, str]:
    """Tell `resile.run` inside of a service what the configuration switches off."""
    contain = config.contain
    return Switches(
        is_enabled=contain.enabled, is_observed=contain.observer, has_overlay=contain.overlay
    ).environ


def _service(
    name: str, section: ServiceSection, *, is_changed: bool, uses_secret: bool
) -> ServiceSpec:
    restart = section.restart
    backoff_min_s, backoff_max_s = restart.backoff
    return ServiceSpec(
        name=name,
        depends_on=section.depends_on,
        restart=RestartSpec(
            policy=RestartPolicy(restart.policy),
            intensity=restart.intensity,
            period_s=restart.period,
            backoff_min_s=backoff_min_s,
            backoff_max_s=backoff_max_s,
            healthy_after_s=restart.healthy_after,
        ),
        is_notify=section.notify,
        ready_timeout_s=section.ready_timeout,
        watchdog_s=section.watchdog,
        stop_timeout_s=section.stop.drain + STOP_MARGIN_S,
        is_critical=section.critical,
        is_restarted_before_oom=section.oom == "restart",
        renew=section.renew or (),
        is_changed=is_changed,
        uses_secret=uses_secret,
    )


def _launch(
    section: ServiceSection,
    inherited: Mapping[str, str],
    *,
    config: Config,
    handing: tuple[str, ...],
) -> LaunchSpec:
    return LaunchSpec(
        argv=(*handing, *section.command),
        env={**inherited, **section.env},
        cwd=str(section.cwd),
        limits=CgroupLimits(
            memory_bytes=section.limits.memory or 0,
            memory_slow_bytes=_slow_bytes(section),
            cpu_share=section.limits.cpu or 0.0,
            processes=section.limits.processes or 0,
        ),
        is_notify=section.notify,
        watchdog_s=section.watchdog,
        stop_signal=section.stop.signal_number,
        drain_s=section.stop.drain,
        log_bytes_max=config.resile.log_bytes_max,
        log_files_max=config.resile.log_files_max,
        log_lines_per_s_max=config.resile.log_lines_per_s_max,
    )


def _slow_bytes(section: ServiceSection) -> int:
    """Tell from where on a service is slowed down, so that it can be restarted before it is killed."""
    is_restarted = section.oom == "restart"
    return int((section.limits.memory or 0) * SLOW_SHARE) if is_restarted else 0


def _handing(service: str, config: Config, state: Path) -> tuple[str, ...]:
    """Give what a command is started through if secrets are handed to the service when it starts."""
    is_handed = any(
        service in one.services and one.deliver != "api" for one in config.secret.values()
    )
    # Isolated (-I): neither the service's variables nor its folder may change what this loads.
    program = (sys.executable, "-I", "-m", "resile.daemon.handing", str(state), "--")
    return program if is_handed else ()


def _check(
    check_id: str,
    section: CheckSection,
    group: CheckGroup,
    *,
    service: str = "",
    cwd: str = "",
    env: Mapping[str, str] | None = None,
) -> CheckSpec:
    return CheckSpec(
        id=check_id,
        kind=CheckKind(section.kind),
        target=check_id if section.kind == CheckKind.HEARTBEAT else section.target,
        service=service,
        group=group,
        command=section.command or (),
        cwd=cwd,
        env=env or {},
        options=_options(section),
        interval_s=section.interval,
        timeout_s=section.timeout,
        fall=section.fall,
        rise=section.rise,
        degraded_after_s=section.degraded_after or 0.0,
    )


def _options(section: CheckSection) -> dict[str, float]:
    free_min = getattr(section, "free_min", None)
    free_key = "free_min_share" if isinstance(free_min, float) else "free_min_bytes"
    named = {
        "status": section.status,
        "age_max_s": getattr(section, "heartbeat", None) or section.age_max,
        "rss_max_bytes": getattr(section, "rss_max", None),
        free_key: free_min,
    }
    return {key: value for key, value in named.items() if value is not None}


def _watchdog(service: str, watchdog_s: float) -> CheckSpec:
    interval_s = watchdog_s / WATCHDOG_LOOKS
    return CheckSpec(
        id=f"{service}.watchdog",
        kind=CheckKind.HEARTBEAT,
        service=service,
        group=CheckGroup.LIVE,
        options={"age_max_s": watchdog_s},
        interval_s=interval_s,
        timeout_s=interval_s,
        fall=1,
        rise=1,
    )


def _binding(spec: CheckSpec) -> CheckBinding:
    is_disk = spec.kind is CheckKind.DISK
    return CheckBinding(
        check=spec.id,
        service=spec.service,
        group=spec.group,
        fault=FaultKind.DISK_NEARLY_FULL if is_disk else FaultKind.CHECK_DOWN,
        is_heartbeat=spec.kind is CheckKind.HEARTBEAT,
    )
