"""Run commands in boxes and say what came of it, also as a plain user in a process of its own."""

import contextlib
import importlib
import os
import pickle
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resile.contain.cgroups import Cgroup
from resile.contain.model import Violation
from resile.contain.sandboxes import (
    Box,
    Boxed,
    LaunchFailed,
    MainEnded,
    Message,
    NativeLauncher,
    Observer,
    OverlayMount,
    Parked,
    Started,
    Stdio,
)
from resile.contain.sandboxes.bubblewrap import BubblewrapLauncher, find_bubblewrap
from resile.contain.sandboxes.interpreted import PythonLauncher
from resile.contain.sandboxes.native import is_built
from resile.core.process import identity_of
from resile.core.trees import remove_tree

ROOT = Path(__file__).parents[2]
NOBODY = 65534
DEADLINE_S = 30.0
PATH = "/usr/local/bin:/usr/bin:/bin"
_SIZE = struct.Struct("I")


@dataclass(kw_only=True)
class Ran:
    """What came of one command in a box."""

    messages: list[Message] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    upper: list[str] = field(default_factory=list)

    @property
    def ended(self) -> MainEnded:
        return next(m for m in self.messages if isinstance(m, MainEnded))

    @property
    def failed(self) -> LaunchFailed:
        return next(m for m in self.messages if isinstance(m, LaunchFailed))


@dataclass(kw_only=True)
class Room:
    """Folders of one test, owned by who runs the box."""

    folder: Path
    workspace: Path

    @property
    def upper(self) -> Path:
        return self.folder / "upper"

    def overlay(self, target: Path | None = None) -> OverlayMount:
        return OverlayMount(
            lower=self.workspace,
            upper=self.upper,
            work=self.folder / "work",
            target=target or self.workspace,
            is_unprivileged=True,
        )


def make_room(name: str = "workspace") -> Room:
    """Make a workspace with a file in it; below /tmp, which every box covers."""
    folder = Path(tempfile.mkdtemp(prefix="resile-box-"))
    room = Room(folder=folder, workspace=folder / name)
    for path in (room.workspace, room.upper, folder / "work"):
        path.mkdir()
    (room.workspace / "old").write_text("old")
    return room


