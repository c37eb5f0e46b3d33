"""Flip one bit of a file, as a worn disk does: `python -m agent_runtime.flip [FILE]`.

Without FILE: in the middle of the largest pack of the example's store.
"""

import sys
from pathlib import Path

from agent_runtime.settings import from_environment


def flip(path: Path) -> None:
    """Flip a bit in the middle of a file, in place.

    Raises:
        SystemExit: With a message, if it cannot be written or is empty.
    """
    try:
        with path.open("r+b") as file:
            at = path.stat().st_size // 2
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ 1]))
    except (OSError, ValueError) as exc:
        raise SystemExit(f"no bit of {path} can be flipped: {exc}") from exc
    print(f"flipped a bit of byte {at} of {path}")


def largest_pack() -> Path:
    """Give the largest pack of the store.

    Raises:
        SystemExit: With a message, if there is none.
    """
    folder = from_environment().data / "store" / "packs"
    packs = [path for path in folder.glob("*") if path.is_file()]
    if not packs:
        raise SystemExit(f"there is no pack in {folder}: `make run` makes one within seconds")
    return max(packs, key=lambda path: path.stat().st_size)


if __name__ == "__main__":
    flip(Path(sys.argv[1]) if len(sys.argv) > 1 else largest_pack())
