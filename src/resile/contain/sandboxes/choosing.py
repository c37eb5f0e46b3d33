"""Open the launcher that was found to work, and say what would let more of them work.

Apart from the probe, which only who has not tried before loads.
"""

import contextlib
from pathlib import Path

from resile.contain.sandboxes.interpreted import PythonLauncher
from resile.contain.sandboxes.model import SandboxFacts
from resile.contain.sandboxes.native import NativeLauncher
from resile.contain.sandboxes.port import Launcher
from resile.errors import SpawnError

BUBBLEWRAP = "bubblewrap"
SWITCHES = (
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0", "1"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "1", "0"),
    ("/proc/sys/user/max_user_namespaces", "15000", "0"),
)
"""What forbids user namespaces, the value to set, and the value that forbids."""


def open_launcher(found: SandboxFacts | str) -> Launcher:
    """Give the launcher that the facts name, or one by its name.

    Raises:
        SpawnError: If there is none.
    """
    name = found if isinstance(found, str) else found.launcher
    if name == NativeLauncher.name:
        return NativeLauncher()
    if name == PythonLauncher.name:
        return PythonLauncher()
    if name == BUBBLEWRAP and (wrapped := wrapped_launcher()):
        return wrapped
    why = "; ".join(found.missing) if isinstance(found, SandboxFacts) else f"no launcher {name!r}"
    raise SpawnError(why, hint="run `resile doctor` to see what this machine allows")


def user_namespace_fix() -> str:
    """Say what lets an ordinary user make namespaces, as far as it can be seen."""
    for path, wanted, bad in SWITCHES:
        with contextlib.suppress(OSError):
            if Path(path).read_text(encoding="ascii").strip() == bad:
                name = path.removeprefix("/proc/sys/").replace("/", ".")
                return f"sysctl {name}={wanted}"
    return "a container, chroot or sandbox around us forbids user namespaces; allow them there"


def wrapped_launcher() -> Launcher | None:
    """Give the launcher that nobody loads who has a better one."""
    from resile.contain.sandboxes.bubblewrap import BubblewrapLauncher, find_bubblewrap

    program = find_bubblewrap()
    return BubblewrapLauncher(program) if program else None
