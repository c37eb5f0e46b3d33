"""A real guard in a process of its own, and a brain that is a puppet of the test.

The puppet hands its end of the line to the test and sleeps; the test speaks the protocol itself.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from resile.contain import kill_everything, remembered
from resile.daemon.guard.keeper import DELAY_LAST_S
from resile.daemon.guard.notify import remove_notify_folder
from resile.daemon.protocol import (
    Exited,
    Forget,
    Instance,
    Kill,
    List,
    Message,
    Ping,
    Quit,
    Reply,
    Spawn,
    from_line,
    to_line,
)
from resile.errors import AlreadyRunningError

DEADLINE_S = 30.0
"""Generous: a slow machine may not turn a test red."""

PUPPET = """
import os, signal, socket, sys
fd = int(os.environ["RESILE_GUARD_FD"])
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    socket.send_fds(sock, [str(os.getpid()).encode()], [fd])
    os.close(fd)
    sock.recv(1)
    code = sock.recv(16)
sys.exit(int(code or 0))
"""

GUARD = """
import logging, sys
from pathlib import Path
from resile.daemon.guard import Guard, keeper
from resile.errors import ResileError
logging.basicConfig(level=logging.DEBUG)
try:
    state, stop_timeout_s, delay_last_s, *brain_argv = sys.argv[1:]
    keeper.DELAY_LAST_S = float(delay_last_s)
    guard = Guard(
        Path(state), brain_argv=brain_argv, cwd=Path("/"), stop_timeout_s=float(stop_timeout_s)
    )
    sys.exit(guard.run())
except ResileError as exc:
    print(exc.message, exc.hint, file=sys.stderr)
    sys.exit(exc.exit_code)
"""

NASTY = """
import os, random, signal, sys, time
seed, pids = int(sys.argv[1]), sys.argv[2]
rng = random.Random(seed)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def note():
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\\n")
def grow(depth):
    note()
    for _ in range(rng.randrange(1, 3) if depth else 0):
        way = rng.choice(("plain", "setsid", "daemon", "cleared"))
        if os.fork() == 0:
            rng.seed(os.getpid())
            if way != "plain":
                os.setsid()
            if way in ("daemon", "cleared") and os.fork():
                os._exit(0)
            if way == "cleared" and rng.random() < 0.5:
                os.execve(sys.executable, [sys.executable, "-S", "-c", "import os,sys,time;f=open(sys.argv[1],'a');f.write('%d\\\\n'%os.getpid());f.close();time.sleep(600)", pids], {})
            grow(depth - 1)
            time.sleep(600)
