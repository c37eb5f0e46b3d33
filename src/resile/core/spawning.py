"""How processes start and how they ended. The home of fork and subprocess.

Two ways to start one, for two sorts of caller:

- `Spawner` forks by itself, puts the child where it belongs (session, cgroup, limits, files) and
  execs. It is for the guard, which has one thread; it must not be used where threads run.
- `run_bounded` runs a command to its end, with a bound on its time and its output. Safe to call
  from any thread.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.process import signal_name
from resile.errors import SpawnError

if TYPE_CHECKING:
    import subprocess

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_FD_ABOVE_STDIO: Final = 64
"""Descriptors are moved up here before 0, 1 and 2 are laid, so that none is overwritten."""
_READ_BYTES: Final = 1 << 16
_EXEC_FAILED: Final = 127
"""The shell's exit code for "not started"; seen by nobody, as the failure is told through a pipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnSpec:
    """What to start, and where it belongs. The child leads a session of its own.

    Args:
        argv: The command; argv[0] is looked up in the PATH of `env`.
        env: The whole environment.
        cwd: Where it runs.
        stdin_fd: Its standard input; -1 is /dev/null, here and for the next two.
        stdout_fd: Its standard output.
        stderr_fd: Its standard error.
        kept_fds: Further descriptors (3 or more) that it inherits under the same number.
        join_files: `cgroup.procs` files of the groups that it joins before it execs.
        dies_with_parent: The kernel kills it when its parent dies, however that dies.
        has_core_dumps: Raise its core file limit to the hard one.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdin_fd: int = -1
    stdout_fd: int = -1
    stderr_fd: int = -1
    kept_fds: tuple[int, ...] = ()
    join_files: tuple[str, ...] = ()
    dies_with_parent: bool = False
    has_core_dumps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended, and what it used (its own waited-for children included).

    Args:
        pid: Which child.
        exit_code: None if a signal ended it.
        signal: The name of that signal; empty if it exited.
        core_dumped: The kernel wrote a core file.
        cpu_user_s: Time on a processor in user mode.
        cpu_system_s: Time on a processor in the kernel.
        memory_max_bytes: The largest resident set.
    """

    pid: int
    exit_code: int | None
    signal: str = ""
    core_dumped: bool = False
    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    memory_max_bytes: int = 0


@dataclass(slots=True)
class Launch:
    """A child between its fork and its exec. Not thread-safe.

    `fd` becomes readable when the exec has succeeded or failed; `finish` then tells which.
    """

    pid: int
    fd: int
    spec: SpawnSpec = field(repr=False)

    def finish(self) -> None:
        """Wait for the exec, and close `fd`.

        A child that was killed before its exec counts as started: its end tells the rest.

        Raises:
            SpawnError: If the command could not be started; the child is reaped then.
        """
        report = b""
        while chunk := os.read(self.fd, 4096):
            report += chunk
        os.close(self.fd)
        if not report:
            return
        with contextlib.suppress(ChildProcessError):  # Who reaps every child may be quicker.
            os.waitpid(self.pid, 0)
        stage, number, path = report.decode(errors="replace").split("\0", 2)
        raise _explained(self.spec, stage, int(number), path)


