"""Where blocks can be shared, a copy of a workspace and its commit take no space of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.transactions import begin_copy, copied
from tests.support.trees import differences, make_tree, snapshot

MIB = 1 << 20
IMAGE_BYTES = 512 * MIB
"""XFS wants 300 MiB at least; it is a hole."""
BIG_BYTES = 64 * MIB
SPARE_BYTES = 16 * MIB
"""What the small files and the file system's own notes may take."""
MAKERS = {"btrfs": ("mkfs.btrfs", "-q"), "xfs": ("mkfs.xfs", "-q", "-m", "reflink=1")}


@pytest.fixture(params=sorted(MAKERS))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system in a file, mounted for the test."""
    maker, *options = MAKERS[request.param]
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system from a file")
    if not shutil.which(maker):
        pytest.skip(f"no {maker}: install btrfs-progs and xfsprogs")
    image, place = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    place.mkdir()
    called([maker, *options, str(image)])
    called(["mount", "-t", request.param, "-o", "loop", str(image), str(place)])
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=60)


def called(command: list[str]) -> None:
    """Run a command; a machine that cannot do it has no such test."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"{command[0]}: {done.stderr.strip()}")


def used_bytes(place: Path) -> int:
    """Tell what is taken, when all that is on its way is on the disk."""
    subprocess.run(["sync", "-f", str(place)], check=True, timeout=60)
    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def test_copy_and_commit_share_blocks_with_the_workspace(disk: Path) -> None:
    workspace = disk / "workspace"
    workspace.mkdir()
    make_tree(workspace)
    (workspace / "big").write_bytes(os.urandom(MIB) * (BIG_BYTES // MIB))
    before = used_bytes(disk)

    transaction = begin_copy(disk / "run", workspace)
    begun = used_bytes(disk)
    with (copied(transaction) / "big").open("r+b") as file:
        file.write(b"changed")
    (copied(transaction) / "mod").write_text("changed")
    shown = snapshot(copied(transaction))
    transaction.seal()
    transaction.commit()

    assert begun - before < SPARE_BYTES
    assert used_bytes(disk) - before < SPARE_BYTES
    assert differences(snapshot(workspace), shown) == []
    assert (workspace / "big").read_bytes()[: len(b"changed")] == b"changed"
