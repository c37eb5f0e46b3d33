"""What an upload to a bucket does when the service or the disk for its waiting part fails."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
from tests.support import buckets

from resile.clients.s3 import Bucket, Patience
from resile.errors import StoreError
from resile.store.backends import put
from resile.store.backends.s3 import S3Backend

if reason := buckets.why_not():
    pytest.skip(reason, allow_module_level=True)

PACK = "packs/" + "3f" * 32
QUICK = Patience(connect_timeout_s=0.5, request_timeout_s=0.5, retries_max=1, pause_s_max=0.01)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> S3Backend:
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return S3Backend(Bucket("some-bucket", endpoint="http://127.0.0.1:1", patience=QUICK))


def test_every_use_of_a_place_out_of_reach_is_a_stores_error(unreachable: S3Backend) -> None:
    for use in (
        lambda: put(unreachable, PACK, b"x"),
        lambda: unreachable.read(PACK),
        lambda: list(unreachable.list("packs")),
        lambda: unreachable.remove(PACK),
        lambda: unreachable.move(PACK, "quarantine/a"),
    ):
        with pytest.raises(StoreError, match=r"^s3://some-bucket\?endpoint=.*no answer") as caught:
            use()
        assert caught.value.is_transient
        assert caught.value.hint


@pytest.mark.parametrize("size_bytes", [10, 9 << 20], ids=["memory", "disk"])
def test_an_upload_that_failed_stays_failed(unreachable: S3Backend, size_bytes: int) -> None:
    upload = unreachable.begin()
    upload.write(bytes(size_bytes))

    with pytest.raises(StoreError) as first:
        upload.publish(PACK)
    with pytest.raises(StoreError) as second:
        upload.publish(PACK)
    with pytest.raises(StoreError):
        upload.write(b"more")
    upload.abandon()

    assert second.value is first.value


def test_a_waiting_part_that_finds_no_room_is_told(
    unreachable: S3Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    upload = unreachable.begin()
    upload.write(b"x" * (8 << 20))

    with pytest.raises(StoreError, match="could not be kept") as caught:
        upload.write(b"y")
    with pytest.raises(StoreError):
        upload.publish(PACK)

    assert os.strerror(errno.ENOENT) in caught.value.message
    assert "TMPDIR" in caught.value.hint


def test_a_waiting_part_that_was_cut_is_not_put(unreachable: S3Backend) -> None:
    upload = unreachable.begin()
    upload.write(b"x" * (9 << 20))
    upload._file.flush()
    os.ftruncate(upload._file.fileno(), 1 << 20)

    with pytest.raises(StoreError, match="lost what was written"):
        upload.publish(PACK)
