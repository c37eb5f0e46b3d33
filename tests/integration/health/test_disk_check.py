"""The disk check on a file system that really fills up."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.looking import Stage

from resile.core.vocabulary import CheckState
from resile.health import CheckKind

LIMITS = {"free_min_share": 0.1, "free_warn_share": 0.5}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 1 MiB and 20 inodes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=20", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_disk_goes_from_up_over_degraded_to_down(stage: Stage, small_disk: Path) -> None:
    seen = []
    for size in (0, 600 << 10, 400 << 10):
        (small_disk / f"{size}").write_bytes(b"x" * size)
        result = stage.look(CheckKind.DISK, str(small_disk), options=LIMITS)
        seen.append((result.state, result.reason.split(" ", 1)[0]))

    assert seen == [
        (CheckState.UP, "1MiB"),
        (CheckState.DEGRADED, "424KiB"),
        (CheckState.DOWN, "24KiB"),
    ]


def test_disk_without_inodes_is_down_though_it_has_room(stage: Stage, small_disk: Path) -> None:
    with contextlib.suppress(OSError):
        for index in range(30):
            (small_disk / str(index)).touch()

    result = stage.look(CheckKind.DISK, str(small_disk), options=LIMITS)

    assert (result.state, result.reason) == (
        CheckState.DOWN,
        f"no free inodes on {small_disk}",
    )
