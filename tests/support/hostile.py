"""Programs that nobody should trust, each with the reason that its run must end with."""

import sys
from dataclasses import dataclass, field
from typing import Any

from resile.core.vocabulary import RunReason

MIB = 1 << 20
PYTHON = sys.executable


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """One program.

    Args:
        name: What it does.
        argv: The command.
        reason: How its run must end.
        limits: What differs from `QUICK` in the tests.
        exit_code: What it exits with; None: it does not matter.
    """

    name: str
    argv: tuple[str, ...]
    reason: RunReason
    limits: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def python(name: str, code: str, reason: RunReason, **more: Any) -> Hostile:
    return Hostile(name=name, argv=(PYTHON, "-S", "-I", "-c", code), reason=reason, **more)


def shell(name: str, code: str, reason: RunReason, **more: Any) -> Hostile:
    return Hostile(name=name, argv=("sh", "-c", code), reason=reason, **more)


_DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
_SEGV = "import ctypes; ctypes.string_at(0)"
_SIGNAL = "import os, signal; os.kill(os.getpid(), signal.{})"
_CALL = "import ctypes, os; L = ctypes.CDLL(None, use_errno=True); r = L.{}; os._exit(0 if r >= 0 else 9)"
_FORKS = "import os, time\nfor _ in range(50):\n    if os.fork() == 0: time.sleep(30)\n"
_SHORT = {"time_s": 0.4}

