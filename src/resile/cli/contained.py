"""What the commands of contained runs share: where runs are, limits from profiles, texts, exit codes.

Little is loaded at once: `resile run` starts its launcher first, and loads the rest meanwhile.
"""

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resile.cli.output import clean
from resile.cli.places import find_places
from resile.contain import STRICT, AtQuota, Limits, Network, build_limits, runs_folder
from resile.core.codec import encode
from resile.core.units import format_duration, format_size
from resile.core.vocabulary import RunReason, RunState, ViolationKind
from resile.errors import ConfigError

if TYPE_CHECKING:
    from resile.contain import Change, Host, Outcome, Switches, WorkspaceDiff

TIMEOUT_CODE = 124
"""As timeout(1) does."""
FAILED_CODE = 125
"""Its supervisor was lost, or its sandbox could not be built."""
STOPPED_CODE = 122
"""CRITICAL_STOP: a limit ended it."""
VIOLATION_CODE = 123
KILLED_CODE = 137
CONFLICT_CODE = 7
_SIGNAL_CODE = 128
_SHOWN_MAX = 3
_SPECIAL_BITS = 0o7000
_CONTAIN_VARIABLES = "RESILE_CONTAIN__"

_LIMIT_OF_SETTING = {
    "time": "time_s",
    "cpu": "cpu_share",
    "cpu_time": "cpu_time_s",
    "memory": "memory",
    "processes": "processes",
    "files": "files",
    "output": "output_bytes",
    "disk": "disk_bytes",
    "disk_files": "disk_files",
    "network": "network",
    "at_quota": "at_quota",
    "quota_grace": "quota_grace_s",
    "grace": "grace_s",
}
"""The field of `Limits` for each setting of a profile, and for each flag."""


def open_host(config: Path | None) -> "Host":
    """Give the host of the nearest system; without one, the user's own.

    Raises:
        ConfigError: If a configuration is named that is not there.
    """
    from resile.contain import Host, Runs, default_host

    try:
        places = find_places(config)
    except ConfigError:
        if config is not None:
            raise
        return default_host()
    return Host(
        runs=Runs(runs_folder(os.environ)), journal=places.journal, switches=_own_switches(config)
    )


def profile_named(name: str, config: Path | None) -> tuple[Limits, Mapping[str, Any]]:
    """Give a profile's limits, and what else it sets for a `RunSpec`.

    Raises:
        ConfigError: If there is no such profile, or the configuration is wrong.
    """
    own = _own_profiles(config)
    if name in own:
        return _read(own[name])
    if name == "strict":
        return STRICT, {}
    if name == "build":
        return build_limits(len(os.sched_getaffinity(0))), {}
    known = ", ".join(sorted({"strict", "build", *own}))
    raise ConfigError(
        f"there is no profile {name!r}",
        hint=f"known here: {known}; write [contain.profile.{name}] in resile.toml for more",
    )


def with_flags(limits: Limits, flags: Mapping[str, Any]) -> Limits:
    """Put the flags that were given over a profile's limits."""
    given = {_LIMIT_OF_SETTING[name]: value for name, value in flags.items() if value is not None}
    if "network" in given:
        given["network"] = Network(given["network"])
    if "at_quota" in given:
        given["at_quota"] = AtQuota(given["at_quota"])
    return replace(limits, **given)


def exit_code_of(outcome: "Outcome") -> int:
    """Tell the exit code of `resile run`: the command's own wherever it ended by itself."""
    fixed = {
        RunReason.TIMEOUT: TIMEOUT_CODE,
        RunReason.VIOLATION: VIOLATION_CODE,
        RunReason.KILLED: KILLED_CODE,
        RunReason.COMMIT_CONFLICT: CONFLICT_CODE,
        RunReason.SUPERVISOR_LOST: FAILED_CODE,
        **dict.fromkeys(
            (RunReason.OOM, RunReason.CPU_BUDGET, RunReason.DISK, RunReason.OUTPUT), STOPPED_CODE
        ),
    }
    if outcome.reason in fixed:
        return fixed[outcome.reason]
    if outcome.signal:
        import signal

        return _SIGNAL_CODE + getattr(signal, outcome.signal, 0)
    return outcome.exit_code or 0


def outcome_data(outcome: "Outcome") -> dict[str, Any]:
    """Give an outcome as plain data; what was printed as text."""
    data = {
        field.name: encode(getattr(outcome, field.name))
        for field in fields(outcome)
        if field.name not in ("stdout", "stderr", "diffs")
    }
    data["code"] = outcome.code
    data["stdout"] = outcome.stdout.decode(errors="replace")
    data["stderr"] = outcome.stderr.decode(errors="replace")
    data["workspaces"] = [diff_data(diff) for diff in outcome.diffs]
    return data


