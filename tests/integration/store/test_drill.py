"""A drill restores for real, sees what came back otherwise, and leaves nothing behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.seeds import noise

from resile.errors import OperationError
from resile.store import Repository, create, drill, drilling, restore_to, take_snapshot
from resile.store.backends.memory import MemoryBackend


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "big").write_bytes(noise(3 << 20))
    (folder / "small").write_text("small")
    (folder / "link").symlink_to("small")
    os.mkfifo(folder / "pipe")
    with (folder / "holes").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 20)
        file.write(b"end")
    (folder / "closed").mkdir()
    (folder / "closed" / "x").write_text("x")
    (folder / "closed").chmod(0o500)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Repository]:
    store = create(MemoryBackend(), cache=tmp_path / "cache")
    yield store
    store.close()


def test_everything_comes_back_and_nothing_stays(
    store: Repository, source: Path, tmp_path: Path
) -> None:
    snapshot = take_snapshot(store, source).snapshot
    room = tmp_path / "room"
    room.mkdir()

    done = drill(store, snapshot, room)

    assert done.is_good, done.differences
    assert done.files == 6
    assert list(room.iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda top: (top / "small").write_text("other"), "has another time"),
        (lambda top: _rewrite(top / "small", b"SMALL"), "has other content"),
        (lambda top: _rewrite(top / "below/big", b"x"), "has other content"),
        (lambda top: _rewrite(top / "holes", b"x", at=1 << 20), "has other content"),
        (lambda top: (top / "small").chmod(0o600), "has another mode"),
        (lambda top: os.truncate(top / "small", 2), "has another"),
        (lambda top: (top / "link").unlink(), "No such file"),
        (lambda top: _relink(top / "link", "elsewhere"), "points elsewhere"),
        (lambda top: _relink(top / "pipe", "elsewhere"), "is of another type"),
    ],
)
def test_each_difference_is_seen(
    store: Repository,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: object,
    what: str,
) -> None:
    snapshot = take_snapshot(store, source).snapshot

    def restore_badly(target: Path, *args: object, **more: object) -> object:
        report = restore_to(target, *args, **more)  # type: ignore[arg-type]
        harm(target)  # type: ignore[operator]
        return report

    monkeypatch.setattr(drilling, "restore_to", restore_badly)

    done = drill(store, snapshot, tmp_path)

    assert not done.is_good
    assert len(done.differences) == 1
    assert what in done.differences[0][1]


def test_a_missing_room_is_told(store: Repository, source: Path, tmp_path: Path) -> None:
    snapshot = take_snapshot(store, source).snapshot

    with pytest.raises(OperationError, match="cannot be used for a drill"):
        drill(store, snapshot, tmp_path / "missing")


def _rewrite(path: Path, data: bytes, *, at: int = 0) -> None:
    """Change content so that no time shows it."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)
