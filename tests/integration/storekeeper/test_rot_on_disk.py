"""A bit really flips below the file system, in the image that it lies on, and is brought back."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.storekeeper_bench import LIVE, SNAPSHOT, Bench
from tests.support.storing import flip

IMAGE_BYTES = 32 << 20
_FIBMAP, _FIGETBSZ = 1, 2


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """Give an image that is mounted on `disk` beside it."""
    path, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with path.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    try:
        subprocess.run(["mkfs.ext4", "-q", path], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", path, disk], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no image can be made and mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def bench(image: Path) -> Iterator[Bench]:
    made = Bench(image.with_name("disk"))
    made.clock.advance(10)  # The file is old enough to be told apart.
    made.protect()
    yield made
    made.keeper.stop()
    made.keeper.run()


def device_of(image: Path) -> Path:
    done = subprocess.run(
        ["losetup", "-j", image, "-n", "-O", "NAME"], check=True, capture_output=True, text=True
    )
    return Path(done.stdout.strip())


def place_on_disk(path: Path) -> int:
    """Give where a file's first byte lies on its device."""
    with path.open("rb") as file:
        (block,) = struct.unpack("i", fcntl.ioctl(file, _FIBMAP, struct.pack("i", 0)))
        (size,) = struct.unpack("i", fcntl.ioctl(file, _FIGETBSZ, struct.pack("i", 0)))
    return int(block) * int(size)


def rot_on_disk(image: Path, path: Path) -> None:
    """Flip a bit on the device, and have the file read from it."""
    os.sync()
    device = device_of(image)
    flip(device, (place_on_disk(path) + 77) * 8)
    fd = os.open(device, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def test_bit_that_flips_on_the_disk_is_found_and_brought_back(bench: Bench, image: Path) -> None:
    path = bench.source / "file"
    before, status = path.read_bytes(), path.stat()
    rot_on_disk(image, path)
    if path.read_bytes() == before:
        pytest.skip("what is written to the device does not reach the mounted file here")
    assert path.stat().st_ctime_ns == status.st_ctime_ns

    bench.do(SNAPSHOT)
    assert not bench.told("snapshot.taken")[-1].is_changed
    bench.through(LIVE)

    assert path.read_bytes() == before
    assert bench.kinds()[-2:] == ["data.mismatched", "data.mended"]
