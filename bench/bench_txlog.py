"""The transaction log: what doing, rolling back and committing many operations costs, durable."""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resile.store.transactions import FileOperation, OperationKind, TransactionLog

FILE_BYTES = 4096
FILES_PER_FOLDER = 1000
TARGETS = {1_000: ("< 200 ms", 5), 10_000: ("< 2000 ms", 3)}
"""For each count of operations, the bar and the rounds."""


def main() -> None:
    print("bar | target | measured")
    for count, (target, rounds) in TARGETS.items():
        undone, committed = [], []
        for _ in range(rounds):
            undone.append(measure(count, is_committed=False))
            committed.append(measure(count, is_committed=True))
        for what, bar, runs in (
            ("do {} operations, log first", "-", [run[0] for run in undone]),
            ("roll {} operations back, durable", target, [run[1] for run in undone]),
            ("commit {} operations, durable", "-", [run[1] for run in committed]),
        ):
            middle, least = statistics.median(runs), min(runs)
            print(f"{what.format(f'{count:,}')} | {bar} | {middle:.0f} ms (least {least:.0f})")
        print(f"recover {count:,} operations | - | {measure_recovery(count):.0f} ms")


@contextmanager
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="resile-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def make_files(folder: Path, count: int) -> list[str]:
    paths = [f"{number // FILES_PER_FOLDER:02}/{number:05}" for number in range(count)]
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(os.urandom(FILE_BYTES))
    os.sync()
    return paths


def operations_on(paths: list[str], count: int) -> list[FileOperation]:
    """Give 40 % creations, 40 % modifications, 20 % deletions, mixed."""
    kinds = ((OperationKind.CREATE, OperationKind.MODIFY) * 2 + (OperationKind.DELETE,)) * (
        count // 5
    )
    existing = iter(paths)
    return [
        FileOperation(
            kind=kind,
            path=f"{number // FILES_PER_FOLDER:02}/new-{number:05}"
            if kind is OperationKind.CREATE
            else next(existing),
            data=b"" if kind is OperationKind.DELETE else os.urandom(FILE_BYTES),
        )
        for number, kind in enumerate(kinds)
    ]


def measure(count: int, *, is_committed: bool) -> tuple[float, float]:
    """Give milliseconds of the operations, and of the rollback or the commit."""
    with scratch() as folder:
        tree = folder / "tree"
        operations = operations_on(make_files(tree, count), count)
        before = contents(tree)
        with TransactionLog(tree, folder / "log") as log:
            transaction = log.begin()
            began_s = time.perf_counter()
            transaction.apply(operations)
            done_s = time.perf_counter()
            if is_committed:
                transaction.commit()
            else:
                transaction.abort()
            ended_s = time.perf_counter()
        assert (contents(tree) == before) is not is_committed
    return (done_s - began_s) * 1000, (ended_s - done_s) * 1000


def measure_recovery(count: int) -> float:
    """Give milliseconds of opening a log with all operations in flight."""
    with scratch() as folder:
        tree = folder / "tree"
        operations = operations_on(make_files(tree, count), count)
        before = contents(tree)
        log = TransactionLog(tree, folder / "log")
        log.begin().apply(operations)
        log.close()
        began_s = time.perf_counter()
        log = TransactionLog(tree, folder / "log")
        took_s = time.perf_counter() - began_s
        log.close()
        assert contents(tree) == before
    return took_s * 1000


def contents(tree: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(tree)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in tree.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    main()
