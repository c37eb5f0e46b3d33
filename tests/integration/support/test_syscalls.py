"""Real commands, traced and killed: a protocol that is wrong shows, the right one does not."""

import sys
from pathlib import Path

import pytest
from tests.support.crashes import crash_states, read_tree
from tests.support.disks import Link, Make, MakeFolder, Note, Remove, Rename, Resize, Sync, Write
from tests.support.effects import trace_effects
from tests.support.syscalls import has_strace, kill_at_each_syscall, trace

pytestmark = pytest.mark.skipif(not has_strace(), reason="needs strace (apt-get install strace)")

RIGHT = """
import os
fd = os.open("tmp", os.O_CREAT | os.O_WRONLY)
os.write(fd, b"n")
os.write(fd, b"ew")
os.fsync(fd)
os.rename("tmp", "file")
os.fsync(os.open(".", os.O_RDONLY))
os.write(1, b"done")
"""
IN_PLACE = """
import os
fd = os.open("file", os.O_WRONLY)
os.write(fd, b"n")
os.write(fd, b"ew")
os.write(1, b"done")
"""
ALL = """
import os, threading
d = os.open("d", os.O_RDONLY) if os.mkdir("d") else os.open("d", os.O_RDONLY)
fd = os.open("d", os.O_TMPFILE | os.O_WRONLY)
os.writev(fd, [b"a", b"b"])
os.fdatasync(fd)
os.link(f"/proc/self/fd/{fd}", "pack", dst_dir_fd=d, follow_symlinks=True)
os.fsync(d)
log = os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
os.posix_fallocate(log, 0, 8)
os.write(log, b"1")
os.pwrite(os.open("log", os.O_RDWR), b"2", 3)
os.ftruncate(log, 4)
os.lseek(fd, 1, os.SEEK_SET)
os.write(fd, b"B")
os.rename("pack", "pack2", src_dir_fd=d, dst_dir_fd=d)
thread = threading.Thread(target=os.unlink, args=("log",))
thread.start()
thread.join()
os.write(log, b"nobody sees this")
os.unlink("d/pack2")
os.rmdir("d")
os.sync()
os.write(1, b"done")
"""


def command(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def kill(folder: Path, code: str) -> tuple[list[str], list[bool]]:
    """Kill it everywhere; give the calls, and at each of them whether the file was whole then."""

    def prepare() -> None:
        (folder / "tmp").unlink(missing_ok=True)
        (folder / "file").write_bytes(b"old")

    def check(exit_code: int) -> bool:
        allowed = (b"new",) if exit_code == 0 else (b"old", b"new")
        return (folder / "file").read_bytes() in allowed

    rounds = list(
        kill_at_each_syscall(
            command(code),
            prepare=prepare,
            check=check,
            begin=str(folder),
            end="done",
            folder=folder,
        )
    )
    assert all(each.was_killed for each in rounds)
    return [each.call for each in rounds], [each.is_right for each in rounds]


def test_the_right_order_survives_a_kill_at_each_call(tmp_path: Path) -> None:
    calls, right = kill(tmp_path.resolve(), RIGHT)

    assert calls == ["fsync", "fsync", "rename", "write", "write"]
    assert all(right)


def test_a_write_in_place_does_not_survive(tmp_path: Path) -> None:
    calls, right = kill(tmp_path.resolve(), IN_PLACE)

    assert calls == ["write", "write"]
    assert right == [True, False]


def test_an_error_is_injected_in_place_of_a_kill(tmp_path: Path) -> None:
    rounds = kill_at_each_syscall(
        command(RIGHT),
        prepare=lambda: None,
        check=lambda code: code != 0,
        begin=str(tmp_path.resolve()),
        end="done",
        calls=("fsync", "write"),
        folder=tmp_path,
        harm="error=ENOSPC",
    )

    assert [each.is_right for each in rounds] == [True] * 4


def test_a_victim_that_fails_by_itself_or_does_nothing_is_an_error(tmp_path: Path) -> None:
    def run(code: str) -> None:
        list(
            kill_at_each_syscall(
                command(code), prepare=lambda: None, check=lambda _: True, begin="nowhere"
            )
        )

    with pytest.raises(AssertionError, match="although nothing harms it"):
        run("raise SystemExit(3)")
    with pytest.raises(AssertionError, match="makes no call"):
        run("pass")


def test_effects_of_a_command_are_traced(tmp_path: Path) -> None:
    effects = trace_effects(command(ALL), tmp_path, folder=tmp_path)

    nameless = next(e.name for e in effects if isinstance(e, Make))
    assert effects == [
        MakeFolder("d"),
        Make(nameless, is_nameless=True),
        Write(nameless, 0, b"ab"),
        Sync(nameless, 3),
        Link(nameless, "d/pack"),
        Sync("d", 5),
        Make("log"),
        Resize("log", 8, may_shrink=False),
        Write("log", None, b"1"),
        Write("log", 3, b"2"),
        Resize("log", 4),
        Write(nameless, 1, b"B"),
        Rename("d/pack", "d/pack2"),
        Remove("log"),
        Remove("d/pack2"),
        Remove("d"),
        Sync(None, 16),
        Note("done"),
    ]
    last = [state.tree for state in crash_states(effects) if state.notes]
    assert last == [read_tree(tmp_path)] == [{}]


@pytest.mark.parametrize(
    ("code", "is_whole"), [(RIGHT, True), (RIGHT.replace("fsync", "stat"), False)]
)
def test_a_traced_command_shows_what_a_power_cut_does(
    tmp_path: Path, code: str, *, is_whole: bool
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    start = read_tree(tmp_path)

    effects = trace_effects(command(code), tmp_path, folder=tmp_path)

    states = list(crash_states(effects, start=start))
    assert ({s.tree["file"] for s in states} == {b"old", b"new"}) is is_whole
    assert ({s.tree["file"] for s in states if "done" in s.notes} == {b"new"}) is is_whole


def test_what_no_disk_here_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no disk here knows symlink"):
        trace_effects(command("import os; os.symlink('a', 'b')"), tmp_path, folder=tmp_path)


def test_calls_of_threads_are_whole(tmp_path: Path) -> None:
    code = """
import os, threading
def work(name):
    for _ in range(200):
        fd = os.open(name, os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x" * 1000)
        os.fsync(fd)
        os.close(fd)
threads = [threading.Thread(target=work, args=(f"f{n}",)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    _, calls = trace(command(code), calls=("write", "fsync"), folder=tmp_path)

    assert [call.name for call in calls].count("fsync") == 800
    assert all(call.begun_after <= number for number, call in enumerate(calls))
