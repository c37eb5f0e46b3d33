"""Watching a folder with the real kernel: what is told after each sort of change."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from resile.core.kernel import exchange
from resile.store import watching
from resile.store.walk import Rules
from resile.store.watching import Watch


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for path in ("a/b", "c"):
        (folder / path).mkdir(parents=True)
        (folder / path / "file").write_text("old")
    return folder


@pytest.fixture
def watch(source: Path) -> Iterator[Watch]:
    made = Watch(source)
    yield made
    made.close()


def test_first_look_knows_nothing(watch: Watch) -> None:
    assert watch.take() is None
    assert watch.folders == 4


def test_nothing_happened(watch: Watch) -> None:
    watch.take()

    assert watch.take() == frozenset()


CHANGES: dict[str, tuple[Callable[[Path], object], set[bytes]]] = {
    "write": (lambda s: (s / "a/b/file").write_text("new"), {b"a/b"}),
    "new file in the source": (lambda s: (s / "new").touch(), {b""}),
    "mode": (lambda s: (s / "c/file").chmod(0o600), {b"c"}),
    "mode of a folder": (lambda s: (s / "a/b").chmod(0o700), {b"a", b"a/b"}),
    "times": (lambda s: os.utime(s / "c/file", (1, 1)), {b"c"}),
    "xattr": (lambda s: os.setxattr(s / "c/file", "user.x", b"1"), {b"c"}),
    "removed": (lambda s: (s / "c/file").unlink(), {b"c"}),
    "link": (lambda s: (s / "c/link").hardlink_to(s / "a/b/file"), {b"c"}),
    "moved file": (lambda s: (s / "c/file").rename(s / "a/file"), {b"c", b"a"}),
    "new folders": (lambda s: (s / "c/d/e").mkdir(parents=True), {b"c", b"c/d", b"c/d/e"}),
    "moved folder": (lambda s: (s / "a/b").rename(s / "c/b"), {b"a", b"c", b"c/b"}),
    "renamed parent": (lambda s: (s / "a").rename(s / "z"), {b"", b"z", b"z/b"}),
    "removed tree": (lambda s: shutil.rmtree(s / "a"), {b"", b"a", b"a/b"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_told_once(watch: Watch, source: Path, name: str) -> None:
    change, expected = CHANGES[name]
    watch.take()

    change(source)

    told = watch.take()
    assert told is not None
    assert told >= expected
    assert watch.take() == frozenset()


def test_content_is_told_wherever_its_folder_went(watch: Watch, source: Path) -> None:
    watch.take()
    (source / "new").mkdir()
    (source / "a").rename(source / "new/a")
    watch.take()

    (source / "new/a/b/file").write_text("new")

    assert watch.take() == {b"new/a/b"}


def test_folder_moved_into_one_that_is_not_watched_yet_is_not_taken_for_two(
    watch: Watch, source: Path
) -> None:
    """The scan of the new folder finds it before the event of its move is read."""
    watch.take()
    (source / "p").mkdir()
    (source / "a").rename(source / "p/a")
    (source / "p").rename(source / "q")

    told = watch.take()
    (source / "q/a/b/file").write_text("new")

    assert told is not None
    assert {b"q", b"q/a", b"q/a/b"} <= told
    assert watch.take() == {b"q/a/b"}
    assert watch.trouble == ""


def test_same_names_swapped_between_two_looks(watch: Watch, source: Path) -> None:
    watch.take()
    (source / "a").rename(source / "t")
    (source / "c").rename(source / "a")
    (source / "t").rename(source / "c")
    watch.take()

    (source / "c/b/file").write_text("new")

    assert watch.take() == {b"c/b"}


@pytest.mark.parametrize("path", ["a/file", "c/b/file"])
def test_content_is_told_in_both_folders_that_were_exchanged(
    watch: Watch, source: Path, path: str
) -> None:
    """As a transaction does; the kernel tells that each was moved, one after the other."""
    watch.take()
    exchange(-1, str(source / "a"), -1, str(source / "c"))

    told = watch.take()
    (source / path).write_text("new")

    assert told is not None
    assert {b"a", b"c", b"c/b"} <= told
    assert watch.take() == {os.fsencode(os.path.dirname(path))}  # noqa: PTH120


@pytest.mark.parametrize("path", ["d/x/file", "d/y/file"])
def test_names_swapped_while_their_folder_is_looked_at(source: Path, path: str) -> None:
    def swap() -> None:
        (source / "d/x").rename(source / "d/t")
        (source / "d/y").rename(source / "d/x")
        (source / "d/t").rename(source / "d/y")

    watch = Watch(source, rules=_Meddling(name="d", doings=[lambda: None, swap]))
    watch.take()
    (source / "d").mkdir()
    (source / "d").rmdir()
    (source / "d/x").mkdir(parents=True)
    (source / "d/y").mkdir()

    told = watch.take()
    watch.take()
    (source / path).write_text("new")

    assert told is not None
    assert {b"d", b"d/x", b"d/y"} <= told
    assert watch.take() == {os.fsencode(os.path.dirname(path))}  # noqa: PTH120
    watch.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meddling(Rules):
    """Leaves nothing out, and does something each time when it is asked about a name."""

    name: str
    doings: list[Callable[[], None]]

    def leave_out(self, folder: str, name: str, status: os.stat_result) -> bool:
        if name == self.name and self.doings:
            self.doings.pop(0)()
        return super(_Meddling, self).leave_out(folder, name, status)


def test_content_is_told_of_a_file_that_is_open_by_a_name_that_went(
    watch: Watch, source: Path
) -> None:
    """As whoever publishes a file by a link does."""
    with (source / "c/draft").open("w") as file:
        (source / "c/final").hardlink_to(source / "c/draft")
        (source / "c/draft").unlink()
        watch.take()
        watch.take()

        file.write("new")
        file.flush()

        assert watch.take() == {b"c"}


def test_what_is_mounted_in_it_is_looked_at_and_watched(watch: Watch, source: Path) -> None:
    watch.take()
    mount = ["mount", "-t", "tmpfs", "resile-test", str(source / "a/b")]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, timeout=30).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        assert watch.take() is None

        (source / "a/b/file").write_text("new")

        assert watch.take() == {b"a/b"}
    finally:
        subprocess.run(["umount", "-l", source / "a/b"], check=True, timeout=30)
    assert watch.take() is None


def test_what_is_left_out_is_not_watched(source: Path) -> None:
    watch = Watch(source, rules=Rules(excludes=("b", "c")))
    watch.take()

    (source / "c/file").write_text("new")
    (source / "a/b/file").write_text("new")

    assert watch.take() == frozenset()
    assert watch.folders == 2
    watch.close()


def test_source_that_is_another_folder_now_is_looked_at_whole(watch: Watch, source: Path) -> None:
    watch.take()
    source.parent.rename(source.parent.with_name("elsewhere"))
    source.mkdir(parents=True)

    assert watch.take() is None
    (source / "x").touch()
    assert watch.take() == {b""}


def test_source_that_is_gone_is_told_and_watched_again_when_it_is_back(
    watch: Watch, source: Path
) -> None:
    watch.take()
    shutil.rmtree(source)

    assert watch.take() is None
    assert watch.trouble
    source.mkdir()
    assert watch.take() is None
    assert watch.take() == frozenset()
    assert watch.trouble == ""


def test_queue_that_ran_over_means_a_whole_look(watch: Watch, source: Path) -> None:
    watch.take()
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2 + 1):  # Each is two events that do not merge.
        os.utime(source / "c/file")
        os.utime(source / "a/b/file")

    assert watch.take() is None
    assert watch.take() == frozenset()


def test_more_changed_folders_than_are_remembered_mean_a_whole_look(source: Path) -> None:
    watch = Watch(source, changed_max=2)
    watch.take()

    for name in "xyz":
        (source / name).mkdir()

    assert watch.take() is None
    assert watch.take() == frozenset()
    watch.close()


def test_what_nobody_could_look_at_is_told_again(watch: Watch, source: Path) -> None:
    watch.take()
    (source / "c/file").write_text("new")
    taken = watch.take()

    watch.put_back(taken)

    assert watch.take() == {b"c"}
    watch.put_back(None)
    assert watch.take() is None


def test_limit_of_the_kernel_is_told_with_what_raises_it(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Libc:
        """The limit is of the whole machine: it is not lowered for a test."""

        def __getattr__(self, name: str) -> object:
            if name == "inotify_add_watch":
                return self._refuse
            return getattr(real, name)

        @staticmethod
        def _refuse(*_args: object) -> int:
            watching.ctypes.set_errno(28)
            return -1

    real = watching._LIBC
    monkeypatch.setattr(watching, "_LIBC", Libc())

    assert watch.take() is None
    assert watch.take() is None
    assert "sysctl fs.inotify.max_user_watches=" in watch.trouble
    assert watch.folders == 0


def test_no_descriptor_is_left(source: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    watch = Watch(source)
    watch.take()
    watch.put_back(None)
    watch.take()

    watch.close()
    watch.close()

    assert len(list(Path("/proc/self/fd").iterdir())) <= before
