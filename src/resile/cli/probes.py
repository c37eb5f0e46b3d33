"""What this machine allows: each probe tries the real thing, and leaves nothing behind."""

import os
import platform
import re
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from resile.contain.cgroups import CgroupKind, CgroupProbe, probe
from resile.contain.sandboxes import (
    NativeLauncher,
    SandboxFacts,
    sandbox_facts,
    user_namespace_fix,
)
from resile.errors import OperationError

_KERNEL_MIN = (5, 14)
"""cgroup.kill came with 5.14; pidfd_open with 5.3, CLONE_INTO_CGROUP with 5.7."""
_OPEN_FILES_MIN = 1024
_INOTIFY_WATCHES_MIN = 8192


class Verdict(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    WARN = "warn"
    """It works, with less than there could be."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one probe saw.

    Args:
        name: Of the probe.
        verdict: Good, less than good, or not there.
        seen: What was seen.
        follows: What resile does or cannot do because of it; empty if all is well.
        fix: How to get more; empty if nothing can be done or need be.
    """

    name: str
    verdict: Verdict
    seen: str
    follows: str = ""
    fix: str = ""

    def as_data(self) -> dict[str, str]:
        """Give it as plain data."""
        return {key: str(value) for key, value in asdict(self).items()}


def examine() -> Iterator[Finding]:
    """Run every probe. A probe that fails in an unforeseen way is a finding itself."""
    for look in PROBES:
        name = look.__name__.removeprefix("_").replace("_", " ")
        try:
            yield from look()
        except (OSError, OperationError, ValueError) as exc:
            yield Finding(name=name, verdict=Verdict.WARN, seen=f"could not be examined: {exc}")


def _kernel() -> Iterator[Finding]:
    release = platform.release()
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    is_new = numbers >= _KERNEL_MIN
    yield Finding(
        name="kernel",
        verdict=Verdict.OK if is_new else Verdict.WARN,
        seen=f"Linux {release}",
        follows="" if is_new else "no cgroup.kill: a stop kills process by process",
        fix="" if is_new else "use Linux 5.14 or newer",
    )


def _control_groups() -> Iterator[Finding]:
    """Make a tree of groups and one group in it, with the code that the guard uses."""
    with tempfile.TemporaryDirectory(prefix="resile-doctor-") as folder:
        found = probe(Path(folder))
        layout = found.tree.layout
        can_kill = bool(layout.unified) and Path(layout.unified, "cgroup.kill").exists()
        found.tree.remove()
    kind = layout.kind
    verdict = {CgroupKind.V2: Verdict.OK, CgroupKind.NONE: Verdict.MISSING}.get(kind, Verdict.OK)
    yield Finding(
        name="cgroups",
        verdict=verdict if not found.warning or verdict is Verdict.MISSING else Verdict.WARN,
        seen="none can be made" if kind is CgroupKind.NONE else f"{kind.value}; can be made",
        follows="; ".join(filter(None, (found.warning, *_refusals(found)))),
        fix=_CGROUP_FIX if found.warning else "",
    )
    limits = ", ".join(layout.enforced) or "none"
    yield Finding(
        name="cgroup limits",
        verdict=Verdict.OK if len(layout.enforced) == _LIMITS_COUNT else Verdict.WARN,
        seen=f"enforced here: {limits}",
        follows="" if layout.enforced else "`limits` of services are not enforced",
        fix="" if len(layout.enforced) == _LIMITS_COUNT else _CGROUP_FIX,
    )
    yield Finding(
        name="cgroup.kill",
        verdict=Verdict.OK if can_kill else Verdict.WARN,
        seen="present" if can_kill else "not usable here",
        follows="" if can_kill else "a stop kills process by process, which is slower",
        fix="" if can_kill else "Linux 5.14 with a cgroup2 mount that this user may write",
    )


def _refusals(found: CgroupProbe) -> tuple[str, ...]:
    """Say why no better way works, where that is of interest: when something is missing."""
    return found.refused if found.warning else ()


_LIMITS_COUNT = 3
_CGROUP_FIX = (
    "run as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes resile up"
)


def _delegation() -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield Finding(name="delegation", verdict=Verdict.OK, seen="root needs none")
        return
    line = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()[-1]
    unified = Path("/sys/fs/cgroup/unified")
    root = unified if unified.is_dir() else unified.parent
    folder = root / line.rpartition(":")[2].lstrip("/")
    is_ours = os.access(folder / "cgroup.procs", os.W_OK)
    yield Finding(
        name="delegation",
        verdict=Verdict.OK if is_ours else Verdict.WARN,
        seen=f"{folder} is {'ours' if is_ours else 'not ours to write'}",
        follows="" if is_ours else "services share the control group of this session",
        fix="" if is_ours else _CGROUP_FIX,
    )


def _sandbox() -> Iterator[Finding]:
    """Build boxes with the code that `resile run` uses, and tell which way works."""
    facts = sandbox_facts()
    verdict = Verdict.OK if facts.launcher == NativeLauncher.name else Verdict.WARN
    yield Finding(
        name="sandbox",
        verdict=verdict if facts.launcher else Verdict.MISSING,
        seen=f"{facts.launcher} launcher" if facts.launcher else "no launcher works",
        follows="" if verdict is Verdict.OK else "; ".join(facts.missing),
        fix="" if verdict is Verdict.OK else _launcher_fix(facts),
    )
    has_users = facts.has_user_namespace
    yield Finding(
        name="user namespaces",
        verdict=Verdict.OK if has_users else Verdict.WARN,
        seen="can be made" if has_users else "an ordinary user cannot make them",
        follows="" if has_users else "untrusted commands can be isolated by root only",
        fix="" if has_users else user_namespace_fix(),
    )
    yield Finding(
        name="overlayfs",
        verdict=Verdict.OK if facts.has_overlay else Verdict.WARN,
        seen="can be mounted" if facts.has_overlay else "cannot be mounted",
        follows="" if facts.has_overlay else "changes of contained commands are staged by copying",
        fix="" if facts.has_overlay else "modprobe overlay; set TMPDIR to a folder on no overlay",
    )
    yield Finding(
        name="landlock",
        verdict=Verdict.OK if facts.landlock_abi else Verdict.WARN,
        seen=f"version {facts.landlock_abi}" if facts.landlock_abi else "off",
        follows=""
        if facts.landlock_abi
        else "file access of contained commands is limited by mounts only",
        fix=""
        if facts.landlock_abi
        else "Linux 5.13 or newer, with landlock in the boot option lsm=",
    )
    yield Finding(
        name="seccomp listener",
        verdict=Verdict.OK if facts.has_seccomp_notify else Verdict.WARN,
        seen="works" if facts.has_seccomp_notify else "not to be had",
        follows="" if facts.has_seccomp_notify else "forbidden calls are refused, but not told",
        fix="" if facts.has_seccomp_notify else "Linux 5.0 or newer; none of ours around us",
    )


def _launcher_fix(facts: SandboxFacts) -> str:
    if not facts.launcher:
        return f"run as root, or: {user_namespace_fix()}"
    return "install a C compiler, then install resile again"


def _pidfd() -> Iterator[Finding]:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as exc:
        yield Finding(
            name="pidfd",
            verdict=Verdict.MISSING,
            seen=str(exc.strerror),
            follows="the daemon cannot watch processes; it does not run here",
            fix="use Linux 5.3 or newer, or allow pidfd_open in the container's seccomp profile",
        )
    else:
        yield Finding(name="pidfd", verdict=Verdict.OK, seen="works")


def _pressure() -> Iterator[Finding]:
    try:
        text = Path("/proc/pressure/memory").read_text(encoding="ascii")
        seen = text.splitlines()[0]
    except OSError as exc:
        yield Finding(
            name="pressure (PSI)",
            verdict=Verdict.WARN,
            seen=str(exc.strerror),
            follows="crash bundles do not tell whether the machine was short of memory",
            fix="boot with psi=1",
        )
    else:
        yield Finding(name="pressure (PSI)", verdict=Verdict.OK, seen=f"memory: {seen}")


def _core_files() -> Iterator[Finding]:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8").strip()
    is_piped = pattern.startswith("|")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    is_good = not is_piped and hard != 0
    yield Finding(
        name="core files",
        verdict=Verdict.OK if is_good else Verdict.WARN,
        seen=f"core_pattern is {pattern!r}, hard limit {_limit(hard)}",
        follows="" if is_good else "crash bundles name no core file",
        fix="" if is_good else "coredumpctl shows them, or: sysctl kernel.core_pattern=core.%p",
    )


def _systemd() -> Iterator[Finding]:
    is_running = Path("/run/systemd/system").is_dir()
    yield Finding(
        name="systemd",
        verdict=Verdict.OK if is_running else Verdict.WARN,
        seen="runs this machine" if is_running else "does not run this machine",
        follows="" if is_running else "nobody restarts the guard if it dies",
        fix="" if is_running else "let another init, or a container's restart policy, keep it up",
    )


def _chromium() -> Iterator[Finding]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    yield Finding(
        name="Chromium",
        verdict=Verdict.OK if path else Verdict.WARN,
        seen=path or "not found in PATH",
        follows="" if path else "the tests of the dashboard are skipped; nothing else needs it",
        fix="" if path else "apt-get install chromium",
    )


def _inotify() -> Iterator[Finding]:
    folder = Path("/proc/sys/fs/inotify")
    watches = int((folder / "max_user_watches").read_text(encoding="ascii"))
    instances = int((folder / "max_user_instances").read_text(encoding="ascii"))
    is_enough = watches >= _INOTIFY_WATCHES_MIN
    yield Finding(
        name="inotify",
        verdict=Verdict.OK if is_enough else Verdict.WARN,
        seen=f"{watches} watches, {instances} instances",
        follows="" if is_enough else "changes in large trees are found by scanning",
        fix="" if is_enough else "sysctl fs.inotify.max_user_watches=524288",
    )


def _open_files() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_enough = soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES_MIN
    yield Finding(
        name="open files",
        verdict=Verdict.OK if is_enough else Verdict.WARN,
        seen=f"{_limit(soft)}, at most {_limit(hard)}",
        follows="" if is_enough else "the guard needs about five for each service",
        fix="" if is_enough else f"ulimit -n {_OPEN_FILES_MIN}",
    )


PROBES: tuple[Callable[[], Iterator[Finding]], ...] = (
    _kernel,
    _control_groups,
    _delegation,
    _pidfd,
    _sandbox,
    _pressure,
    _core_files,
    _systemd,
    _inotify,
    _open_files,
    _chromium,
)
"""Every probe, in the order in which they are shown."""


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)
