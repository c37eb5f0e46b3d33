"""What was found out about sandboxes here, kept for the next process in the same situation.

To try takes a command of a few milliseconds longer than all else that it does. Only a full
success is kept: who lacks something is told so again, and sees at once when it is there. What
could take the success back is part of the situation, as far as it can be seen; where a box fails
nevertheless, its run says so, and `forget` lets the next one try anew.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

from resile.contain.sandboxes.choosing import SWITCHES
from resile.contain.sandboxes.model import SandboxFacts
from resile.contain.sandboxes.native import BINARY, SOURCE, NativeLauncher
from resile.core.codec import decode, encode
from resile.core.files import make_private_dir, write_atomic
from resile.core.process import boot_id
from resile.errors import OperationError

_NAME = "sandbox.json"
_VERSION = 1
_OF_STATUS = ("Uid:", "Gid:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:")


def known_facts(folder: Path) -> SandboxFacts:
    """Tell what `sandbox_facts` finds, or what it found in this situation; blocks as that does.

    Args:
        folder: Of runs: private, and made if it is missing. Where nothing can be written, nothing
            is kept.
    """
    situation = _situation()
    path = folder / _NAME
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_bytes())
        if kept["version"] == _VERSION and kept["situation"] == situation:
            return decode(SandboxFacts, kept["facts"])
    from resile.contain.sandboxes import probe

    found = probe.sandbox_facts()
    if found.launcher == NativeLauncher.name and not found.missing:
        content = {"version": _VERSION, "situation": situation, "facts": encode(found)}
        with contextlib.suppress(OperationError, OSError):
            make_private_dir(folder)
            write_atomic(path, json.dumps(content).encode())
    return found


def forget(folder: Path) -> None:
    """Let the next process try anew: a box failed that should not have."""
    from resile.contain.sandboxes import probe

    probe.sandbox_facts.cache_clear()
    with contextlib.suppress(OSError):
        (folder / _NAME).unlink()


def _situation() -> dict[str, Any]:
    """Describe what the success depends on: the boot, who we are, where, and with which launcher."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return {
        "boot": boot_id(),
        "process": [line for line in lines if line.startswith(_OF_STATUS)],
        "namespaces": [Path(f"/proc/self/ns/{name}").stat().st_ino for name in ("user", "mnt")],
        "launcher": [
            [status.st_ino, status.st_size, status.st_mtime_ns]
            for status in (path.stat() for path in (BINARY, SOURCE) if path.exists())
        ],
        "switches": [_read(path) for path, _, _ in SWITCHES],
    }


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="ascii").strip()
    return ""
