"""Process trees that do not want to die. Each gets a mark as its last argument, to be found by."""

from pathlib import Path

_DEAF = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
"""

TREES: dict[str, str] = {
    "plain": _DEAF + "for _ in range(3):\n    if os.fork() == 0: break\ntime.sleep(600)\n",
    "setsid": _DEAF
    + "for _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        break\ntime.sleep(600)\n",
    "double fork": _DEAF
    + "for _ in range(3):\n"
    + "    if os.fork() == 0:\n        os.setsid()\n        if os.fork(): os._exit(0)\n        break\n"
    + "time.sleep(600)\n",
    "SIGSTOPped": _DEAF
    + "for _ in range(3):\n"
    + "    if os.fork() == 0:\n        os.setsid()\n        os.kill(os.getpid(), signal.SIGSTOP)\n"
    + "time.sleep(600)\n",
    "respawning": _DEAF
    + "for _ in range(3):\n    if os.fork() == 0:\n        while True:\n"
    + "            if os.fork(): os._exit(0)\n            os.setsid()\n            time.sleep(0.001)\n"
    + "time.sleep(600)\n",
    "leader that exits first": _DEAF
    + "for _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)\n"
    + "time.sleep(0.05)\nos._exit(0)\n",
    "fork bomb": _DEAF + "while True:\n    try: os.fork()\n    except OSError: pass\n",
}
"""All but the bomb have four processes at a time, one of them the leader."""


def live_marks(mark: str) -> list[int]:
    """List the processes whose command line has a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
