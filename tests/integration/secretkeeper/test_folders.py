"""Where services find their files: in a mount of their own, as root and as anybody else, or in a shared folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.core.process import identity_of
from resile.daemon.handing import folder as handing
from resile.daemon.handing.errors import HandingError
from resile.daemon.handing.folder import _shared_folder
from resile.daemon.secretkeeper.consumers import Holder
from resile.daemon.secretkeeper.folders import LEFT_S, Folders, write_anew
from resile.daemon.secretkeeper.model import Deliver
from resile.errors import OperationError
from resile.testing.clock import FakeClock

NOBODY = 65534
PYTHON = "/usr/bin/python3"
SOURCE = Path(__file__).parents[3] / "src"
SCRIPT = """
import ctypes, os, subprocess, sys, time
from pathlib import Path
from resile.core.process import identity_of
from resile.daemon.secretkeeper.consumers import Holder
from resile.daemon.secretkeeper.folders import write_anew
from resile.daemon.secretkeeper.model import Deliver
mount = sys.argv[1]
child = subprocess.Popen(
    [sys.argv[2], "-c", '''
import ctypes, sys, time
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
from resile.daemon.handing.folder import lay_files
print(lay_files({"db/password": b"first"}, sys.argv[1], []), flush=True)
death = ctypes.c_int(0)
ctypes.CDLL(None).prctl(2, ctypes.byref(death), 0, 0, 0)
print(death.value, flush=True)
sys.stdin.readline()
print(open(sys.argv[1] + "/db/password").read(), flush=True)
''', mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
assert child.stdout.readline().strip() == mount
assert child.stdout.readline().strip() == "9"
assert not os.listdir(mount)
holder = Holder(process=identity_of(child.pid), client="service/web", label="web", how=Deliver.FILE, folder=mount)
write_anew(holder, "db/password", b"second")
assert child.communicate("go")[0].strip() == "second"
assert not os.listdir(mount)
print("done")
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that nobody may use."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "mount").mkdir(mode=0o700)
        yield path


def as_nobody(*argv: str) -> "subprocess.CompletedProcess[str]":
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]
    env = {"PATH": os.defpath, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(become, capture_output=True, text=True, check=False, env=env)


def may_mount_as_nobody() -> bool:
    """Nobody may make user namespaces, and has a Python that can load this project."""
    if shutil.which("setpriv") is None or as_nobody("unshare", "-Ur", "--mount", "true").returncode:
        return False
    return (
        as_nobody(PYTHON, "-c", "import enum; enum.StrEnum; import resile.core.unix").returncode
        == 0
    )


def test_somebody_who_is_not_root_has_a_mount_of_its_own_too(place: Path) -> None:
    """And the keeper of the same user writes into it from outside."""
    if os.geteuid() != 0 or not may_mount_as_nobody():
        pytest.skip("needs root to become nobody, and user namespaces for that")
    os.chown(place / "mount", NOBODY, NOBODY)

    done = as_nobody(PYTHON, "-c", SCRIPT, str(place / "mount"), PYTHON)

    assert done.stdout.strip() == "done", done.stderr


def test_root_has_a_mount_of_its_own(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(place / "mount"), sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "done", done.stderr


def test_shared_folder_is_private_and_empty_and_never_somebody_elses(place: Path) -> None:
    folder = place / "shared"
    folder.mkdir(mode=0o755)
    (folder / "old").mkdir()
    (folder / "old" / "secret").write_text("left")

    assert _shared_folder([str(place / "none" / "x"), str(folder)]) == str(folder)
    assert (list(folder.iterdir()), folder.stat().st_mode & 0o777) == ([], 0o700)

    shutil.rmtree(folder)
    folder.symlink_to(place)
    with pytest.raises(HandingError):
        _shared_folder([str(folder)])
    with pytest.raises(HandingError):
        _shared_folder([str(place / "none" / "x")])


def holder_of(pid: int, folder: Path) -> Holder:
    identity = identity_of(pid)
    assert identity is not None
    return Holder(
        process=identity,
        client="service/web",
        label=f"web (pid {pid})",
        how=Deliver.FILE,
        service="web",
        folder=str(folder),
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    folder = Path(f"/dev/shm/resile-test-{os.getpid()}")
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


def test_file_is_written_anew_as_a_whole(shared: Path) -> None:
    (shared / "db").mkdir()
    (shared / "db" / "password").write_text("first")

    write_anew(holder_of(os.getpid(), shared), "db/password", b"second")

    path = shared / "db" / "password"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"second", 0o400)
    assert list((shared / "db").iterdir()) == [path]


def test_no_link_is_followed_and_nothing_written_outside_of_memory(
    shared: Path, tmp_path: Path
) -> None:
    holder = holder_of(os.getpid(), shared)
    (shared / "db").symlink_to(tmp_path)
    with pytest.raises(OperationError):
        write_anew(holder, "db/password", b"second")
    (shared / "db").unlink()

    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(shared)
    for folder in (tmp_path / "real", tmp_path / "link", tmp_path / "none"):
        with pytest.raises(OperationError):
            write_anew(holder_of(os.getpid(), folder), "password", b"second")
    assert list((tmp_path / "real").iterdir()) == list(shared.iterdir()) == []

    shared.chmod(0o755)
    with pytest.raises(OperationError):
        write_anew(holder, "password", b"second")
    shared.chmod(0o700)


@pytest.fixture
def small(place: Path) -> Iterator[Path]:
    """A file system in memory of 64 KiB."""
    folder = place / "mount"
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(folder)], check=False
        ).returncode
    ):
        pytest.skip("needs to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_value_that_does_not_fit_is_an_error_and_never_cut(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "_mount_private", lambda _: "not here")
    (small / "key").write_bytes(b"first")
    value = bytes(60 * 1024)

    with pytest.raises(OperationError, match="No space"):
        write_anew(holder_of(os.getpid(), small), "key", value + value)
    with pytest.raises(OSError, match="No space"):
        handing.lay_files({"other": value + value}, "", [str(small / "folder")])

    assert (small / "key").read_bytes() == b"first"
    assert [path.name for path in small.iterdir() if path.suffix == ".tmp"] == []


def test_process_that_has_ended_gets_nothing(shared: Path) -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    holder = holder_of(child.pid, shared)
    child.communicate(b"\n")

    with pytest.raises(OperationError):
        write_anew(holder, "password", b"second")


def test_what_a_service_left_that_has_ended_is_removed(tmp_path: Path) -> None:
    folders = Folders(tmp_path, unit="0123456789ab", environ={"XDG_RUNTIME_DIR": str(tmp_path)})
    used, left = (Path(folders.shared(name)[0]) for name in ("used", "left"))
    other = tmp_path / "resile-ffffffffffff-left"
    for path in (used, left, other):
        path.mkdir()
        (path / "secret").write_text("x")
    clock = FakeClock(SYSTEM_CLOCK.now())

    folders.remove_left(frozenset({str(used)}), clock=clock)
    assert left.exists()
    clock.advance(LEFT_S + 1)
    folders.remove_left(frozenset({str(used)}), clock=clock)

    assert (used.exists(), left.exists(), other.exists()) == (True, False, True)
