"""Bits that rot below a real file system: no time of the file tells of it."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.chaos.conftest import Stage
from tests.support.chaotic import FakeSystem

from resile.chaos import open_host
from resile.chaos.faults.rot import Rot, is_tmpfs
from resile.errors import RejectedError

CONTENT = bytes(range(256)) * 80
IMAGE_BYTES = 16 << 20
MEMORY = Path("/dev/shm")


def stage_in(folder):
    host = replace(open_host(folder / "state", folder), system=FakeSystem())
    return Stage(host)


@pytest.fixture
def in_memory():
    if not MEMORY.is_dir() or not is_tmpfs(MEMORY):
        pytest.skip("no file system in memory is here")
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield stage_in(folder)
    shutil.rmtree(folder)


@pytest.fixture
def on_loop(tmp_path):
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, disk], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no image can be made and mounted here")
    yield stage_in(disk)
    subprocess.run(["umount", disk], check=True, timeout=30)


@pytest.fixture(params=["in_memory", "on_loop"])
def place(request):
    return request.getfixturevalue(request.param)


def write(stage):
    path = stage.host.root / "data.bin"
    path.write_bytes(CONTENT)
    return path


def times(path):
    status = path.stat()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@pytest.mark.parametrize("offset", [0, 9000, len(CONTENT) - 1])
def test_a_bit_rots_and_is_put_back_and_no_time_tells_of_it(place, offset):
    path = write(place)
    before = times(path)

    record = place.inject("disk.rot", "data.bin", offset=offset, bit=3)

    place.active(record)
    rotten = path.read_bytes()
    assert sum((a ^ b).bit_count() for a, b in zip(rotten, CONTENT, strict=True)) == 1
    assert times(path) == before
    place.end(record)
    assert path.read_bytes() == CONTENT
    assert times(path) == before


def test_a_file_that_somebody_has_mended_is_left_alone(place):
    path = write(place)
    record = place.inject("disk.rot", "data.bin")
    other = path.with_name("other")
    other.write_bytes(CONTENT)
    os.replace(other, path)  # noqa: PTH105 - as who restores does it

    place.end(record)

    assert path.read_bytes() == CONTENT


def test_a_file_that_was_removed_meanwhile_needs_nothing(place):
    path = write(place)
    record = place.inject("disk.rot", "data.bin")
    path.unlink()

    place.end(record)


def test_a_disk_that_others_use_is_not_written_to(stage, monkeypatch):
    path = stage.host.root / "data.bin"
    path.write_bytes(CONTENT)
    monkeypatch.setattr("resile.chaos.faults.rot.is_tmpfs", lambda _: False)
    monkeypatch.setattr("resile.chaos.faults.rot.loop_device", lambda _: "")

    with pytest.raises(RejectedError, match="cannot rot"):
        stage.inject("disk.rot", "data.bin")
    assert path.read_bytes() == CONTENT


def test_what_was_cut_before_it_was_done_is_gone(place):
    path = write(place)
    record = place.inject("disk.rot", "data.bin")
    Rot().undo(record, place.host)
    Rot().undo(record, place.host)

    place.end(record)
    assert path.read_bytes() == CONTENT
