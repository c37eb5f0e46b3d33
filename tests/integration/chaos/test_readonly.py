"""A folder that nobody can write for a while."""

import errno
import os
import subprocess
from dataclasses import replace

import pytest
from tests.integration.chaos.conftest import Stage

from resile.core.mounts import read_mounts
from resile.errors import ConfigError, RejectedError


@pytest.fixture
def data(stage, tmp_path):
    """A folder with a file in it, where mounts are allowed."""
    if why := stage.host.faults["disk.readonly"].obstacle(stage.host):
        pytest.skip(why)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "notes.txt").write_text("before")
    yield folder
    assert [mount for mount in read_mounts() if mount.point == folder] == []


def refusal(path):
    try:
        path.write_text("x")
    except OSError as exc:
        return exc.errno
    return 0


def test_a_folder_is_read_only_for_a_while(stage, data):
    record = stage.inject("disk.readonly", "data")

    stage.active(record)
    assert refusal(data / "new.txt") == refusal(data / "notes.txt") == errno.EROFS
    assert (data / "notes.txt").read_text() == "before"
    stage.end(record)
    (data / "notes.txt").write_text("after")


def test_what_was_opened_before_stays_writable(stage, data):
    with (data / "notes.txt").open("a") as file:
        record = stage.inject("disk.readonly", "data")
        stage.active(record)
        file.write("!")
    stage.end(record)

    assert (data / "notes.txt").read_text() == "before!"


def test_it_is_taken_back_though_somebody_has_a_file_open_in_it(stage, data):
    record = stage.inject("disk.readonly", "data")
    with (data / "notes.txt").open():
        stage.end(record)
        (data / "new.txt").write_text("x")


def test_applying_and_undoing_twice_is_as_once(stage, data):
    record = stage.inject("disk.readonly", "data")
    fault = stage.host.faults["disk.readonly"]

    fault.apply(record, stage.host)
    assert len([mount for mount in read_mounts() if mount.point == data]) == 1
    fault.undo(record, stage.host)
    fault.undo(record, stage.host)
    stage.end(record)


def test_a_mount_that_was_there_before_stays(stage, data):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", data], check=True)
    try:
        record = stage.inject("disk.readonly", "data")
        stage.active(record)
        stage.end(record)
        stage.host.faults["disk.readonly"].undo(record, stage.host)
        (data / "new.txt").write_text("x")
        assert os.path.ismount(data)
    finally:
        subprocess.run(["umount", "--lazy", data], check=True)


def test_it_is_proven_where_a_service_sees_it(stage, data, child):
    record = stage.inject("disk.readonly", "data", seen_by=f"pid/{child.pid}")

    stage.active(record)
    stage.end(record)


def test_what_another_boot_left_needs_nothing(stage, data):
    record = stage.inject("disk.readonly", "data")
    other = replace(record, boot_id="another")
    fault = stage.host.faults["disk.readonly"]

    assert fault.verify_gone(other, stage.host).holds
    stage.end(record)


@pytest.mark.parametrize("target", ["none", "data/notes.txt"])
def test_only_a_folder_is_made_read_only(stage, data, target):
    with pytest.raises(ConfigError):
        stage.inject("disk.readonly", target)


def test_the_undo_records_must_stay_writable(stage, data):
    with pytest.raises(RejectedError, match="what ends the fault"):
        stage.inject("disk.readonly", ".")


def test_a_folder_that_is_read_only_already_is_left_alone(stage, data):
    outside = Stage(replace(stage.host, is_outside_allowed=True))
    record = stage.inject("disk.readonly", "data")

    with pytest.raises(RejectedError, match="already"):
        outside.inject("disk.readonly", str(data))
    stage.end(record)
