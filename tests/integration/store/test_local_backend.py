"""What a store in a folder does with links, other processes, strangers' files and lost disks."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resile.errors import StoreDamagedError, StoreError
from resile.store.backends import put
from resile.store.backends.disk import SystemDisk
from resile.store.backends.local import LocalBackend
from resile.testing import FakeClock

PACK = "packs/" + "3f" * 32


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "store")


def open_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def child(code: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run code with a `backend`; it must write a line, and then waits until it is killed."""
    text = (
        "import sys\nfrom pathlib import Path\nfrom resile.store.backends.local import LocalBackend\n"
        "backend = LocalBackend(Path(sys.argv[1]))\n"
        f"{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", text, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def test_only_this_user_may_look(backend: LocalBackend, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        put(backend, PACK, b"x")
        put(backend, "format", b"x")
        with backend.hold(is_exclusive=True):
            pass
    finally:
        os.umask(before)

    for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.lstat().st_mode) == wanted, path


def test_a_folder_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    put(LocalBackend(tmp_path), PACK, b"x")

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_link_to_the_store_is_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to("disk")

    put(LocalBackend(tmp_path / "store"), PACK, b"x")

    assert (tmp_path / "disk" / PACK).read_bytes() == b"x"


def test_a_planted_link_is_not_read(backend: LocalBackend, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    put(backend, "packs/a", b"a")
    (tmp_path / "store" / PACK).symlink_to(secret)

    with pytest.raises(StoreDamagedError, match="is a link or no file") as caught:
        backend.read(PACK)

    assert caught.value.name == PACK
    assert PACK in [file.name for file in backend.list("packs")], "so that it is found and moved"
    backend.move(PACK, "quarantine/a")
    backend.remove("quarantine/a")
    assert secret.read_bytes() == b"secret"


@pytest.mark.parametrize("use", ["read", "list", "publish", "remove", "move"])
def test_a_folder_that_is_a_link_is_not_entered(
    backend: LocalBackend, tmp_path: Path, use: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"theirs")
    put(backend, "format", b"x")
    (tmp_path / "store" / "packs").symlink_to(outside)
    uses = {
        "read": lambda: backend.read("packs/a"),
        "list": lambda: list(backend.list("packs")),
        "publish": lambda: put(backend, "packs/b", b"x"),
        "remove": lambda: backend.remove("packs/a"),
        "move": lambda: backend.move("format", "packs/a"),
    }

    with pytest.raises(StoreDamagedError, match="packs in the store is a link"):
        uses[use]()

    assert [path.name for path in outside.iterdir()] == ["a"]
    assert (outside / "a").read_bytes() == b"theirs"


@pytest.mark.parametrize("name", ["tmp", "lock"])
def test_what_the_store_needs_for_itself_may_be_no_link(
    backend: LocalBackend, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"theirs")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).symlink_to(outside if name == "tmp" else outside / "a")
    uses = [backend.begin, backend.sweep]
    if name == "lock":
        uses = [lambda: backend.hold(is_exclusive=True).__enter__()]

    for use in uses:
        with pytest.raises(StoreError):
            use()

    assert (outside / "a").read_bytes() == b"theirs"
    assert len(list(outside.iterdir())) == 1


def test_publishing_does_not_write_through_a_link(backend: LocalBackend, tmp_path: Path) -> None:
    target = tmp_path / "target"
    put(backend, "packs/a", b"a")
    (tmp_path / "store" / PACK).symlink_to(target)

    assert not put(backend, PACK, b"x")
    assert not target.exists()


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_does_not_stop_a_reader(
    backend: LocalBackend, tmp_path: Path, kind: str
) -> None:
    put(backend, "packs/a", b"a")
    path = tmp_path / "store" / PACK
    os.mkfifo(path) if kind == "fifo" else path.mkdir()

    with pytest.raises(StoreDamagedError, match="no file"):
        backend.read(PACK)


def test_strangers_files_are_not_listed(backend: LocalBackend, tmp_path: Path) -> None:
    put(backend, PACK, b"x")
    for name in ("README", ".nfs0001", "with space", "packs/.hidden", "packs/UPPER", "packs/a~"):
        (tmp_path / "store" / name).write_bytes(b"stranger")
    (tmp_path / "store" / "packs" / "folder").mkdir()
    os.close(os.open(os.fsencode(tmp_path / "store" / "packs") + b"/\xff", os.O_CREAT))

    assert [file.name for file in backend.list("packs")] == [PACK]
    assert list(backend.list("")) == []


def test_a_file_in_place_of_the_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"no folder")
    backend = LocalBackend(tmp_path / "store")

    for use in (backend.begin, backend.sweep, lambda: backend.read("format")):
        with pytest.raises(StoreError, match="Not a directory") as caught:
            use()
        assert "a store is a folder" in caught.value.hint
    assert (tmp_path / "store").read_bytes() == b"no folder"


