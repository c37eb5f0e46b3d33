"""Process trees that do not want to die. Each gets a mark as its last argument, to be found by."""

from pathlib import Path

_DEAF = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
"""
_THREE = "for _ in range(3):\n    if os.fork() == 0:\n"
_SLEEP = "time.sleep(600)\n"

STUBBORN: dict[str, str] = {
    "plain": f"{_DEAF}{_THREE}        break\n{_SLEEP}",
    "setsid": f"{_DEAF}{_THREE}        os.setsid()\n        break\n{_SLEEP}",
    "double fork": f"{_DEAF}{_THREE}        os.setsid()\n        if os.fork(): os._exit(0)\n"
    f"        break\n{_SLEEP}",
    "leader exits first": f"{_DEAF}{_THREE}        os.setsid()\n        {_SLEEP}"
    "time.sleep(0.05)\nos._exit(0)\n",
    "SIGSTOPped": f"{_DEAF}{_THREE}        os.setsid()\n"
    f"        os.kill(os.getpid(), signal.SIGSTOP)\n{_SLEEP}",
    "respawning": f"{_DEAF}{_THREE}        while True:\n            if os.fork(): os._exit(0)\n"
    f"            os.setsid()\n            time.sleep(0.001)\n{_SLEEP}",
    "fork bomb": f"{_DEAF}while True:\n    try: os.fork()\n    except OSError: pass\n",
}


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
