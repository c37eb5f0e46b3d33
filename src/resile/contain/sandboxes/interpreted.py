"""The pure Python launcher: the recipe carried out by ctypes, in an interpreter of its own."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from resile.contain.cgroups import Cgroup
from resile.contain.sandboxes.host import current_host
from resile.contain.sandboxes.model import Box
from resile.contain.sandboxes.parked import Parked
from resile.contain.sandboxes.recipe import Recipe, recipe_of

BOOT = Path(__file__).parent / "pure" / "boot.py"


class PythonLauncher:
    """Builds boxes without anything but Python. Safe to share between threads.

    Each box costs an interpreter's start, some 20 ms. On pure v2 it joins the group by writing to
    it, as Python cannot clone into one.

    Args:
        interpreter: What runs it. Default: our own.
    """

    name = "python"

    def __init__(self, *, interpreter: str = sys.executable) -> None:
        self._argv = (interpreter, "-I", "-S", str(BOOT))

    def own_processes(self, cgroup: Cgroup | None) -> int:  # noqa: ARG002 - the port's
        """Give 2: the one outside the box, and its pid 1."""
        return 2

    def park(self, cgroup: Cgroup | None) -> Parked:
        """Start a launcher that joins the group now and gets its box later.

        Raises:
            SpawnError: If it could not be started.
        """
        return park_interpreter(self._argv, _recipe, cgroup)


def park_interpreter(
    argv: Sequence[str], recipe: Callable[[Box], Recipe], cgroup: Cgroup | None
) -> Parked:
    """Start an interpreter that joins the group now and carries out a recipe later.

    Raises:
        SpawnError: If it could not be started.
    """
    files = cgroup.join_files if cgroup is not None else ()
    return Parked(argv, recipe, join_files=files, env=_loader_environment())


def _recipe(box: Box) -> Recipe:
    return recipe_of(box, current_host())


def _loader_environment() -> dict[str, str]:
    """Give what an interpreter with a shared library of its own may need to start."""
    names = ("LD_LIBRARY_PATH", "PYTHONHOME")
    return {name: os.environ[name] for name in names if name in os.environ}