@pytest.mark.parametrize("is_replaced", [False, True], ids=["gone", "another"])
def test_a_store_that_vanished_is_not_begun_anew(
    backend: LocalBackend, tmp_path: Path, is_replaced: bool
) -> None:
    put(backend, PACK, b"x")
    upload = backend.begin()
    upload.write(b"more")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    if is_replaced:
        (tmp_path / "store").mkdir()

    for use in (
        lambda: upload.publish("packs/b"),
        lambda: put(backend, "packs/c", b"x"),
        lambda: backend.read(PACK),
        lambda: list(backend.list("packs")),
        lambda: backend.remove(PACK),
        lambda: backend.move(PACK, "quarantine/a"),
        backend.sweep,
        lambda: backend.hold(is_exclusive=True).__enter__(),
    ):
        with pytest.raises(StoreError, match=r"is gone|is not the folder") as caught:
            use()
        assert not isinstance(caught.value, StoreDamagedError)
        assert "unmounted" in caught.value.hint
    upload.abandon()
    assert not is_replaced or list((tmp_path / "store").iterdir()) == []
    (tmp_path / "store").rmdir() if is_replaced else None
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    assert backend.read(PACK) == b"x"
    assert backend.sweep() == 1


def test_a_dead_writers_file_is_swept_and_a_living_ones_is_not(
    backend: LocalBackend, tmp_path: Path
) -> None:
    code = "upload = backend.begin(); upload.write(b'x' * (2 << 20))"
    with child(code, tmp_path / "store") as process:
        assert backend.sweep() == 0
        process.kill()
        process.wait()

        assert backend.sweep() == 1
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_what_is_no_file_in_tmp_is_left(backend: LocalBackend, tmp_path: Path) -> None:
    put(backend, PACK, b"x")
    (tmp_path / "store" / "tmp" / "link").symlink_to(tmp_path)
    (tmp_path / "store" / "tmp" / "folder").mkdir()

    assert backend.sweep() == 0
    assert tmp_path.exists()


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_who_holds_the_store_is_named(tmp_path: Path, is_exclusive: bool) -> None:
    backend = LocalBackend(tmp_path, clock=FakeClock())
    code = f"held = backend.hold(is_exclusive={is_exclusive}); held.__enter__()"

    with child(code, tmp_path) as process:
        with (
            pytest.raises(StoreError, match=rf"in use by process {process.pid}$") as caught,
            backend.hold(is_exclusive=True),
        ):
            pass
        assert caught.value.is_transient
        process.send_signal(signal.SIGKILL)
        process.wait()

        with backend.hold(is_exclusive=True):
            pass


class SweptDisk(SystemDisk):
    """Sweeps in the instant between a file's creation and its lock."""

    def __init__(self, folder: Path, times: int) -> None:
        self.backend = LocalBackend(folder)
        self.times = times

    def create(self, name: str, *, folder_fd: int) -> int:
        fd = super().create(name, folder_fd=folder_fd)
        if self.times:
            self.times -= 1
            assert self.backend.sweep() == 1
        return fd


