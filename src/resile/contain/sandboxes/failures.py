"""Say in plain words why a box could not be built or its command not executed."""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from resile.contain.sandboxes.model import Box, LaunchFailed
from resile.errors import SpawnError

_MISSING = (errno.ENOENT, errno.ENOTDIR)
_SHORT = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC)
"""The machine, or the limit of the box, is short of something."""


def explained(box: Box, failed: LaunchFailed) -> SpawnError:
    """Give the error that tells the user what failed and what to do about it."""
    reason = os.strerror(failed.number) if failed.number else failed.path
    message, hint = _SAID.get(failed.stage, _unforeseen)(box, failed)
    message = message.replace("{reason}", reason)
    return SpawnError(
        f"cannot run {box.argv[0]!r}: {message}",
        hint=hint,
        is_transient=failed.number in _SHORT and failed.stage not in ("exec", "cwd"),
    )


def _not_executed(box: Box, failed: LaunchFailed) -> tuple[str, str]:
    command = box.argv[0]
    if failed.number in _MISSING and "/" not in command:
        where = box.env.get("PATH", "")
        return "command not found", f"install it, or write its whole path; looked in PATH={where}"
    if failed.number == errno.ENOENT:
        is_there = Path(box.cwd, command).exists()
        why = "its #! line or loader names a missing program" if is_there else "correct the path"
        return "no such file" if not is_there else "its interpreter is missing", why
    if failed.number == errno.EACCES:
        return "not executable ({reason})", f"chmod +x {command}, or let the box read it"
    if failed.number == errno.ENOEXEC:
        return "no program for this machine", "a script needs a #! line"
    return "{reason}", "correct the command"


def _no_folder(box: Box, failed: LaunchFailed) -> tuple[str, str]:
    folder = failed.path or box.cwd
    return f"its folder {folder!r} cannot be entered: {{reason}}", "create it, or choose another"


def _no_namespaces(box: Box, failed: LaunchFailed) -> tuple[str, str]:  # noqa: ARG001 - as its kin
    if failed.number == errno.ENOSYS:  # Our own filter says so to `clone3`.
        hint = "it runs inside another box, which forbids more: run it outside of that"
    elif failed.number in (errno.EPERM, errno.EACCES, errno.ENOSPC):
        hint = "run as root, or allow user namespaces: `resile doctor` names the switch"
    else:
        hint = "run `resile doctor` to see what this machine allows"
    return "the kernel gives no namespaces for its box: {reason}", hint


def _no_overlay(box: Box, failed: LaunchFailed) -> tuple[str, str]:  # noqa: ARG001 - as its kin
    return (
        f"no overlay over {failed.path!r}: {{reason}}",
        "`resile doctor` tells whether overlays can be mounted here",
    )


def _unforeseen(box: Box, failed: LaunchFailed) -> tuple[str, str]:  # noqa: ARG001 - as its kin
    about = f" at {failed.path!r}" if failed.path and failed.number else ""
    return (
        f"its box could not be built: {failed.stage}{about}: {{reason}}",
        "run `resile doctor` to see what this machine allows",
    )


_SAID: Mapping[str, Callable[[Box, LaunchFailed], tuple[str, str]]] = {
    "exec": _not_executed,
    "cwd": _no_folder,
    "namespaces": _no_namespaces,
    "user": _no_namespaces,
    "overlay": _no_overlay,
}
