"""A command that is run to its end, and never longer or more than allowed."""

import os
import select
import sys
from pathlib import Path

import pytest

from resile.core.spawning import run_bounded
from resile.errors import SpawnError


def assert_dies(pid: int) -> None:
    """A signal was sent; the kernel needs a moment."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], 30)[0]
    finally:
        os.close(fd)


def test_output_and_exit_code_come_back() -> None:
    done = run_bounded(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=30)

    assert (done.exit_code, done.signal) == (3, "")
    assert done.output == b"out\nerr\n"
    assert not done.is_timed_out
    assert not done.is_truncated


def test_what_is_given_is_read_and_its_errors_can_be_dropped() -> None:
    given = bytes(range(256)) * 4096

    done = run_bounded(
        ["sh", "-c", "echo no >&2; wc -c"], timeout_s=30, given=given, keeps_errors=False
    )

    assert done.output.split() == [str(len(given)).encode()]


def test_nothing_is_given_unless_it_is_said() -> None:
    assert run_bounded(["cat"], timeout_s=30).output == b""
    assert run_bounded(["true"], timeout_s=30, given=b"unread").exit_code == 0


def test_the_signal_that_ended_it_is_named() -> None:
    done = run_bounded(["sh", "-c", "kill -SEGV $$"], timeout_s=30)

    assert (done.exit_code, done.signal) == (None, "SIGSEGV")
    assert not done.is_timed_out


def test_time_over_kills_the_whole_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 600 & echo $! $$ > {pids}; echo begun; wait"

    done = run_bounded(["sh", "-c", script], timeout_s=1)

    assert done.is_timed_out
    assert done.signal == "SIGKILL"
    assert done.output == b"begun\n"
    for pid in pids.read_text().split():
        assert_dies(int(pid))


def test_a_background_child_neither_delays_the_end_nor_outlives_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    done = run_bounded(["sh", "-c", f"sleep 600 & echo $! > {pid_file}; echo done"], timeout_s=30)

    assert (done.exit_code, done.output, done.is_timed_out) == (0, b"done\n", False)
    assert_dies(int(pid_file.read_text()))


def test_too_much_output_is_cut_and_does_not_block() -> None:
    script = "import sys; sys.stdout.write('x' * 3_000_000)"

    done = run_bounded([sys.executable, "-S", "-c", script], timeout_s=30, output_bytes_max=1000)

    assert done.exit_code == 0
    assert done.output == b"x" * 1000
    assert done.is_truncated


def test_a_command_that_closes_its_output_is_waited_for() -> None:
    done = run_bounded(["sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 5"], timeout_s=30)

    assert done.exit_code == 5


def test_environment_and_folder_are_taken(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "COLOUR": "blue"}

    done = run_bounded(["sh", "-c", "echo $COLOUR; pwd"], timeout_s=30, env=env, cwd=str(tmp_path))

    assert done.output.decode().split() == ["blue", str(tmp_path)]


def test_a_missing_command_is_an_error_with_a_hint() -> None:
    with pytest.raises(SpawnError, match="no-such-command") as caught:
        run_bounded(["no-such-command"], timeout_s=30)

    assert "PATH=" in caught.value.hint


def test_a_missing_folder_is_told_from_a_missing_command(tmp_path: Path) -> None:
    with pytest.raises(SpawnError, match="its folder"):
        run_bounded(["true"], timeout_s=30, cwd=str(tmp_path / "gone"))


def test_no_descriptor_is_left_behind() -> None:
    before = set(Path("/proc/self/fd").iterdir())

    run_bounded(["true"], timeout_s=30)
    run_bounded(["sleep", "600"], timeout_s=0.05)

    after = set(Path("/proc/self/fd").iterdir())
    assert after <= before, "others may have closed some of theirs"
