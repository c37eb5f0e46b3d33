"""The data that the store is measured with: many small text files, ten big ones; from seeds.

As much as an office folder or a repository of sources has: sizes of small files are lognormal
around 8 KB, the big ones are half noise and half text. The same seed makes the same bytes.
"""

import random
from collections.abc import Iterator
from pathlib import Path

SEED = 20261125
FILES_PER_FOLDER = 50
FOLDERS_PER_SHELF = 100
SMALL_BYTES_MIN = 60
SMALL_BYTES_MAX = 200_000
SIZE_MU, SIZE_SIGMA = 8.3, 1.1
"""Of the natural logarithm of a small file's size: 7.4 KB in the mean."""
BIG_FILES = 10
BIG_BLOCKS = 58
"""MiB of each big file beside 50,000 small ones; fewer beside fewer."""
BLOCK_BYTES = 1 << 20
FILES_USUAL = 50_000
WORDS = 4000
TEXT_WORDS = 1_500_000
CHANGED_BIG = (0, 5)
OVERWRITTEN_BYTES = 64 << 10
INSERTED_BYTES = 100


def make_data(root: Path, files: int) -> int:
    """Make the data in a new folder; give its bytes."""
    chance = random.Random(SEED)
    text = make_text(chance)
    total = 0
    for index in range(files):
        path = small_path(root, index)
        if index % FILES_PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        total += path.write_bytes(small_content(chance, text, index))
    (root / "big").mkdir()
    for index in range(BIG_FILES):
        with big_path(root, index).open("wb") as file:
            for block in big_blocks(chance, text, max(1, BIG_BLOCKS * files // FILES_USUAL)):
                total += file.write(block)
    return total


def change_data(root: Path, files: int, seed: int) -> None:
    """Append to each hundredth small file; in two big ones overwrite 64 KiB and insert 100 bytes.

    What is inserted moves all that is behind it, as an editor does with a document.
    """
    chance = random.Random(SEED + seed)
    for index in chance.sample(range(files), files // 100):
        with small_path(root, index).open("ab") as file:
            file.write(b"appended by change %d\n" % seed)
    for index in CHANGED_BIG:
        path = big_path(root, index)
        content = bytearray(path.read_bytes())
        begin = chance.randrange(len(content) - OVERWRITTEN_BYTES)
        content[begin : begin + OVERWRITTEN_BYTES] = chance.randbytes(OVERWRITTEN_BYTES)
        begin = chance.randrange(len(content))
        content[begin:begin] = chance.randbytes(INSERTED_BYTES)
        path.write_bytes(content)


def make_many(root: Path, files: int) -> None:
    """Make a new folder of empty files, a hundred in each of its folders."""
    for index in range(files):
        folder = root / f"{index // 10_000:03}" / f"{index // 100:05}"
        if index % 100 == 0:
            folder.mkdir(parents=True)
        (folder / f"{index:06}").touch()


def small_path(root: Path, index: int) -> Path:
    folder = index // FILES_PER_FOLDER
    return root / f"shelf{folder // FOLDERS_PER_SHELF:02}" / f"folder{folder:04}" / f"{index}.txt"


def big_path(root: Path, index: int) -> Path:
    return root / "big" / f"{index}.dat"


def make_text(chance: random.Random) -> bytes:
    """Make some ten megabytes of words."""
    letters = b"abcdefghijklmnopqrstuvwxyz"
    words = [bytes(chance.choices(letters, k=chance.randint(2, 11))) for _ in range(WORDS)]
    return b" ".join(chance.choices(words, k=TEXT_WORDS))


def small_content(chance: random.Random, text: bytes, index: int) -> bytes:
    size = round(chance.lognormvariate(SIZE_MU, SIZE_SIGMA))
    size = min(SMALL_BYTES_MAX, max(SMALL_BYTES_MIN, size))
    begin = chance.randrange(len(text) - size)
    return b"file %d\n" % index + text[begin : begin + size]


def big_blocks(chance: random.Random, text: bytes, count: int) -> Iterator[bytes]:
    """Give noise and text by turns."""
    for index in range(count):
        if index % 2:
            yield chance.randbytes(BLOCK_BYTES)
        else:
            begin = chance.randrange(len(text) - BLOCK_BYTES)
            yield text[begin : begin + BLOCK_BYTES]