def test_a_sweep_that_meets_a_new_file_costs_another_try(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path, disk=SweptDisk(tmp_path, times=3))

    assert put(backend, PACK, b"whole")
    assert backend.read(PACK) == b"whole"


def test_sweeps_without_end_are_told(tmp_path: Path) -> None:
    count = open_count()

    with pytest.raises(StoreError, match="swept away") as caught:
        LocalBackend(tmp_path, disk=SweptDisk(tmp_path, times=1000)).begin()

    assert caught.value.is_transient
    assert open_count() == count


def test_nothing_stays_open(backend: LocalBackend) -> None:
    put(backend, PACK, b"x")
    count = open_count()

    for number in range(5):
        put(backend, f"packs/{number}", b"x")
        backend.begin().abandon()
        backend.read(PACK)
        list(backend.list("packs"))
        backend.move(f"packs/{number}", "quarantine/a")
        backend.sweep()
        with backend.hold(is_exclusive=False):
            pass
        with pytest.raises(StoreDamagedError):
            backend.read("packs/none")

    assert open_count() == count


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "resile-test", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True, timeout=30).returncode:
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True, timeout=30)


def test_a_full_disk_is_told_and_keeps_what_it_has(small_disk: Path) -> None:
    backend = LocalBackend(small_disk / "store")
    put(backend, PACK, b"x" * (1 << 20))

    with pytest.raises(StoreError, match="No space left") as caught:
        put(backend, "packs/b", b"y" * (4 << 20))

    assert "resile gc" in caught.value.hint
    assert [file.name for file in backend.list("packs")] == [PACK]
    assert list((small_disk / "store" / "tmp").iterdir()) == []
    assert put(backend, "packs/b", b"y" * (1 << 20))


def test_a_read_only_disk_is_read_and_says_so_when_written(small_disk: Path) -> None:
    put(LocalBackend(small_disk), PACK, b"x")
    with LocalBackend(small_disk).hold(is_exclusive=False):
        pass
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True, timeout=30)
    backend = LocalBackend(small_disk)

    assert backend.read(PACK) == b"x"
    assert len(list(backend.list("packs"))) == 1
    with backend.hold(is_exclusive=False):
        assert backend.read(PACK) == b"x"
    for use in (
        backend.begin,
        lambda: backend.remove(PACK),
        lambda: backend.move(PACK, "quarantine/a"),
    ):
        with pytest.raises(StoreError, match="Read-only file system") as caught:
            use()
        assert "mounted read-only" in caught.value.hint


def test_an_unmounted_disk_is_noticed(small_disk: Path) -> None:
    backend = LocalBackend(small_disk)
    put(backend, PACK, b"x")
    subprocess.run(["umount", small_disk], check=True, timeout=30)
    try:
        with pytest.raises(StoreError, match="is not the folder that it was"):
            put(backend, "packs/b", b"x")
        assert list(small_disk.iterdir()) == []
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "resile-test", small_disk], check=True, timeout=30)


def test_a_pack_that_the_disk_cannot_read_is_damage(backend: LocalBackend, tmp_path: Path) -> None:
    """So that a bad sector is mended from a replica as a flipped bit is."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    put(backend, PACK, b"x" * 1000)
    code = (
        "import sys; from pathlib import Path\n"
        "from resile.errors import StoreDamagedError\n"
        "from resile.store.backends.local import LocalBackend\n"
        f"try: LocalBackend(Path(sys.argv[1])).read({PACK!r})\n"
        "except StoreDamagedError as exc: print(exc.name, exc)\n"
    )

    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-P", tmp_path / "store" / PACK),
            *("-e", "trace=pread64", "-e", "inject=pread64:error=EIO"),
            *(sys.executable, "-c", code, tmp_path / "store"),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert done.stdout.startswith(f"{PACK} {PACK} cannot be read from the disk")
