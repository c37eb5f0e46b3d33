"""An outbox on a disk that gets full: refused in plain words, nothing lost, and sent all the same."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from resile.degradation import Message, Outbox
from resile.errors import OutboxError

ROUNDS = 2
"""After the first, what was sent has made room; in the second, puts must work again."""


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Mount a tmpfs of the size that the test is given."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param},mode=700", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, timeout=30).returncode != 0:
        pytest.skip("this container may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=30)


def fill(outbox: Outbox, sizes: list[int]) -> tuple[list[str], OutboxError]:
    """Put until it is refused; tell the ids that were kept, and what was said."""
    kept: list[str] = []
    for number in range(10_000):
        try:
            kept.append(outbox.put("x" * sizes[number % len(sizes)]).id)
        except OutboxError as exc:
            return kept, exc
    pytest.fail("the disk never got full")


def eat_up(path: Path) -> None:
    """Write until the disk takes no more."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize(
    ("small_disk", "sizes"),
    [("256k", [2_000]), ("256k", [1]), ("3m", [200_000, 10, 3_000])],
    indirect=["small_disk"],
    ids=["2kB", "tiny", "mixed"],
)
def test_what_was_kept_is_sent_from_a_full_disk(small_disk: Path, sizes: list[int]) -> None:
    with Outbox(small_disk / "outbox.db") as outbox:
        for _ in range(ROUNDS):
            kept, error = fill(outbox, sizes)
            sent: list[str] = []

            def send(message: Message, sent: list[str] = sent) -> None:
                sent.append(message.id)

            assert len(kept) > 10
            assert "No space left on device" in str(error)
            assert "send what waits" in error.hint
            assert error.is_transient
            assert outbox.counts().waiting == len(kept)

            assert outbox.drain(send).waiting == 0
            assert sent == kept


@pytest.mark.parametrize("small_disk", ["1m"], indirect=True)
def test_a_disk_that_others_filled_loses_nothing(small_disk: Path) -> None:
    other = small_disk / "other"
    with Outbox(small_disk / "outbox.db") as outbox:
        kept = [outbox.put(number).id for number in range(5)]
        eat_up(other)

        with pytest.raises(OutboxError, match="No space left"):
            outbox.put("one more")
        assert outbox.counts().waiting == len(kept)

        other.unlink()
        sent: list[str] = []
        outbox.put("again", id="again")
        outbox.drain(lambda message: sent.append(message.id))

        assert sent == [*kept, "again"]


@pytest.mark.parametrize(
    ("blocks", "is_refused"), [(1_000, True), (0, False)], ids=["full", "does not tell"]
)
def test_without_room_a_put_is_refused_and_the_rest_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, is_refused: bool
) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.put(1, id="one")
        full = os.statvfs_result((4096, 4096, blocks, 0, 0, 0, 0, 0, 0, 255))
        monkeypatch.setattr(os, "statvfs", lambda _: full)

        if is_refused:
            with pytest.raises(OutboxError, match="No space left on device"):
                outbox.put(2)
        else:
            outbox.put(2)

        assert not outbox.put(1, id="one").is_new
        assert outbox.drain(lambda message: None).waiting == 0


def test_a_write_that_fails_is_made_once_more_after_folding_back(tmp_path: Path) -> None:
    """Of a limit for files nobody tells beforehand; SQLite calls it an I/O error."""
    with Outbox(tmp_path / "outbox.db") as outbox:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, before[1]))
        try:
            for number in range(60):  # Some 1.5 MB in the write-ahead file, if it were not emptied.
                outbox.put("x" * 2000, id=str(number))
            sent = outbox.drain(lambda message: None).sent
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert sent == 60
