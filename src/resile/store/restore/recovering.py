"""Cleans up after a restore in place that was cut off, and tells what it had done."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resile.errors import OperationError, StoreDamagedError
from resile.store.restore.model import shown
from resile.store.restore.stages import OPEN, STAGE_PREFIX, Gate, Place, Stage, open_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What one restore that was cut off had left.

    Args:
        stage: The folder in which it built.
        restored: Places, relative to the stage's folder, where the restored content is.
        untouched: Places where what was there before still is.
        fault: Why the stage is kept and a person must look; empty: it is removed.
    """

    stage: Path
    restored: tuple[str, ...]
    untouched: tuple[str, ...]
    fault: str = ""


def recover(folder: Path, *, gate: Gate = OPEN) -> tuple[Leftover, ...]:
    """Finish what a crash left of restores in place; durable when it returns.

    Each place keeps what it has: the restored content, whole, or what was there before, whole.
    A place that is empty, because a file system without exchange was cut between two renames,
    gets back what it had. Then the stage is removed with what it holds: the new that was not
    used, or the old that was replaced, of which the caller had taken a snapshot. Restores that
    are still running are left alone. Safe to call at any time and again.

    Args:
        folder: The live folder; its parent is looked into as well.
        gate: Passed before each step.

    Returns:
        One for each restore that was cut off; empty if there is none.

    Raises:
        OperationError: If the folder or its parent cannot be listed.
    """
    live = Path(os.path.abspath(folder))  # noqa: PTH100 - the parent is the one in which it was
    found: list[Leftover] = []
    for home in (live.parent, live):
        try:
            found.extend(_recover_home(home, gate))
        except OSError as exc:
            raise OperationError(
                f"could not clean up after a restore in {home}: {exc.strerror}",
                hint="look at .resile-restore-* there",
            ) from exc
    return tuple(found)


def _recover_home(home: Path, gate: Gate) -> Iterator[Leftover]:
    try:
        home_fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        with os.scandir(home_fd) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries)
        for name in names:
            if not name.startswith(STAGE_PREFIX):
                continue
            stage = open_stage(home_fd, name, gate=gate)
            if stage is not None:
                with contextlib.closing(stage):
                    yield _recover_stage(home / os.fsdecode(name), stage)
    finally:
        os.close(home_fd)


def _recover_stage(path: Path, stage: Stage) -> Leftover:
    restored: list[str] = []
    untouched: list[str] = []
    try:
        for index, place in enumerate(stage.read_record() or ()):
            (restored if stage.mend(index, place) else untouched).append(_named(place))
        stage.remove()
    except StoreDamagedError as exc:
        return Leftover(stage=path, restored=(), untouched=(), fault=exc.message)
    except OSError as exc:
        fault = f"{exc.strerror or exc}"
        return Leftover(
            stage=path, restored=tuple(restored), untouched=tuple(untouched), fault=fault
        )
    return Leftover(stage=path, restored=tuple(restored), untouched=tuple(untouched))


def _named(place: Place) -> str:
    return shown(b"/".join(place.path))
