"""Kill a commit at each of its system calls that change files, by strace; then recover and look.

Needs strace (`apt-get install strace`). Each round is a process of its own that is killed by SIGKILL
at the entry of one call, so that even what happens between two of our own steps is cut.
"""

import sys
import tempfile
from pathlib import Path

from tests.support.syscalls import Round, has_strace, kill_at_each_syscall
from tests.support.transactions import Scene, make_scene, now
from tests.support.trees import CrashingGate

from resile.contain.transaction import recover

ROOT = Path(__file__).parents[1]
MEMORY = Path("/dev/shm")
BAR = "kill at each system call of a commit, recover | 100 % old or new"
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
    if not has_strace():
        print(f"{BAR} | no strace here: skipped")
        return
    with tempfile.TemporaryDirectory(prefix="resile-bench-", dir=_memory()) as name:
        rounds = kill_commits(make_scene(Path(name)))
    right = sum(each.is_right for each in rounds)
    killed = sum(each.was_killed for each in rounds)
    calls = len({each.call for each in rounds})
    print(f"{BAR} | {right} of {len(rounds)}, {killed} really killed ({calls} calls)")


def kill_commits(scene: Scene) -> list[Round]:
    def is_whole(_: int) -> bool:
        recover(scene.run)
        return now(scene.workspace) in (scene.old, scene.new)

    return list(
        kill_at_each_syscall(
            [sys.executable, "-c", COMMIT, str(scene.run)],
            prepare=lambda: scene.fresh(CrashingGate()).close(),
            check=is_whole,
            begin="BEGIN",
            end="END",
            folder=ROOT,
        )
    )


def _memory() -> Path | None:
    return MEMORY if MEMORY.is_dir() else None


if __name__ == "__main__":
    main()
