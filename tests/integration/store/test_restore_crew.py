"""Files that worker processes restore: all that they carry, no link followed, nothing left in part."""

import contextlib
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.comparing import compare
from tests.support.storing import flip, made

from resile.errors import OperationError
from resile.store import Entry, Repository, restore_to, take_snapshot
from resile.store.backends.local import LocalBackend
from resile.store.restore import building, crew, restore_in_place
from resile.store.workers import Workers

FILES = 60
SEED = random.Random(7)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for number in range(FILES):
        below = folder / f"{number % 7}" / "deep" / f"{number % 2}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{number}").write_bytes(SEED.randbytes(number * 500))
    os.link(folder / "1/deep/1/1", folder / "2" / "other name")
    os.link(folder / "1/deep/1/1", folder / "0" / "third name")
    (folder / "big").write_bytes(SEED.randbytes(5 << 20))
    with (folder / "holes").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 20)
        file.write(b"end")
    (folder / "3/deep/1/3").chmod(0o4751)
    os.setxattr(folder / "4/deep/0/4", "user.mark", b"\0x")
    os.utime(folder / "5/deep/1/5", ns=(1, 1_234_567_890_123_456_789))
    (folder / "6/deep/0/6").rename(folder / "6/deep/0" / os.fsdecode(b"no utf-8 \xff"))
    (folder / "6/deep").chmod(0o500)
    return folder


@pytest.fixture
def store(source: Path, tmp_path: Path) -> Iterator[Repository]:
    with made(LocalBackend(tmp_path / "store"), tmp_path / "cache") as store:
        yield store


@pytest.fixture
def root(store: Repository, source: Path) -> Entry:
    return take_snapshot(store, source).snapshot.root


@pytest.fixture
def crews(monkeypatch: pytest.MonkeyPatch) -> list[Workers]:
    """Have every file restored by workers, a few by each task; gives those that there were."""
    used: list[Workers] = []

    class Noted(Workers):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            used.append(self)

    monkeypatch.setattr(building, "SHARED_FILES_MIN", 1)
    monkeypatch.setattr(crew, "_TASK_FILES", 5)
    monkeypatch.setattr(crew, "CHUNKS_MAX", 2)
    monkeypatch.setattr(crew, "Workers", Noted)
    return used


def test_all_comes_back_as_it_was(
    store: Repository,
    root: Entry,
    source: Path,
    tmp_path: Path,
    crews: list[Workers],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = restore_to(tmp_path / "back", root, store)

    assert compare(source, tmp_path / "back", with_holes=True) == []
    assert crews
    monkeypatch.undo()
    assert report == restore_to(tmp_path / "alone", root, store)


def test_a_restore_in_place_has_it_too(
    store: Repository, root: Entry, source: Path, tmp_path: Path, crews: list[Workers]
) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "new").touch()

    with restore_in_place(tmp_path / "live", root, store):
        pass

    assert compare(source, tmp_path / "live") == []
    assert crews


def test_what_is_damaged_is_lost_and_told_as_without_workers(
    store: Repository,
    root: Entry,
    tmp_path: Path,
    crews: list[Workers],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for pack in (tmp_path / "store" / "packs").iterdir():
        if pack.stat().st_size > 1 << 20:
            flip(pack, pack.stat().st_size * 2)
            flip(pack, 1000)

    report = restore_to(tmp_path / "back", root, store)

    assert report.lost
    monkeypatch.undo()
    alone = restore_to(tmp_path / "alone", root, store)
    assert report.lost_count == alone.lost_count
    assert set(report.lost) == set(alone.lost)


def test_a_folder_that_became_a_link_is_not_followed(
    store: Repository,
    root: Entry,
    tmp_path: Path,
    crews: list[Workers],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outside = tmp_path / "outside"
    (outside / "1").mkdir(parents=True)
    share_out = crew.tasks_of

    def exchanged(jobs: Any) -> Any:
        if not (tmp_path / "taken away").exists():
            (tmp_path / "back/1/deep").rename(tmp_path / "taken away")
            (tmp_path / "back/1/deep").symlink_to(outside)
            (tmp_path / "back/2/deep").rename(tmp_path / "taken, too")
            (tmp_path / "back/2/deep/1").mkdir(parents=True)
        return share_out(jobs)

    monkeypatch.setattr(building, "SHARED_FILES_MIN", FILES - 5)
    monkeypatch.setattr(crew, "tasks_of", exchanged)

    report = restore_to(tmp_path / "back", root, store)

    assert list((outside / "1").iterdir()) == []
    assert list((tmp_path / "back/2/deep/1").iterdir()) == []
    assert {problem.path for problem in report.lost} >= {"1/deep/1/15", "2/deep/1/9"}


def test_somebody_who_exchanges_folders_all_the_time_leads_no_worker_out(
    store: Repository, root: Entry, tmp_path: Path, crews: list[Workers]
) -> None:
    outside = tmp_path / "outside"
    for n in range(2):
        (outside / f"{n}").mkdir(parents=True)
    is_over = threading.Event()

    def exchange() -> None:
        while not is_over.is_set():
            for number in range(7):
                place, away = tmp_path / f"back/{number}/deep", tmp_path / f"away-{number}"
                with contextlib.suppress(OSError):
                    place.rename(away)
                    place.symlink_to(outside)
                with contextlib.suppress(OSError):
                    place.unlink()
                    away.rename(place)

    attacker = threading.Thread(target=exchange)
    attacker.start()
    try:
        reports = [restore_to(tmp_path / "back", root, store)]
        for _ in range(2):
            (tmp_path / "back").rename(tmp_path / f"done-{len(reports)}")
            reports.append(restore_to(tmp_path / "back", root, store))
    finally:
        is_over.set()
        attacker.join()

    assert any(report.lost for report in reports), "the attacker was never in time"
    assert [list(folder.iterdir()) for folder in outside.iterdir()] == [[], []]
    assert {path.name for path in outside.iterdir()} == {"0", "1"}


def test_a_worker_that_is_killed_ends_it_with_an_error(
    store: Repository, root: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crews: Any
) -> None:
    class Doomed(Workers):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            os.kill(self._all[0].pid, signal.SIGKILL)

    monkeypatch.setattr(crew, "Workers", Doomed)

    with pytest.raises(OperationError, match="ended by signal 9"):
        restore_to(tmp_path / "back", root, store)


def test_ctrl_c_leaves_no_worker_and_no_file_in_part(
    store: Repository, root: Entry, source: Path, tmp_path: Path, crews: list[Workers]
) -> None:
    def interrupt(files: int, size: int) -> None:
        if files:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_to(tmp_path / "back", root, store, on_progress=interrupt)

    assert all(not Path(f"/proc/{worker.pid}").exists() for worker in crews[0]._all)
    _check_whole(tmp_path / "back", source)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_disk_that_fills_up_ends_it_with_no_file_in_part(
    store: Repository, root: Entry, source: Path, tmp_path: Path, crews: list[Workers]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with _mounted(disk, "size=600k"):
        with pytest.raises(OperationError, match="No space left on device") as caught:
            restore_to(disk / "back", root, store)

        assert "make room" in caught.value.hint
        _check_whole(disk / "back", source)


def _check_whole(back: Path, source: Path) -> None:
    """Check that every file that is there is as long as it was."""
    for path in back.rglob("*"):
        if path.is_file():
            assert path.stat().st_size == (source / path.relative_to(back)).stat().st_size


@contextlib.contextmanager
def _mounted(point: Path, options: str) -> Iterator[None]:
    command = ["mount", "-t", "tmpfs", "-o", options, "resile-test", str(point)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(point)], check=True)
