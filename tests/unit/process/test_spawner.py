"""Fork and exec: the child is where it belongs, or the parent knows why not."""

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resile.core.spawning import Spawner, SpawnSpec
from resile.errors import SpawnError

SHOW = """
import os, resource, signal, sys
print(os.getsid(0) == os.getpid(), os.getcwd(), os.environ.get("COLOUR"))
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
status = dict(l.split(":", 1) for l in open("/proc/self/status") if ":" in l)
print(status["SigBlk"].strip(), int(status["SigIgn"], 16) & (1 << signal.SIGPIPE - 1))
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
print(soft == hard)
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_CLOEXEC)
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):
            os.close(fd)


def spec(*argv: str, **fields: Any) -> SpawnSpec:
    fields.setdefault("env", dict(os.environ))
    fields.setdefault("cwd", "/")
    return SpawnSpec(argv=argv, **fields)


def started(wanted: SpawnSpec) -> int:
    launch = Spawner().launch(wanted)
    launch.finish()
    return launch.pid


def output_of(wanted: SpawnSpec, pipe: tuple[int, int]) -> str:
    pid = started(wanted)
    os.close(pipe[1])
    text = b""
    while chunk := os.read(pipe[0], 65536):
        text += chunk
    assert os.waitpid(pid, 0)[1] == 0
    return text.decode()


def failure_of(wanted: SpawnSpec) -> SpawnError:
    launch = Spawner().launch(wanted)
    with pytest.raises(SpawnError) as caught:
        launch.finish()
    with pytest.raises(ChildProcessError):
        os.waitpid(launch.pid, 0)
    return caught.value


def open_fds() -> set[int]:
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


def test_child_is_a_clean_process_of_its_own(pipe: tuple[int, int], tmp_path: Path) -> None:
    """Own session, folder, environment; no descriptor or signal setting of ours."""
    inheritable = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    env = {**os.environ, "COLOUR": "blue"}
    try:
        text = output_of(
            spec(
                *(sys.executable, "-S", "-c", SHOW),
                env=env,
                cwd=str(tmp_path),
                stdout_fd=pipe[1],
                has_core_dumps=True,
            ),
            pipe,
        )
    finally:
        os.close(inheritable)

    # Python itself ignores SIGPIPE and SIGXFSZ at its start, so those two are no evidence.
    assert text.splitlines()[0] == f"True {tmp_path} blue"
    assert text.splitlines()[1] == "[0, 1, 2]"
    assert text.splitlines()[2].split()[0] == "0" * 16
    assert text.splitlines()[3] == "True"


def test_ignored_signals_are_reset(pipe: tuple[int, int]) -> None:
    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        text = output_of(spec("grep", "SigIgn", "/proc/self/status", stdout_fd=pipe[1]), pipe)
    finally:
        signal.signal(signal.SIGUSR1, old)

    # glibc keeps 32 and 33 for itself: nobody can set them, and a parent may have ignored them.
    assert int(text.split()[1], 16) & ~(0b11 << 31) == 0


def test_output_can_go_to_one_pipe_in_order(pipe: tuple[int, int]) -> None:
    wanted = spec("sh", "-c", "echo a; echo b >&2; echo c", stdout_fd=pipe[1], stderr_fd=pipe[1])

    assert output_of(wanted, pipe) == "a\nb\nc\n"


def test_input_is_empty_by_default(pipe: tuple[int, int]) -> None:
    assert output_of(spec("cat", stdout_fd=pipe[1]), pipe) == ""


def test_kept_descriptors_keep_their_number(pipe: tuple[int, int]) -> None:
    fd = pipe[1]
    script = f"import os; os.write({fd}, b'kept')"
    pid = started(spec(sys.executable, "-S", "-c", script, kept_fds=(fd,)))

    assert os.read(pipe[0], 100) == b"kept"
    os.waitpid(pid, 0)


def test_groups_are_joined_before_the_exec(tmp_path: Path) -> None:
    procs = tmp_path / "cgroup.procs"
    procs.touch()

    os.waitpid(started(spec("true", join_files=(str(procs),))), 0)

    assert procs.read_text() == "0"


@pytest.mark.parametrize(
    ("argv", "words", "hint"),
    [
        (("no-such-command",), "No such file or directory (ENOENT)", "PATH="),
        (("/no/such/file",), "No such file or directory (ENOENT)", "correct the path"),
        (("/etc/passwd",), "Permission denied (EACCES)", "chmod +x /etc/passwd"),
    ],
)
def test_a_failed_exec_names_the_command_the_reason_and_a_way_out(
    argv: tuple[str, ...], words: str, hint: str
) -> None:
    error = failure_of(spec(*argv))

    assert repr(argv[0]) in error.message
    assert words in error.message
    assert hint in error.hint


def test_a_script_with_a_missing_interpreter_is_explained(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    assert failure_of(spec(str(script))).hint == "its #! line names a missing program"


def test_a_file_that_is_no_program_is_explained(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("hello\n")
    script.chmod(0o755)

    assert "without a #! line" in failure_of(spec(str(script))).hint


def test_a_missing_folder_is_not_taken_for_a_missing_command(tmp_path: Path) -> None:
    error = failure_of(spec("true", cwd=str(tmp_path / "gone")))

    assert "its folder" in error.message
    assert "`cwd`" in error.hint


def test_a_group_that_cannot_be_joined_is_named(tmp_path: Path) -> None:
    error = failure_of(spec("true", join_files=(str(tmp_path / "gone" / "cgroup.procs"),)))

    assert "gone/cgroup.procs" in error.message


def test_an_argument_that_no_program_can_get_is_an_error_not_a_second_parent() -> None:
    error = failure_of(spec("echo", "zero\0byte"))

    assert "'echo'" in error.message


def test_a_child_killed_before_its_exec_counts_as_started() -> None:
    launch = Spawner().launch(spec("sleep", "600"))
    os.kill(launch.pid, signal.SIGKILL)

    launch.finish()

    assert os.WTERMSIG(os.waitpid(launch.pid, 0)[1]) == signal.SIGKILL


def test_no_descriptor_is_left_behind() -> None:
    def left() -> set[int]:
        before = open_fds()
        os.waitpid(started(spec("true")), 0)
        failure_of(spec("no-such-command"))
        return open_fds() - before

    # A thread that an earlier test has left may open some meanwhile; ours would be left each time.
    assert not all(left() for _ in range(5))


PARENT = """
import os, sys
from resile.core.spawning import Spawner, SpawnSpec
launch = Spawner().launch(
    SpawnSpec(argv=("sleep", "600"), env=os.environ, cwd="/", dies_with_parent=True)
)
launch.finish()
print(launch.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_child_can_be_bound_to_its_parents_life() -> None:
    run = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, check=False)
    child_pid = int(run.stdout)

    assert run.returncode == -signal.SIGKILL
    with contextlib.suppress(ProcessLookupError):  # It may be gone already.
        fd = os.pidfd_open(child_pid)
        try:
            assert select.select([fd], [], [], 30)[0]
        finally:
            os.close(fd)