class Spawner:
    """Starts children by fork and exec, and reaps them. For a process with a single thread."""

    def launch(self, spec: SpawnSpec) -> Launch:
        """Fork, and let the child set itself up and exec. Returns before the exec.

        Raises:
            SpawnError: If the machine gives no process or descriptor.
        """
        try:
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        except OSError as exc:
            raise _explained(spec, "fork", exc.errno or 0, "") from exc
        parent_pid = os.getpid()
        # A signal that hit the child before it dropped our handlers would look like one to us.
        old_mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _become(spec, write_fd, parent_pid)
        except OSError as exc:
            os.close(read_fd)
            raise _explained(spec, "fork", exc.errno or 0, "") from exc
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
            os.close(write_fd)
        return Launch(pid, read_fd, spec)

    def reap(self, pid: int = -1) -> Ended | None:
        """Reap a dead child, by default whichever it is; None if none is dead. Does not block."""
        try:
            pid, status, usage = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        has_exited = os.WIFEXITED(status)
        return Ended(
            pid=pid,
            exit_code=os.WEXITSTATUS(status) if has_exited else None,
            signal="" if has_exited else signal_name(os.WTERMSIG(status)),
            core_dumped=os.WCOREDUMP(status),
            cpu_user_s=usage.ru_utime,
            cpu_system_s=usage.ru_stime,
            memory_max_bytes=usage.ru_maxrss * 1024,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What came of a bounded run.

    Args:
        exit_code: None if a signal ended it, the time-out's among them.
        signal: The name of that signal; empty if it exited.
        output: The first bytes of its standard output and error, as they came.
        is_timed_out: It was killed because its time was over.
        is_truncated: It wrote more than was kept.
    """

    exit_code: int | None
    signal: str = ""
    output: bytes = b""
    is_timed_out: bool = False
    is_truncated: bool = False


def run_bounded(
    argv: Sequence[str],
    *,
    timeout_s: float,
    output_bytes_max: int = 1 << 16,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    given: bytes = b"",
    keeps_errors: bool = True,
    clock: Clock = SYSTEM_CLOCK,
) -> Completed:
    """Run a command until it ends or its time is over; then kill what is left of its group.

    The end of the command itself ends the run: a background child that holds its output open
    does not keep us. Blocks for at most about `timeout_s`. Safe to call from any thread.

    Args:
        argv: The command.
        timeout_s: Above this, the whole process group gets SIGKILL.
        output_bytes_max: What is written above this is read and dropped. Default 64 KiB.
        env: The whole environment. Default: our own.
        cwd: Where it runs. Default: where we do.
        given: What it reads on its standard input, from memory that has no name. Default: nothing.
        keeps_errors: False drops its standard error.
        clock: Measures the time.

    Raises:
        SpawnError: If the command could not be started.
    """
    process = _start_quietly(argv, env=env, cwd=cwd, given=given, keeps_errors=keeps_errors)
    if process.stdout is None:
        raise AssertionError("a process started with a pipe has one")
    with process.stdout as output:
        try:
            deadline = clock.monotonic() + timeout_s
            kept, is_truncated, is_timed_out = _collect(
                process.pid, output.fileno(), deadline, output_bytes_max, clock
            )
        finally:
            # The leader is not reaped yet, so its pid still names this group and no other.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    code = process.returncode
    return Completed(
        exit_code=code if code >= 0 else None,
        signal="" if code >= 0 else signal_name(-code),
        output=kept,
        is_timed_out=is_timed_out,
        is_truncated=is_truncated,
    )


def set_subreaper() -> None:
    """Become the parent of every orphan among the own descendants, from now on.

    Raises:
        OSError: If the kernel refuses (it does not since 3.4).
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _start_quietly(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: str | None,
    given: bytes,
    keeps_errors: bool,
) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own, with one pipe for all its output."""
    import subprocess  # Here, as the guard needs this module but not its half megabyte.

    try:
        with _input(given) as stdin:
            return subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if keeps_errors else subprocess.DEVNULL,
                env=env,
                cwd=cwd,
                start_new_session=True,
                bufsize=0,
            )
    except OSError as exc:
        is_cwd = cwd is not None and not Path(cwd).is_dir()
        spec = SpawnSpec(argv=tuple(argv), env=env or os.environ, cwd=cwd or ".")
        raise _explained(spec, "cwd" if is_cwd else "exec", exc.errno or 0, "") from exc


@contextlib.contextmanager
def _input(given: bytes) -> Iterator[int]:
    """Give a descriptor to read from: never blocks who writes, whatever the command does with it."""
    if given:
        fd = os.memfd_create("input", os.MFD_CLOEXEC)
    else:
        fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        view = memoryview(given)
        while view:
            view = view[os.write(fd, view) :]
        if given:
            os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _collect(
    pid: int, output_fd: int, deadline: float, bytes_max: int, clock: Clock
) -> tuple[bytes, bool, bool]:
    """Read the output until the process has ended; give it, and whether bytes or time ran out."""
    kept = bytearray()
    size = 0
    os.set_blocking(output_fd, False)
    pid_fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(output_fd, select.POLLIN)
        poll.register(pid_fd, select.POLLIN)
        has_ended = False
        while not has_ended and (rest_s := deadline - clock.monotonic()) > 0:
            ready = dict(poll.poll(rest_s * 1000))
            has_ended = pid_fd in ready
            if output_fd not in ready:
                continue
            chunk = os.read(output_fd, _READ_BYTES)  # As much as a pipe holds.
            size += len(chunk)
            kept += chunk[: bytes_max - len(kept)]
            if not chunk:
                poll.unregister(output_fd)
        return bytes(kept), size > bytes_max, not has_ended
    finally:
        os.close(pid_fd)


def _become(spec: SpawnSpec, error_fd: int, parent_pid: int) -> NoReturn:
    """Turn the forked child into the command, or tell why not. Never returns."""
    stage, path = "session", ""
    try:
        _drop_signals()
        os.setsid()
        if spec.dies_with_parent:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent_pid:
                os.kill(os.getpid(), signal.SIGKILL)
        stage = "cgroup"
        for path in spec.join_files:
            _write(path, b"0")
        stage, path = "files", ""
        error_fd = _lay_files(spec, error_fd)
        if spec.has_core_dumps:
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        stage, path = "cwd", spec.cwd
        os.chdir(spec.cwd)
        stage, path = "exec", spec.argv[0]
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(spec.argv[0], spec.argv, dict(spec.env))  # noqa: S606 - no shell is meant
    except OSError as exc:
        os.write(error_fd, f"{stage}\0{exc.errno or 0}\0{path}".encode())
    except Exception as exc:  # noqa: BLE001 - nothing may unwind into the parent's code
        os.write(error_fd, f"{stage}\0{errno.EINVAL}\0{exc}".encode())
    finally:
        os._exit(_EXEC_FAILED)


def _drop_signals() -> None:
    """Give every signal its default meaning; exec would keep the ignored ones ignored."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)


def _lay_files(spec: SpawnSpec, error_fd: int) -> int:
    """Lay 0, 1 and 2, keep what shall be kept, close the rest; give the error pipe's new number."""
    above = max((_FD_ABOVE_STDIO, *spec.kept_fds)) + 1
    null_fd = os.open(os.devnull, os.O_RDWR)
    wanted = (spec.stdin_fd, spec.stdout_fd, spec.stderr_fd)
    sources = [fcntl.fcntl(null_fd if fd < 0 else fd, fcntl.F_DUPFD, above) for fd in wanted]
    error_fd = fcntl.fcntl(error_fd, fcntl.F_DUPFD_CLOEXEC, above)
    for target, source in enumerate(sources):
        os.dup2(source, target)
    low = 3
    for fd in sorted({*spec.kept_fds, error_fd}):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
    for fd in spec.kept_fds:
        os.set_inheritable(fd, True)
    return error_fd


def _explained(spec: SpawnSpec, stage: str, number: int, path: str) -> SpawnError:
    """Say what failed and what to do about it."""
    command = spec.argv[0]
    reason = os.strerror(number)
    if stage == "cwd":
        return SpawnError(
            f"cannot start {command!r}: its folder {spec.cwd!r} cannot be entered: {reason}",
            hint="create the folder, or correct `cwd`",
        )
    if stage == "cgroup":
        return SpawnError(
            f"cannot start {command!r}: its cgroup {path!r} cannot be joined: {reason}",
            hint="run `resile doctor` to see what this machine allows",
        )
    if stage != "exec":
        is_transient = number in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
        return SpawnError(
            f"cannot start {command!r}: {stage}: {reason}",
            hint="the machine is short of processes, memory or descriptors" if is_transient else "",
            is_transient=is_transient,
        )
    return SpawnError(
        f"cannot start {command!r}: {reason} ({errno.errorcode.get(number, number)})",
        hint=_exec_hint(spec, number),
    )


def _exec_hint(spec: SpawnSpec, number: int) -> str:
    command = spec.argv[0]
    if number == errno.ENOENT and "/" not in command:
        return f"install it, or write its whole path; looked in PATH={spec.env.get('PATH', '')}"
    if number == errno.ENOENT:
        is_there = Path(spec.cwd, command).exists()
        return (
            "its #! line names a missing program" if is_there else "no such file; correct the path"
        )
    if number == errno.EACCES:
        return f"make it executable: chmod +x {command}"
    if number == errno.ENOEXEC:
        return "it is no program for this machine, or a script without a #! line"
    return "correct the command"


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
