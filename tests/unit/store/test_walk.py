"""What a look at a folder finds, and what is kept of it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.core.trees import FOLDER_FLAGS
from resile.store.walk import (
    CTIME,
    EVERYTHING,
    Scan,
    decode_facts,
    encode_facts,
    facts_of,
    scan,
    write_facts,
)

LATER_NS = 10**10
NO_TEXT = os.fsdecode(b"\xff no utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b", "a", "\N{FULLWIDTH LATIN SMALL LETTER A}", NO_TEXT):
        (tmp_path / name).write_text(name, errors="surrogateescape")
    (tmp_path / "below").mkdir()
    return tmp_path


def look(folder: Path) -> Scan:
    fd = os.open(folder, FOLDER_FLAGS)
    try:
        return scan(fd, "", EVERYTHING)
    finally:
        os.close(fd)


def test_names_are_in_the_order_of_their_bytes(folder: Path) -> None:
    names = [name for name, _ in look(folder).found]

    assert names == sorted((path.name for path in folder.iterdir()), key=os.fsencode)
    assert names != sorted(names)


def test_what_goes_while_it_is_looked_at_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_folder = os.scandir

    @contextlib.contextmanager
    def list_with_one_that_goes(fd: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        (folder / "gone").touch()
        with list_folder(fd) as entries:
            found = list(entries)
        (folder / "gone").unlink()
        yield iter(found)

    before = look(folder)
    monkeypatch.setattr(os, "scandir", list_with_one_that_goes)
    after = look(folder)

    assert [row.name for row in after.rows() if not row.is_folder] == [
        row.name for row in before.rows() if not row.is_folder
    ]


def test_facts_come_back_as_they_were(folder: Path) -> None:
    found = look(folder)
    data, is_lasting = encode_facts(found, found.found[0][1].st_mtime_ns + LATER_NS)

    assert is_lasting
    assert decode_facts(data) == {name: facts_of(status) for name, status in found.found}
    assert decode_facts(write_facts(decode_facts(data))) == decode_facts(data)
    assert decode_facts(write_facts({})) == {}


def test_what_changed_just_now_never_looks_as_before(folder: Path) -> None:
    found = look(folder)
    now_ns = found.found[0][1].st_mtime_ns + LATER_NS
    os.utime(folder / "a", ns=(now_ns, now_ns))

    data, is_lasting = encode_facts(look(folder), now_ns)
    known = decode_facts(data)

    assert not is_lasting
    assert known["a"][CTIME] == 0
    assert known["b"][CTIME] == (folder / "b").stat().st_ctime_ns


def test_facts_with_any_bit_flipped_are_not_believed(folder: Path) -> None:
    data, _ = encode_facts(look(folder), LATER_NS)

    assert decode_facts(None) == {}
    assert decode_facts(b"") == {}
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode_facts(bytes(flipped)) == {}
