"""Transactions: what beginning one costs, what a commit costs, and crashes at each step."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.transactions import Scene, make_scene, now
from tests.support.trees import Crashed, CrashingGate

from resile.contain.transaction import (
    Staging,
    Transaction,
    TransactionState,
    begin,
    recover,
    state_of,
)

MEMORY = Path("/dev/shm")
"""The crashes are those of the process; what a sync costs does not matter for them."""
FILES = 100_000
FILES_PER_FOLDER = 100
CHANGES = 30
ROUNDS = 15


def main() -> None:
    print("bar | target | measured")
    with scratch() as folder:
        for files in (100, FILES):
            workspace = make_files(folder / f"{files}", files)
            for is_durable in (True, False):
                print_begin(folder, workspace, files, is_durable=is_durable)
        seal_ms, commit_ms = measure_commit(folder, folder / f"{FILES}")
        print(f"seal {CHANGES} changes among {FILES:,} files | - | {seal_ms:.1f} ms")
        print(f"commit {CHANGES} changes among {FILES:,} files | - | {commit_ms:.1f} ms")
    with scratch(MEMORY if MEMORY.is_dir() else None) as folder:
        scene = make_scene(folder)
        print(f"crash before each step, recover | 100 % old or new | {measure_crashes(scene)}")
        print(f"crash before each step, undo | 100 % old, new if done | {measure_undo(scene)}")


@contextmanager
def scratch(place: Path | None = None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="resile-bench-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def make_files(folder: Path, count: int) -> Path:
    for number in range(count // FILES_PER_FOLDER or 1):
        below = folder / f"{number:04}"
        below.mkdir(parents=True)
        for name in range(FILES_PER_FOLDER):
            (below / f"{name:03}").write_text("content")
    return folder


def print_begin(folder: Path, workspace: Path, files: int, *, is_durable: bool) -> None:
    took = sorted(measure_begin(folder, workspace, is_durable=is_durable) for _ in range(ROUNDS))
    what = "durable" if is_durable else "as for a commit that follows at once"
    target = "< 20 ms" if files == FILES else "-"
    middle, least = took[ROUNDS // 2], took[0]
    print(
        f"begin with an overlay, {files:,} files, {what} | {target} | "
        f"{middle:.1f} ms (least {least:.1f})"
    )


def measure_begin(folder: Path, workspace: Path, *, is_durable: bool) -> float:
    """Give milliseconds. The run's folder is there already, as with `resile run`."""
    (folder / "run").mkdir(mode=0o700)
    began_s = time.perf_counter()
    transaction = begin(folder / "run", [workspace], staging=Staging.OVERLAY, is_durable=is_durable)
    took_s = time.perf_counter() - began_s
    transaction.close()
    shutil.rmtree(folder / "run")
    return took_s * 1000


def measure_commit(folder: Path, workspace: Path) -> tuple[float, float]:
    """Give milliseconds of a seal and of a commit, in the median."""
    runs = sorted((one_commit(folder, workspace, number) for number in range(ROUNDS)), key=sum)
    return runs[ROUNDS // 2]


def one_commit(folder: Path, workspace: Path, number: int) -> tuple[float, float]:
    transaction = begin(folder / "run", [workspace], staging=Staging.OVERLAY)
    change_upper(transaction, number)
    began_s = time.perf_counter()
    transaction.seal(is_durable=False)
    sealed_s = time.perf_counter()
    result = transaction.commit()
    took_s = time.perf_counter() - sealed_s
    assert result.committed == CHANGES
    shutil.rmtree(folder / "run")
    return (sealed_s - began_s) * 1000, took_s * 1000


def change_upper(transaction: Transaction, number: int) -> None:
    """Write into the upper folder what an overlay would: copies of files with other content."""
    upper = transaction.folder / "w0" / "upper"
    for index in range(CHANGES):
        below = upper / f"{index % 3:04}"
        below.mkdir(exist_ok=True)
        name = f"{index:03}" if index % 2 else f"new-{number}-{index}"
        (below / name).write_text(f"round {number}")


def measure_crashes(scene: Scene) -> str:
    right = 0
    steps = count_steps(scene)
    for at in range(1, steps + 1):
        crash(scene, at)
        is_new = state_of(scene.run) is not TransactionState.READY
        recover(scene.run)
        right += now(scene.workspace) == (scene.new if is_new else scene.old)
    return f"{right} of {steps}"


def measure_undo(scene: Scene) -> str:
    right = 0
    steps = count_steps(scene)
    for at in range(1, steps + 1):
        crash(scene, at)
        is_new = (scene.run / "done").exists()
        recover(scene.run, undo=True)
        right += now(scene.workspace) == (scene.new if is_new else scene.old)
    return f"{right} of {steps}"


def count_steps(scene: Scene) -> int:
    gate = CrashingGate()
    scene.fresh(gate).commit()
    return gate.count


def crash(scene: Scene, at: int) -> None:
    try:
        scene.fresh(CrashingGate(at)).commit()
    except Crashed:
        return
    raise AssertionError(f"no step {at}")