grow(3)
print("grown", flush=True)
time.sleep(600)
"""

T = TypeVar("T", bound=Message)


class Brain:
    """The test's end of one line to the guard."""

    def __init__(self, control: socket.socket, line: socket.socket, pid: int) -> None:
        self.pid = pid
        self._control = control
        self._line = line
        self._line.settimeout(DEADLINE_S)
        self._file = line.makefile("rb")
        self._request_id = 0
        self.told: list[Message] = []

    def send(self, message: Message) -> None:
        self._line.sendall(to_line(message))

    def send_bytes(self, data: bytes) -> None:
        self._line.sendall(data)

    def next_id(self) -> int:
        self._request_id += 1
        return self._request_id

    def receive(self) -> Message:
        line = self._file.readline()
        if not line:
            raise AssertionError(f"the guard hung up; told {self.told}")
        return from_line(line)

    def reply(self, request_id: int) -> Reply:
        while True:
            message = self.receive()
            if isinstance(message, Reply) and message.request_id == request_id:
                return message
            self.told.append(message)

    def expect(self, kind: type[T], *, fits: Callable[[T], bool] = lambda _: True) -> T:
        """Wait until the guard tells this."""
        while True:
            for index, message in enumerate(self.told):
                if isinstance(message, kind) and fits(message):
                    return self.told.pop(index)  # type: ignore[return-value]
            self.told.append(self.receive())

    def ask(self, kind: Callable[..., Message], **fields: Any) -> Reply:
        request_id = self.next_id()
        self.send(kind(request_id=request_id, **fields))
        return self.reply(request_id)

    def spawn(self, *argv: str, service: str = "app", generation: int = 1, **fields: Any) -> Reply:
        fields.setdefault("env", dict(os.environ))
        fields.setdefault("cwd", "/")
        return self.ask(Spawn, service=service, generation=generation, argv=argv, **fields)

    def started(self, *argv: str, **fields: Any) -> Instance:
        reply = self.spawn(*argv, **fields)
        if reply.error:
            raise AssertionError(reply.error)
        return reply.instances[0]

    def kill(self, service: str = "app", generation: int = 1) -> Reply:
        return self.ask(Kill, service=service, generation=generation)

    def forget(self, service: str = "app", generation: int = 1) -> Reply:
        return self.ask(Forget, service=service, generation=generation)

    def list(self) -> tuple[Instance, ...]:
        return self.ask(List).instances

    def ping(self) -> Reply:
        return self.ask(Ping)

    def quit(self, code: int = 0) -> Reply:
        return self.ask(Quit, code=code)

    def exited(self, service: str = "app", generation: int = 1) -> Exited:
        return self.expect(
            Exited, fits=lambda m: (m.service, m.generation) == (service, generation)
        )

    def leave(self, code: int = 0) -> None:
        """Let the puppet end with this code."""
        with contextlib.suppress(OSError):
            self._control.sendall(b"x")
            time.sleep(0.05)
            self._control.sendall(str(code).encode())
        self.close()

    def close(self) -> None:
        self._file.close()
        self._line.close()
        self._control.close()


class GuardProcess:
    """A guard on a folder, and the brains that it starts."""

    def __init__(
        self, state: Path, socket_name: str, stop_timeout_s: float, delay_last_s: float
    ) -> None:
        self.state = state
        self._brains: list[Brain] = []
        path = state.parent / socket_name
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(DEADLINE_S)
        self._listener.bind(str(path))
        self._listener.listen()
        self.log = path.with_suffix(".log")
        options = (str(stop_timeout_s), str(delay_last_s))
        argv = (sys.executable, "-c", GUARD, str(state), *options)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                (*argv, sys.executable, "-S", "-c", PUPPET, str(path)), stdout=log, stderr=log
            )

    def brain(self) -> Brain:
        """Wait for the next brain."""
        control, _ = self._listener.accept()
        data, fds, _, _ = socket.recv_fds(control, 64, 1)
        brain = Brain(control, socket.socket(fileno=fds[0]), int(data))
        self._brains.append(brain)
        return brain

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        for brain in self._brains:
            brain.close()
        self._listener.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.returncode != AlreadyRunningError.exit_code:
            remove_guard(self.state)


@contextlib.contextmanager
def guarding(
    folder: Path,
    *,
    socket_name: str = "puppet.sock",
    stop_timeout_s: float = 60.0,
    delay_last_s: float = DELAY_LAST_S,
) -> Iterator[GuardProcess]:
    """Run a guard on `folder`/state; nothing is left of it afterwards.

    Args:
        folder: Of the test.
        socket_name: Where its puppets come.
        stop_timeout_s: For the services when it stops.
        delay_last_s: The longest delay before the next brain.
    """
    guard = GuardProcess(folder / "state", socket_name, stop_timeout_s, delay_last_s)
    try:
        yield guard
    finally:
        guard.close()


def remove_guard(state: Path) -> None:
    """Kill what a killed guard had, and remove what it leaves: groups, and sockets in /tmp."""
    kill_everything(state)
    layout = remembered(state)
    if layout is not None:
        remove_notify_folder(Path(f"/tmp/resile-{os.geteuid()}-{layout.unit}"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"in vain waited for: {what}")
        time.sleep(0.005)


def noted(path: Path, count: int) -> list[int]:
    """Wait until so many pids are written down, and give them."""
    wait_until(lambda: path.exists() and len(path.read_text().split()) >= count, f"{path}")
    return [int(pid) for pid in path.read_text().split()]


def has_ended(pid: int) -> bool:
    """Tell whether a process is dead, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
