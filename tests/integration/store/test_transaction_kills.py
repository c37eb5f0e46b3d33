"""A real process is killed while it works: what it said to be committed is there, and nothing half."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from resile.store.transactions import TransactionLog

FILES = [f"file-{number}" for number in range(20)]
WORK = """
import sys
from pathlib import Path
from resile.store.transactions import FileOperation, OperationKind, TransactionLog

folder, state, files = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
log = TransactionLog(folder, state, segment_bytes_max=20_000)
turn = int((folder / files[0]).read_text())
while True:
    turn += 1
    for end in ("abort", "commit"):
        transaction = log.begin()
        data = f"{turn if end == 'commit' else -1}".encode()
        half = len(files) // 2
        for some in (files[:half], files[half:]):
            transaction.apply(
                [FileOperation(kind=OperationKind.MODIFY, path=path, data=data) for path in some]
            )
        transaction.create("extra", data)
        transaction.delete("extra")
        getattr(transaction, end)()
    print(turn, flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_time_loses_no_commit_and_mixes_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder, state = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("0")
    command = [sys.executable, "-c", WORK, str(folder), str(state), *FILES]

    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            try:
                if child.stdout is None:
                    raise AssertionError("a pipe was asked for")
                acknowledged = 0
                for _ in range(rng.randint(1, 8)):
                    acknowledged = int(child.stdout.readline())
                for _ in range(rng.randint(0, 20_000)):
                    pass  # Some time within a transaction, other than where it prints.
            finally:
                child.kill()
            rest = child.stdout.read().split()
        with TransactionLog(folder, state) as log:
            assert log.recovered.hindered == {}

        contents = {int((folder / name).read_text()) for name in FILES}
        assert len(contents) == 1, f"seed {seed}"
        acknowledged = max([acknowledged, *map(int, rest)])
        assert contents <= {acknowledged, acknowledged + 1}
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