REAPER = """
import os, resource, signal, sys, time
from resile.core.spawning import Spawner, SpawnSpec, set_subreaper
spawner = Spawner()
assert spawner.reap() is None
set_subreaper()
def run(*argv):
    launch = spawner.launch(SpawnSpec(argv=argv, env=os.environ, cwd="/"))
    launch.finish()
    while (ended := spawner.reap()) is None:
        time.sleep(0.01)
    return ended, launch.pid
ended, pid = run("sh", "-c", "exit 7")
print(ended.pid == pid, ended.exit_code, ended.signal or "-", ended.memory_max_bytes > 0)
ended, pid = run("sh", "-c", "kill -TERM $$")
print(ended.pid == pid, ended.exit_code, ended.signal)
ended, pid = run(sys.executable, "-S", "-c", "sum(range(3_000_000))")
print(ended.cpu_user_s + ended.cpu_system_s > 0.01)
ended, pid = run("sh", "-c", "(sleep 0.2; exit 9) & exit 3")
print(ended.exit_code)
while (orphan := spawner.reap()) is None:
    time.sleep(0.01)
print(orphan.exit_code)
"""


def test_every_child_is_reaped_with_its_end_and_orphans_too() -> None:
    """In a process of its own, as it would reap the children of other tests."""
    run = subprocess.run([sys.executable, "-c", REAPER], capture_output=True, check=True, text=True)

    assert run.stdout.splitlines() == [
        "True 7 - True",
        "True None SIGTERM",
        "True",
        "3",
        "9",
    ]


def test_want_of_descriptors_is_a_transient_error() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(open_fds())
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(SpawnError) as caught:
            Spawner().launch(spec("true"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)

    assert caught.value.is_transient
