"""Find out which launcher works on this machine, and what its boxes lack, by building some."""

import contextlib
import errno
import os
import select
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resile.contain.model import Network
from resile.contain.sandboxes.choosing import (
    BUBBLEWRAP,
    SWITCHES,
    user_namespace_fix,
    wrapped_launcher,
)
from resile.contain.sandboxes.host import current_host, needs_user_attributes
from resile.contain.sandboxes.interpreted import PythonLauncher
from resile.contain.sandboxes.model import (
    Box,
    LaunchFailed,
    MainEnded,
    Message,
    OverlayMount,
    SandboxFacts,
    Started,
    Stdio,
    Warned,
)
from resile.contain.sandboxes.native import NativeLauncher, is_built
from resile.contain.sandboxes.port import Boxed, Launcher
from resile.core.clock import SYSTEM_CLOCK
from resile.errors import OperationError

_TRY_TIMEOUT_S = 10.0
_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.ENOSYS)
"""How kernels and containers say no to namespaces; ENOSPC is `max_user_namespaces = 0`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one box.

    Args:
        failed: Why it could not be built; None if it was.
        warned: What it does without.
        is_observed: It gave a listener.
    """

    failed: LaunchFailed | None
    warned: tuple[str, ...] = ()
    is_observed: bool = False


@cache
def sandbox_facts() -> SandboxFacts:
    """Try the launchers, best first, and tell which works and what its boxes lack.

    Takes some 10 ms where the native one works, at most some seconds where nothing does. Is done
    once in a process; what an administrator changes meanwhile is seen by the next one.
    """
    reasons: list[str] = []
    for launcher, unusable in _candidates():
        if launcher is None:
            reasons.append(unusable)
            continue
        found = _tried(launcher)
        if found.failed is None or found.failed.stage in ("overlay", "seccomp"):
            return _facts(launcher, found, reasons)
        reasons.append(f"{launcher.name} does not work: {_reason(found.failed)}")
    fix = user_namespace_fix()
    what = f"no sandbox can be built; as root it mostly can, or: {fix}"
    return SandboxFacts(launcher="", landlock_abi=_landlock_abi(), missing=(what, *reasons))


def _candidates() -> Iterator[tuple[Launcher | None, str]]:
    """Give the launchers, best first, or why one cannot even be tried."""
    if is_built():
        yield NativeLauncher(), ""
    else:
        why = "the native launcher is not built: a box takes some 30 ms longer; install a C"
        yield None, f"{why} compiler and install resile again"
    yield PythonLauncher(), ""
    wrapped = wrapped_launcher()
    yield (wrapped, "") if wrapped else (None, "no bubblewrap 0.11 or newer")


def _facts(launcher: Launcher, found: Attempt, reasons: list[str]) -> SandboxFacts:
    """Tell what works, after less was tried where more did not."""
    stage = found.failed.stage if found.failed is not None else ""
    has_overlay = stage != "overlay"
    missing = list(reasons)
    if found.failed is not None and stage == "overlay":
        found = _tried(launcher, has_overlay=False)
        missing.append("no overlay can be mounted: changes are staged by copying")
    has_notify = found.failed is None and found.is_observed
    if not has_notify:
        missing.append("forbidden system calls are refused, but cannot be observed")
    abi = _landlock_abi()
    if not abi:
        missing.append("landlock is off: file access is limited by mounts only")
    missing += [
        f"boxes have no {stage}: a container around us forbids it" for stage in found.warned
    ]
    is_bubblewrap = launcher.name == BUBBLEWRAP
    if is_bubblewrap:
        missing.append("bubblewrap limits the size of the private /tmp, not its number of files")
    is_privileged = current_host().is_privileged
    return SandboxFacts(
        launcher=launcher.name,
        has_user_namespace=not is_privileged or not any(map(_forbids, SWITCHES)),
        has_overlay=has_overlay,
        landlock_abi=abi,
        has_seccomp_notify=has_notify,
        uses_user_attributes=is_bubblewrap or needs_user_attributes(),
        missing=tuple(missing),
    )


def _forbids(switch: tuple[str, str, str]) -> bool:
    path, _, bad = switch
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="ascii").strip() == bad
    return False


def _landlock_abi() -> int:
    return current_host().landlock_abi


def _tried(launcher: Launcher, *, has_overlay: bool = True) -> Attempt:
    """Build a box with everything in it, and run `true`."""
    import tempfile  # Here, as it loads much, and who has tried before does not try.

    with tempfile.TemporaryDirectory(prefix="resile-probe-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        made = {part: folder / part for part in ("lower", "upper", "work")}
        for path in made.values():
            path.mkdir()
        uses_user = launcher.name == BUBBLEWRAP or needs_user_attributes()
        overlay = OverlayMount(**made, target=made["lower"], is_unprivileged=uses_user)
        box = Box(
            argv=("true",),
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            mounts=(overlay,) if has_overlay else (),
            network=Network.NONE,
        )
        try:
            return _outcome(launcher, box)
        finally:
            with contextlib.suppress(OSError):
                (made["work"] / "work").chmod(0o700)  # The kernel makes it with no rights at all.


def _outcome(launcher: Launcher, box: Box) -> Attempt:
    null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        stdio = Stdio(stdin_fd=null_fd, stdout_fd=null_fd, stderr_fd=null_fd)
        boxed = launcher.park(None).launch(box, stdio)
    except OperationError as exc:
        return Attempt(failed=LaunchFailed(stage="launcher", number=0, path=str(exc)))
    finally:
        os.close(null_fd)
    try:
        messages = _messages(boxed)
        is_observed = boxed.notify_fd >= 0
    finally:
        boxed.close()
    failed = next((m for m in messages if isinstance(m, LaunchFailed)), None)
    has_run = any(isinstance(m, Started | MainEnded) for m in messages)
    if failed is not None and failed.stage == "exec":  # Somewhere there is no `true`.
        failed, has_run = None, True
    if failed is None and not has_run:
        failed = LaunchFailed(stage="launcher", number=0, path="it says nothing")
    warned = tuple(f"/{m.stage}" for m in messages if isinstance(m, Warned))
    return Attempt(failed=failed, warned=warned, is_observed=is_observed)


def _messages(boxed: Boxed) -> list[Message]:
    """Take all messages until the command has ended or nothing more can come."""
    found: list[Message] = []
    deadline = SYSTEM_CLOCK.monotonic() + _TRY_TIMEOUT_S
    while not boxed.has_ended and (rest_s := deadline - SYSTEM_CLOCK.monotonic()) > 0:
        select.select([boxed.fd], [], [], rest_s)
        found += boxed.read()
        if any(isinstance(message, MainEnded | LaunchFailed) for message in found):
            break
    return found


_STAGES: Mapping[str, str] = {
    "namespaces": "the kernel gives it no namespaces",
    "user": "the kernel gives it no user namespace",
}


def _reason(failed: LaunchFailed) -> str:
    what = _STAGES.get(failed.stage, failed.stage)
    why = os.strerror(failed.number) if failed.number else failed.path
    hint = f"; {user_namespace_fix()}" if _is_refusal(failed) else ""
    return f"{what}: {why}{hint}"


def _is_refusal(failed: LaunchFailed) -> bool:
    return failed.stage in _STAGES and failed.number in _REFUSED