PROGRAMS: tuple[Hostile, ...] = (
    shell("ends well", "true", RunReason.OK, exit_code=0),
    shell("fails", "exit 3", RunReason.EXIT, exit_code=3),
    shell("fails with the code of a signal", "exit 137", RunReason.EXIT, exit_code=137),
    shell("fails with the code of a time-out", "exit 124", RunReason.EXIT, exit_code=124),
    python("raises", "raise SystemExit(1)", RunReason.EXIT, exit_code=1),
    python("kills itself", _SIGNAL.format("SIGKILL"), RunReason.SIGNAL),
    python("aborts", "import os; os.abort()", RunReason.SIGNAL),
    python("ends itself by SIGTERM", _SIGNAL.format("SIGTERM"), RunReason.SIGNAL),
    python("divides by zero in C", _SIGNAL.format("SIGFPE"), RunReason.SIGNAL),
    python("reads address 0", _SEGV, RunReason.MEMORY_VIOLATION),
    python("raises SIGBUS", _SIGNAL.format("SIGBUS"), RunReason.MEMORY_VIOLATION),
    python(
        "reads behind the end of a mapped file",
        "import mmap, os, ctypes\n"
        "fd = os.open('/tmp/f', os.O_RDWR | os.O_CREAT)\nos.ftruncate(fd, 4096)\n"
        "m = mmap.mmap(fd, 4096)\nos.ftruncate(fd, 0)\nm[0]",
        RunReason.MEMORY_VIOLATION,
    ),
    shell("sleeps for ever", "sleep 600", RunReason.TIMEOUT, limits=_SHORT),
    python("sleeps, deaf to SIGTERM", f"{_DEAF}time.sleep(600)", RunReason.TIMEOUT, limits=_SHORT),
    python("spins for ever", "while True: pass", RunReason.TIMEOUT, limits=_SHORT),
    shell("stops itself", "kill -STOP $$", RunReason.TIMEOUT, limits=_SHORT),
    shell(
        "exits with 0 when it is asked to end",
        "trap 'exit 0' TERM; while :; do sleep 0.05; done",
        RunReason.TIMEOUT,
        limits=_SHORT,
    ),
    shell("waits for input that ends", "cat", RunReason.OK),
    shell(
        "reads random bytes for ever",
        "cat /dev/urandom > /dev/null",
        RunReason.TIMEOUT,
        limits=_SHORT,
    ),
    python("takes much memory", "b = bytearray(400 << 20)", RunReason.OOM),
    python(
        "takes memory bit by bit", "a = []\nwhile True: a.append(bytearray(1 << 20))", RunReason.OOM
    ),
    python(
        "lets a child take the memory, and exits with 0",
        "import os\npid = os.fork()\nif pid == 0: b = bytearray(400 << 20)\n"
        "os.waitpid(pid, 0)\nos._exit(0)",
        RunReason.OOM,
    ),
    python(
        "fills its /tmp, which is memory",
        "f = open('/tmp/f', 'wb')\nwhile True: f.write(bytes(1 << 20))",
        RunReason.OOM,
        limits={"memory": 32 * MIB, "disk_bytes": 512 * MIB},
    ),
    python(
        "uses up its processor time",
        "while True: pass",
        RunReason.CPU_BUDGET,
        limits={"cpu_time_s": 0.2, "cpu_share": 1.0},
    ),
    python(
        "uses it up in children",
        "import os\nfor _ in range(2):\n    if os.fork() == 0:\n        while True: pass\nos.wait()",
        RunReason.CPU_BUDGET,
        limits={"cpu_time_s": 0.2, "cpu_share": 1.0},
    ),
    python(
        "stays at its share where that kills",
        "while True: pass",
        RunReason.CPU_BUDGET,
        limits={"at_quota": "kill", "quota_grace_s": 0.5, "cpu_share": 0.2},
    ),
    python("forks above the limit, and fails", _FORKS, RunReason.PROCESSES),
    python(
        "bombs for as long as it may",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        RunReason.TIMEOUT,
        limits=_SHORT,
    ),
    python(
        "bombs and fails",
        "import os\nwhile True: os.fork()",
        RunReason.PROCESSES,
        limits={"time_s": 10.0},
    ),
    python(
        "starts threads above the limit",
        "import threading, time\nfor _ in range(20):\n"
        "    threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
        RunReason.PROCESSES,
    ),
    shell("prints without end", "yes", RunReason.OUTPUT),
    shell("prints errors without end", "yes >&2", RunReason.OUTPUT),
    python("prints a little too much", "print('x' * 1_100_000)", RunReason.OUTPUT),
    python(
        "writes one big file",
        "f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))",
        RunReason.DISK,
    ),
    shell("writes one big file, by the shell", "cat /dev/zero > big", RunReason.DISK),
    python(
        "writes many files",
        "import time\nfor i in range(3000): open(f'f{i}', 'wb')\ntime.sleep(5)",
        RunReason.DISK,
        limits={"disk_files": 1000},
    ),
    python(
        "writes many bytes in many files",
        "import time\nfor i in range(64): open(f'f{i}', 'wb').write(bytes(1 << 20))\ntime.sleep(5)",
        RunReason.DISK,
    ),
    python(
        "writes many bytes in files that it has removed",
        "import os, time\nfor i in range(64):\n"
        "    fd = os.open(f'f{i}', os.O_RDWR | os.O_CREAT)\n"
        "    os.unlink(f'f{i}')\n    os.write(fd, bytes(1 << 20))\ntime.sleep(5)",
        RunReason.DISK,
    ),
    python("mounts", _CALL.format("mount(b'x', b'/tmp', b'tmpfs', 0, None)"), RunReason.VIOLATION),
    python("traces its parent", _CALL.format("ptrace(16, 1, 0, 0)"), RunReason.VIOLATION),
    python("makes namespaces", _CALL.format("unshare(0x10000000)"), RunReason.VIOLATION),
    python("changes its root", _CALL.format("chroot(b'/tmp')"), RunReason.VIOLATION),
    python("enters a namespace", _CALL.format("setns(0, 0)"), RunReason.VIOLATION),
    python("unmounts", _CALL.format("umount2(b'/tmp', 2)"), RunReason.VIOLATION),
    python(
        "loads a module",
        "import ctypes, os\nL = ctypes.CDLL(None)\nL.syscall(175, 0, 0, 0)\nos._exit(0)",
        RunReason.VIOLATION,
    ),
    python(
        "connects to the network",
        "import socket\ns = socket.socket()\ntry: s.connect(('192.0.2.1', 80))\n"
        "except OSError: raise SystemExit(7)",
        RunReason.EXIT,
        exit_code=7,
    ),
    shell("kills all that it may", "kill -9 -1; exit 5", RunReason.EXIT, exit_code=5),
    shell("is killed by its own child", "sh -c 'kill -9 $PPID'; sleep 5", RunReason.SIGNAL),
    python(
        "leaves its group and lives on",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        "    time.sleep(600)\nos._exit(0)",
        RunReason.OK,
        exit_code=0,
    ),
    Hostile(
        name="is not there", argv=("no-such-program-anywhere",), reason=RunReason.LAUNCH_FAILED
    ),
    Hostile(name="is no program", argv=("/etc/hostname",), reason=RunReason.LAUNCH_FAILED),
    Hostile(name="is a folder", argv=("/usr",), reason=RunReason.LAUNCH_FAILED),
)
