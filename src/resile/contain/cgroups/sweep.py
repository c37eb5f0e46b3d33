"""Kill what a lost daemon left: from its state folder alone, and from any process.

The guard writes down where its groups are (`remember`), so that whoever comes later finds them,
be it in another session with another group of its own.
"""

import json
import os
from pathlib import Path

from resile.contain.cgroups.model import CgroupLayout
from resile.contain.cgroups.port import Cgroup
from resile.contain.cgroups.probe import open_tree
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.codec import decode, encode
from resile.core.files import write_durable
from resile.errors import CgroupError

KILL_TIMEOUT_S = 10.0
"""A process that takes longer than this to die hangs in the kernel."""
_POLL_FIRST_S = 0.0001
"""Most groups are empty within a millisecond of their kill."""
_POLL_LAST_S = 0.05


def remember(state: Path, layout: CgroupLayout) -> None:
    """Write down where the groups of this daemon are; durable when it returns.

    Raises:
        OperationError: If it could not be written.
    """
    write_durable(_file(state), json.dumps({"version": 1, **encode(layout)}).encode())


def remembered(state: Path) -> CgroupLayout | None:
    """Read where the groups of the last daemon are; None if none is known.

    Raises:
        CgroupError: If this user may not know.
    """
    try:
        return decode(CgroupLayout, json.loads(_file(state).read_bytes()))
    except (FileNotFoundError, ValueError):
        return None
    except OSError as exc:
        raise CgroupError(
            f"{_file(state)} cannot be read: {exc.strerror or exc}",
            hint=f"run the command as the user to whom {state} belongs",
        ) from exc


def kill_everything(
    state: Path, *, timeout_s: float = KILL_TIMEOUT_S, clock: Clock = SYSTEM_CLOCK
) -> tuple[str, ...]:
    """Kill every process in every group of a state folder's daemon, and remove the groups.

    The group that the caller itself is in, if any, is left alone. Idempotent. Blocks until all
    are dead.

    Args:
        state: The daemon's state folder.
        timeout_s: The bound for each group.
        clock: Measures the time.

    Returns:
        The names of the groups that had living members, sorted.

    Raises:
        CgroupError: If a group could not be emptied in time; the others have been killed.
    """
    layout = remembered(state)
    if layout is None:
        return ()
    tree = open_tree(layout)
    groups = [g for g in map(tree.adopt, tree.names()) if os.getpid() not in g.pids()]
    populated = tuple(group.name for group in groups if group.is_populated())
    for group in groups:
        group.kill()
    stuck = [group.name for group in groups if not empty(group, timeout_s=timeout_s, clock=clock)]
    if stuck:
        raise CgroupError(
            f"processes in {', '.join(stuck)} do not die",
            hint="they hang in the kernel (state D in ps), mostly on a disk or a network mount",
        )
    for group in groups:
        group.remove()
    tree.remove()
    return populated


def empty(group: Cgroup, *, timeout_s: float, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Kill a group's members until none is left; tell whether that was within the bound."""
    deadline = clock.monotonic() + timeout_s
    pause_s = _POLL_FIRST_S
    while group.is_populated():
        if clock.monotonic() >= deadline:
            return False
        group.kill()
        clock.sleep(pause_s)
        pause_s = min(2 * pause_s, _POLL_LAST_S)
    return True


def _file(state: Path) -> Path:
    return state / "run" / "cgroups.json"
