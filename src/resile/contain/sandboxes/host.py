"""Find out what a recipe must know of this process and machine."""

import os
from functools import cache
from pathlib import Path

from resile.contain.sandboxes.landlock import abi_of_kernel
from resile.contain.sandboxes.recipe import RESOLVER, Host

_CAP_SYS_ADMIN = 21


def current_host() -> Host:
    """Describe who we are now: a process may have changed its user since the last time."""
    return Host(
        uid=os.geteuid(),
        gid=os.getegid(),
        is_privileged=_can_mount(),
        landlock_abi=_landlock_abi(),
        resolver=_resolver(),
    )


def needs_user_attributes() -> bool:
    """Tell whether an overlay of ours cannot keep its marks in `trusted.overlay.*`.

    Root in a user namespace that somebody else made mounts without one of its own, but is not
    trusted with these.
    """
    whole = "0 0 4294967295"
    mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return not _can_mount() or mapped != whole.split()


def _can_mount() -> bool:
    """Tell whether we may mount without a user namespace; root in a container often may not."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


@cache
def _landlock_abi() -> int:
    return abi_of_kernel()


def _resolver() -> Path | None:
    """Give where names are looked up, if every box covers that."""
    path = Path(os.path.realpath(RESOLVER))
    return path if path.is_relative_to("/run") else None
