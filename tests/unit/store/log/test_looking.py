"""A log is looked at beside whoever writes it, up to what is damaged."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.file_transactions import quick_folder

from resile.errors import NotAStoreError, StoreError
from resile.store.log import LogLook, RecordLog, RecordType
from resile.store.log.segments import segment_name

FIRST = segment_name(1)


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as found:
        yield found / "log"


def write(folder: Path, *payloads: bytes, segment_bytes_max: int = 1 << 20) -> None:
    """Append records, each in a group of its own."""
    log = RecordLog(folder, segment_bytes_max=segment_bytes_max)
    for payload in payloads:
        log.sync(log.append(RecordType.OP, 7, payload))
    log.close()


def look(folder: Path) -> tuple[list[bytes], str]:
    found = LogLook(folder)
    return [record.payload for record in found.records()], found.damage


def test_a_log_that_is_not_there_is_empty(folder: Path) -> None:
    assert look(folder) == ([], "")


def test_each_flipped_bit_ends_the_look_at_the_last_good_record_and_is_told(folder: Path) -> None:
    said = [b"one", b"two", b"three"]
    write(folder, *said)
    whole = (folder / FIRST).read_bytes()

    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        (folder / FIRST).write_bytes(changed)
        try:
            found, damage = look(folder)
        except NotAStoreError:
            continue

        assert damage
        assert found == said[: len(found)]
        assert len(found) < len(said)


def test_a_log_cut_at_any_byte_is_told_by_its_head(folder: Path) -> None:
    said = [b"one", b"two", b"three"]
    write(folder, *said)
    whole = (folder / FIRST).read_bytes()

    for size in range(len(whole)):
        (folder / FIRST).write_bytes(whole[:size])

        found, damage = look(folder)

        assert damage
        assert found == said[: len(found)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_segment_is_told_wherever_it_is(folder: Path, number: int) -> None:
    write(folder, b"one", b"two", b"three", segment_bytes_max=1)
    (folder / segment_name(number)).unlink()

    found, damage = look(folder)

    assert damage
    assert found == [b"one", b"two", b"three"][: 0 if number == 1 else number - 1]


def test_a_damaged_head_is_told(folder: Path) -> None:
    write(folder, b"one")
    (folder / "head").write_bytes(b"")

    assert look(folder)[0] == []
    assert look(folder)[1]


def test_a_log_that_cannot_be_listed_is_an_error(folder: Path) -> None:
    folder.write_text("no folder")

    with pytest.raises(StoreError, match="cannot be read"):
        look(folder)


def test_a_torn_tail_is_left_out_and_nothing_is_changed(folder: Path) -> None:
    write(folder, b"one")
    with (folder / FIRST).open("ab") as file:
        file.write(b"RSLR torn")
    torn = (folder / FIRST).read_bytes()

    assert look(folder) == ([b"one"], "")
    assert (folder / FIRST).read_bytes() == torn


def test_it_is_read_while_another_process_has_it_open(folder: Path) -> None:
    log = RecordLog(folder, segment_bytes_max=1)
    log.sync(log.append(RecordType.OP, 7, b"one"))
    log.sync(log.append(RecordType.OP, 7, b"two"))
    log.append(RecordType.OP, 7, b"not durable")

    assert look(folder) == ([b"one", b"two"], "")

    log.drop_before(2)
    assert look(folder) == ([b"two"], "")
    log.close()
