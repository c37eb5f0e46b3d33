"""Escapes of a restore: hostile stores, and somebody who exchanges the target for links meanwhile."""

import random
import tempfile
from pathlib import Path

from tests.support.escapes import find_escapes

ROUNDS = 10_000
MEMORY = Path("/dev/shm")


def main() -> None:
    base = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        escaped = sum(
            bool(find_escapes(Path(folder), random.Random(seed))) for seed in range(ROUNDS)
        )
    print(f"rounds with something changed outside of the target: {escaped:,} of {ROUNDS:,} (bar 0)")


if __name__ == "__main__":
    main()