def diff_data(diff: "WorkspaceDiff") -> dict[str, Any]:
    """Give what changed in a workspace as plain data; names that are no text with U+FFFD."""
    changes = [encode(change) for change in diff.changes]
    for change in changes:
        for key in ("path", "link_target"):
            change[key] = os.fsencode(change[key]).decode(errors="replace")
    return {"workspace": str(diff.workspace), "changes": changes}


_MARKS = {"created": "+", "deleted": "-", "modified": "~", "metadata": "m", "replaced": "!"}


def change_line(change: "Change") -> str:
    """Tell a change in one line."""
    size = ""
    if change.size_after is not None:
        size = f"  {format_size(change.size_after)}"
    elif change.link_target:
        size = f"  -> {change.link_target}"
    notes = f"  ({', '.join(change.notes)})" if change.notes else ""
    mode = change.mode_after or 0
    if change.file_type != "folder" and mode & _SPECIAL_BITS:
        size += f"  mode {mode:o}"
    kind = "" if change.file_type == "file" else f"  {change.file_type}"
    return f"{_MARKS[change.kind]} {clean(change.path)}{kind}{clean(size)}{notes}"


def summary(outcome: "Outcome") -> list[str]:
    """Say what came of a run, in lines for people; none where all went well and nothing changed."""
    lines = []
    if outcome.reason not in (RunReason.OK, RunReason.EXIT):
        used = f" after {format_duration(outcome.usage.time_s)}"
        code = "" if outcome.code == "OK" else f"{outcome.code}: "
        lines.append(f"{code}{outcome.reason}{used}: {outcome.message}")
    lines += _violation_lines(outcome)
    changes = sum(len(diff.changes) for diff in outcome.diffs)
    short = outcome.run_id
    if outcome.state is RunState.READY:
        lines.append(f"{count_of(changes)} wait: see them with `resile diff {short}`, then")
        lines.append(f"`resile commit {short}` or `resile discard {short}`")
    elif outcome.state is RunState.COMMITTED and changes:
        lines.append(f"{count_of(changes)} committed")
    elif changes:
        lines.append(f"{count_of(changes)} undone: the workspace is as it was")
    return [clean(line) for line in lines]


def _violation_lines(outcome: "Outcome") -> list[str]:
    """Tell some violations of each kind, so that many of one do not hide the others."""
    lines = []
    for kind in ViolationKind:
        found = [v for v in outcome.violations if v.kind is kind]
        lines += [f"violation: {v.kind} {v.detail} ({v.decision})" for v in found[:_SHOWN_MAX]]
        rest = len(found) - _SHOWN_MAX
        lines += [f"violation: {kind}, {rest} more"] if rest > 0 else []
    return lines


def count_of(changes: int) -> str:
    """Say how many changes."""
    return "1 change" if changes == 1 else f"{changes} changes"


def _own_profiles(config: Path | None) -> Mapping[str, Any]:
    section = _own_section(config)
    return {} if section is None else section.profile


def _own_switches(config: Path | None) -> "Switches":
    from resile.contain import Switches

    section = _own_section(config)
    if section is None:
        return Switches()
    return Switches(
        is_enabled=section.enabled, is_observed=section.observer, has_overlay=section.overlay
    )


@cache
def _own_section(config: Path | None) -> Any:
    """Read `[contain]` of the nearest configuration; it is only loaded if it may have some."""
    try:
        file = find_places(config).config
    except ConfigError:
        if config is not None:
            raise
        return None
    is_set = any(name.startswith(_CONTAIN_VARIABLES) for name in os.environ)
    if not is_set and b"contain" not in file.read_bytes():
        return None
    from resile.core.config import load_config

    return load_config(file, environ=os.environ).contain


def _read(section: Any) -> tuple[Limits, Mapping[str, Any]]:
    """Turn a profile of the configuration into limits, and the rest of a `RunSpec`."""
    base = STRICT if section.base == "strict" else build_limits(len(os.sched_getaffinity(0)))
    limits = with_flags(base, {name: getattr(section, name) for name in _LIMIT_OF_SETTING})
    more: dict[str, Any] = {
        "readable": tuple(section.readable),
        "hidden": tuple(section.hidden),
    }
    if section.protected is not None:
        more["protected"] = tuple(section.protected)
    if section.kills is not None:
        more["kills"] = frozenset(map(ViolationKind, section.kills))
    return limits, more
