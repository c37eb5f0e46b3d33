"""The native launcher: a small static C program (launcher.c), built when the package is installed."""

import hashlib
from functools import cache
from pathlib import Path

from resile.contain.cgroups import Cgroup
from resile.contain.sandboxes.host import current_host
from resile.contain.sandboxes.model import Box
from resile.contain.sandboxes.parked import Parked, unified_folder
from resile.contain.sandboxes.recipe import Recipe, recipe_of

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "launcher.c"
BINARY = FOLDER / "_launcher"


class NativeLauncher:
    """Builds boxes by the C program. Safe to share between threads."""

    name = "native"

    def own_processes(self, cgroup: Cgroup | None) -> int:
        """Give 1 on pure v2, where only pid 1 of the box is born in the group; else 2."""
        return 1 if unified_folder(cgroup) else 2

    def park(self, cgroup: Cgroup | None) -> Parked:
        """Start a launcher that joins the group now and gets its box later.

        Raises:
            SpawnError: If it could not be started.
        """
        folder = unified_folder(cgroup)
        files = cgroup.join_files if cgroup is not None and not folder else ()
        return Parked([str(BINARY)], _recipe, join_files=files, cgroup_folder=folder)


@cache
def is_built() -> bool:
    """Tell whether the binary is there and was made of this very source."""
    try:
        wanted = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
        return f"resile-launcher {wanted}".encode() in BINARY.read_bytes()
    except OSError:
        return False


def _recipe(box: Box) -> Recipe:
    return recipe_of(box, current_host())
