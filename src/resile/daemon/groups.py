"""The control groups of the services, for whoever does not own them: found by what the guard wrote down."""

from pathlib import Path

from resile.contain.cgroups import Cgroup, open_tree, remembered


def group_of(state: Path, service: str, generation: int) -> Cgroup | None:
    """Give the group of a generation of a service; None if nobody wrote down where groups are.

    It may be gone.
    """
    layout = remembered(state)
    return None if layout is None else open_tree(layout).adopt(f"{service}-{generation}")


def members_of(state: Path, service: str, generation: int) -> tuple[int, ...]:
    """List the processes of a generation of a service that live."""
    group = group_of(state, service, generation)
    return () if group is None else group.pids()