def interpreter() -> str:
    """Give a Python that every user can read; empty if there is none of ours or newer."""
    for path in (sys.executable, shutil.which("python3", path=PATH) or ""):
        real = Path(os.path.realpath(path))
        if path and all(map(is_open, real.parents)):
            said = subprocess.run(
                [path, "-c", "import sys; print(sys.version_info >= (3, 11))"],
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            if said.strip() == "True":
                return path
    return ""


def is_open(folder: Path) -> bool:
    """Tell whether every user can enter a folder."""
    try:
        return bool(folder.stat().st_mode & 0o001)
    except PermissionError:
        return False


def box_in(room: Room, *argv: str, **given: Any) -> Box:
    values: dict[str, Any] = {
        "argv": argv,
        "env": {"PATH": PATH},
        "cwd": str(room.workspace),
        "mounts": (room.overlay(),),
    }
    return Box(**{**values, **given})


def sh(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


def launcher_of(name: str) -> Any:
    if name == "native":
        return NativeLauncher()
    python = sys.executable if os.geteuid() == 0 else interpreter()
    if name == "python":
        return PythonLauncher(interpreter=python)
    return BubblewrapLauncher(find_bubblewrap(), interpreter=python)


def why_not(name: str, user: str) -> str:
    """Say why a launcher cannot be tried here; empty if it can."""
    if name == "native" and not is_built():
        return "the native launcher is not built: no C compiler"
    if name == "bubblewrap" and not find_bubblewrap():
        return "no bubblewrap with overlays"
    if name != "native" and user == "nobody" and not interpreter():
        return "no Python that a plain user can read"
    return ""


@contextlib.contextmanager
def boxed(
    launcher: str,
    box: Box,
    *,
    stdin: bytes = b"",
    cgroup: Cgroup | None = None,
    parked: Parked | None = None,
) -> Iterator[tuple[Boxed, int, int]]:
    """Launch a box; give it and what to read its output and errors from."""
    with contextlib.ExitStack() as stack:
        pairs = [os.pipe(), os.pipe(), os.pipe()]
        (in_fd, feed_fd), (out_fd, write_out_fd), (err_fd, write_err_fd) = pairs
        stack.callback(os.close, out_fd)
        stack.callback(os.close, err_fd)
        os.write(feed_fd, stdin)
        os.close(feed_fd)
        stdio = Stdio(stdin_fd=in_fd, stdout_fd=write_out_fd, stderr_fd=write_err_fd)
        try:
            made = (parked or launcher_of(launcher).park(cgroup)).launch(box, stdio)
        finally:
            for fd in (in_fd, write_out_fd, write_err_fd):
                os.close(fd)
        stack.callback(made.close)
        yield made, out_fd, err_fd


def run_box(
    launcher: str,
    box: Box,
    *,
    stdin: bytes = b"",
    signal_at: tuple[str, int] | None = None,
    is_killed_at: str = "",
    cgroup: Cgroup | None = None,
    parked: Parked | None = None,
) -> Ran:
    """Run a box to the end of its main process; `signal_at` and so on wait for a word of output."""
    ran = Ran()
    with boxed(launcher, box, stdin=stdin, cgroup=cgroup, parked=parked) as (made, out_fd, err_fd):
        kept = {out_fd: bytearray(), err_fd: bytearray()}
        observer: Observer | None = None
        is_observed = True
        deadline = time.monotonic() + DEADLINE_S
        open_fds = {out_fd, err_fd, made.fd}
        while open_fds:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no end: {ran}, {kept}")
            watched = [*open_fds, *([observer.fd] if observer else [])]
            ready, _, _ = select.select(watched, [], [], 1)
            if made.fd in ready:
                ran.messages += made.read()
                if made.has_ended or any(isinstance(m, MainEnded) for m in ran.messages):
                    open_fds.discard(made.fd)
                    made.kill()
                if observer is None and made.notify_fd >= 0 and is_observed:
                    observer = Observer(made.notify_fd)
            if observer is not None and observer.fd in ready:
                ran.violations += observer.read()
            if observer is not None and observer.has_ended:
                observer = None
                is_observed = False
            for fd in (out_fd, err_fd):
                if fd in ready:
                    chunk = os.read(fd, 1 << 16)
                    kept[fd] += chunk
                    if not chunk:
                        open_fds.discard(fd)
            text = kept[out_fd].decode(errors="replace")
            if signal_at and signal_at[0] in text:
                made.signal(signal_at[1])
                signal_at = None
            if is_killed_at and is_killed_at in text:
                made.kill()
                is_killed_at = ""
        if not any(isinstance(m, LaunchFailed | MainEnded) for m in ran.messages):
            ran.messages += made.read()
    ran.stdout = kept[out_fd].decode(errors="surrogateescape")
    ran.stderr = kept[err_fd].decode(errors="surrogateescape")
    uppers = [m.upper for m in box.mounts if isinstance(m, OverlayMount)]
    ran.upper = sorted(str(p.relative_to(u)) for u in uppers for p in u.rglob("*"))
    return ran


def start_box(launcher: str, box: Box) -> tuple[int, list[int]]:
    """Launch a box and leave it running; give the launcher's pid and those of its descendants."""
    out_fd, write_fd = os.pipe()
    null_fd = os.open(os.devnull, os.O_RDONLY)
    stdio = Stdio(stdin_fd=null_fd, stdout_fd=write_fd, stderr_fd=write_fd)
    made = launcher_of(launcher).park(None).launch(box, stdio)
    _LEFT_RUNNING.append(made)
    os.close(write_fd)
    said = b""
    while b"ready" not in said:
        if not select.select([out_fd], [], [], DEADLINE_S)[0]:
            raise TimeoutError(f"{said!r} {made.read()}")
        said += os.read(out_fd, 1 << 16) or b"ready: the box is gone"
    return made.pid, sorted(descendants(made.pid))


_LEFT_RUNNING: list[Boxed] = []


def main_pid() -> int:
    """Give the pid that the last box left running told."""
    made = _LEFT_RUNNING[-1]
    while select.select([made.fd], [], [], DEADLINE_S)[0] and not made.has_ended:
        if started := [m for m in made.read() if isinstance(m, Started)]:
            return started[0].pid
    raise TimeoutError("it never said that it started")


def start_and_close(launcher: str, box: Box) -> str:
    """Launch a box, let it go on for a while, and close it; give its pid namespace."""
    start_box(launcher, box)
    namespace = str(Path(f"/proc/{main_pid()}/ns/pid").readlink())
    time.sleep(0.5)
    close_boxes()
    return namespace


def members_of_namespace(namespace: str) -> list[int]:
    """List the living processes in a pid namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and str((entry / "ns/pid").readlink()) == namespace:
                found.append(int(entry.name))
    return found


def start_and_close_after(launcher: str, box: Box, delay_s: float) -> None:
    with boxed(launcher, box) as (made, _, _):
        time.sleep(delay_s)
        made.kill()


def run_from_thread(launcher: str, box: Box) -> Ran:
    """Launch from a thread that ends before the command does."""
    out_fd, write_fd = os.pipe()
    null_fd = os.open(os.devnull, os.O_RDONLY)
    stdio = Stdio(stdin_fd=null_fd, stdout_fd=write_fd, stderr_fd=write_fd)
    made: list[Boxed] = []
    thread = threading.Thread(
        target=lambda: made.append(launcher_of(launcher).park(None).launch(box, stdio))
    )
    thread.start()
    thread.join()
    os.close(write_fd)
    os.close(null_fd)
    ran = Ran()
    while not any(isinstance(m, MainEnded | LaunchFailed) for m in ran.messages):
        if not select.select([made[0].fd], [], [], DEADLINE_S)[0]:
            raise TimeoutError(str(ran))
        ran.messages += made[0].read()
        if made[0].has_ended:
            break
    ran.stdout = os.read(out_fd, 1 << 16).decode()
    made[0].close()
    os.close(out_fd)
    return ran


def run_parked(launcher: str, box: Box) -> Ran:
    parked = launcher_of(launcher).park(None)
    time.sleep(0.05)
    return run_box(launcher, box, parked=parked)


def park_and_close(launcher: str) -> int:
    before = descendants(os.getpid())
    parked = launcher_of(launcher).park(None)
    (pid,) = descendants(os.getpid()) - before
    parked.close()
    return pid


def own_uid() -> int:
    return os.geteuid()


def remove_room(room: Room) -> None:
    """Remove it; the kernel leaves folders with no rights at all in an overlay's `work`."""
    fd = os.open(room.folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        remove_tree(fd, room.folder.name)
    finally:
        os.close(fd)


def close_boxes() -> None:
    while _LEFT_RUNNING:
        _LEFT_RUNNING.pop().close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def open_fd_count() -> int:
    return len(names(Path("/proc/self/fd")))


def descendants(pid: int) -> set[int]:
    """List a process and all below it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def wait_until_gone(pids: list[int], *, within_s: float = 10.0) -> list[int]:
    """Wait until none of these lives; give those that still do."""
    deadline = time.monotonic() + within_s
    while (left := [p for p in pids if identity_of(p)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def started_pid(ran: Ran) -> int:
    return next(m.pid for m in ran.messages if isinstance(m, Started))


class Desk:
    """A process that runs functions of this module as another user."""

    def __init__(self, user: str) -> None:
        self.user = user
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.boxes", user],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            bufsize=0,
        )
        self.pid = self._process.pid

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        send(self._process.stdin, (function.__name__, args, kwargs))
        is_good, answer = receive(self._process.stdout)
        if not is_good:
            raise AssertionError(answer)
        return answer

    def kill(self) -> None:
        self._process.kill()
        self.close()

    def close(self) -> None:
        for file in (self._process.stdin, self._process.stdout):
            file.close()
        self._process.wait()


def send(file: Any, value: Any) -> None:
    data = pickle.dumps(value)
    rest = memoryview(_SIZE.pack(len(data)) + data)
    while rest:
        rest = rest[file.write(rest) :]


def receive(file: Any) -> Any:
    (size,) = _SIZE.unpack(file.read(_SIZE.size))
    data = b""
    while len(data) < size:
        data += file.read(size - len(data))
    return pickle.loads(data)


def serve(user: str) -> None:
    """Answer calls until our input ends."""
    if user == "nobody":
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.environ.pop("LD_LIBRARY_PATH", None)
    source, target = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    module = importlib.import_module("tests.support.boxes")
    while True:
        try:
            name, args, kwargs = receive(source)
        except struct.error:
            return
        try:
            answer = True, getattr(module, name)(*args, **kwargs)
        except BaseException:  # noqa: BLE001 - it is told to who called
            answer = False, traceback.format_exc()
        send(target, answer)


if __name__ == "__main__":
    serve(sys.argv[1])
