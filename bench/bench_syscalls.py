"""Kill a commit at each of its system calls that change files, by strace; then recover and look.

Needs strace (`apt-get install strace`). Each round is a process of its own that is killed by SIGKILL
at the entry of one call, so that even what happens between two of our own steps is cut.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.transactions import Scene, make_scene, now
from tests.support.trees import CrashingGate

from resile.contain.transaction import recover

ROOT = Path(__file__).parents[1]
MEMORY = Path("/dev/shm")
CALLS = (
    *(
        "renameat2",
        "renameat",
        "rename",
        "linkat",
        "link",
        "unlinkat",
        "unlink",
        "mkdirat",
        "mkdir",
    ),
    *("rmdir", "symlinkat", "symlink", "mknodat", "ftruncate", "copy_file_range", "fchmod"),
    *(
        "fchmodat",
        "fchownat",
        "fchown",
        "lchown",
        "utimensat",
        "fsetxattr",
        "setxattr",
        "lsetxattr",
    ),
    *("fsync", "fdatasync", "syncfs", "sync_file_range", "write", "pwrite64", "ioctl"),
)
COMMIT = """
import os, sys
from pathlib import Path
from resile.contain.transaction import open_transaction
transaction = open_transaction(Path(sys.argv[1]))
os.write(2, b"BEGIN\\n")
transaction.commit()
os.write(2, b"END\\n")
"""


def main() -> None:
    print("bar | target | measured")
    if shutil.which("strace") is None:
        print("kill at each system call of a commit | 100 % old or new | no strace here: skipped")
        return
    with tempfile.TemporaryDirectory(prefix="resile-bench-", dir=_memory()) as name:
        scene = make_scene(Path(name))
        before, during = count_calls(scene)
        right, killed, rounds = 0, 0, 0
        for call, count in during.items():
            for index in range(1, count + 1):
                rounds += 1
                was_killed, is_whole = kill_at(scene, call, before[call] + index)
                killed += was_killed
                right += is_whole
    what = f"{right} of {rounds}, {killed} really killed ({len(during)} calls)"
    print(f"kill at each system call of a commit, recover | 100 % old or new | {what}")


def count_calls(scene: Scene) -> tuple[Counter[str], Counter[str]]:
    """Count each call before the commit, which is not to be hit, and during it."""
    scene.fresh(CrashingGate())
    lines = strace(scene, f"trace={','.join(CALLS)}").splitlines()
    begun = next(i for i, line in enumerate(lines) if '"BEGIN' in line)
    ended = next(i for i, line in enumerate(lines) if '"END' in line)
    return names(lines[: begun + 1]), names(lines[begun + 1 : ended])


def kill_at(scene: Scene, call: str, at: int) -> tuple[bool, bool]:
    """Kill a commit at one call; tell whether that came, and whether the tree is old or new then."""
    scene.fresh(CrashingGate())
    was_killed = "END" not in strace(scene, f"inject={call}:signal=KILL:when={at}")
    recover(scene.run)
    return was_killed, now(scene.workspace) in (scene.old, scene.new)


def strace(scene: Scene, expression: str) -> str:
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", expression, sys.executable, "-c", COMMIT, str(scene.run)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr


def names(lines: list[str]) -> Counter[str]:
    found = (re.match(r"(?:\[pid +\d+\] )?(\w+)\(", line) for line in lines)
    return Counter(match[1] for match in found if match)


def _memory() -> Path | None:
    return MEMORY if MEMORY.is_dir() else None


if __name__ == "__main__":
    main()
