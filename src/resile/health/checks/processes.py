"""Look at processes and commands: alive, silent, or what a command says."""

import os
from math import inf

from resile.core.units import format_duration, format_size
from resile.errors import ConfigError
from resile.health.checks.port import (
    Finding,
    LookContext,
    degraded,
    down,
    no_answer,
    one_line,
    unknown,
    up,
)
from resile.health.model import CheckSpec
from resile.health.procfs import read_stat

_STEERING_PREFIX = "RESILE_"
"""Such variables steer the daemon; a `resile` that a check runs must not take them for its own."""


def look_command(spec: CheckSpec, context: LookContext) -> Finding:
    """Run the command: exit code 0 is UP, any other DOWN; the first line that it writes is why."""
    if not spec.command:
        raise ConfigError(
            "the check has no command", hint='write command = ["program", "argument"]'
        )
    env = spec.env or {k: v for k, v in os.environ.items() if not k.startswith(_STEERING_PREFIX)}
    ran = context.run(spec.command, timeout_s=spec.timeout_s, env=env, cwd=spec.cwd or None)
    if ran.is_timed_out:
        return no_answer(spec.timeout_s)
    said = one_line(ran.output.decode(errors="replace"))
    if ran.exit_code == 0:
        return up(said or "exit code 0")
    ended = f"killed by {ran.signal}" if ran.exit_code is None else f"exit code {ran.exit_code}"
    return down(f"{ended}: {said}" if said else ended)


def look_process(spec: CheckSpec, context: LookContext) -> Finding:
    """Look whether a service's main process lives and is the one that was started.

    With `options["rss_max_bytes"]` it is also DOWN when it has more resident memory.
    """
    service = spec.service or spec.target
    identity = context.process_of(service)
    if identity is None:
        return down(f"service {service} does not run")
    stat = read_stat(identity.pid)
    if stat is None or stat.start_ticks != identity.start_ticks:
        return down(f"process {identity.pid} is gone")
    if stat.state in "ZX":
        return down(f"process {identity.pid} is a zombie")
    rss_max_bytes = spec.options.get("rss_max_bytes", inf)
    if stat.rss_bytes > rss_max_bytes:
        has = f"process {identity.pid} has {format_size(stat.rss_bytes)} of resident memory"
        return down(f"{has}, at most {format_size(int(rss_max_bytes))} allowed")
    if stat.state == "T":
        return degraded(f"process {identity.pid} is stopped by a signal")
    return up(f"process {identity.pid} lives")


def look_heartbeat(spec: CheckSpec, context: LookContext) -> Finding:
    """Look how long a service, or the source `target`, has been silent.

    `options["age_max_s"]` is the limit; the default is three intervals.
    """
    silence_s = context.silence_s_of(spec.service or spec.target)
    if silence_s is None:
        return unknown("no heartbeat is expected before it is ready")
    limit_s = spec.options.get("age_max_s", 3 * spec.interval_s)
    age = format_duration(max(0.0, silence_s))
    if silence_s > limit_s:
        return down(f"silent for {age}, at most {format_duration(limit_s)} allowed")
    return up(f"last heartbeat {age} ago")
