import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.file_transactions import quick_folder
from tests.support.trees import Crashed, CrashingGate, FailingGate

from resile.errors import AlreadyRunningError, NotAStoreError, StoreDamagedError, StoreError
from resile.store.log import LogFiles, RecordLog, RecordType
from resile.store.log.head import SLOT_BYTES
from resile.store.log.segments import HEADER_BYTES, segment_name

FIRST = segment_name(1)


def write(folder: Path, *groups: list[bytes], **options: int) -> None:
    """Append groups of records, each synced, and end as a process does that dies."""
    log = RecordLog(folder, **options)
    for group in groups:
        for payload in group:
            seq = log.append(RecordType.OP, 7, payload)
        log.sync(seq)
    log.close()


def payloads(folder: Path) -> list[bytes]:
    log = RecordLog(folder)
    try:
        return [record.payload for record in log.read()]
    finally:
        log.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as found:
        yield found / "log"


# Damage -------------------------------------------------------------------------------------------


def test_a_flipped_bit_in_any_byte_is_found_and_nothing_is_cut_off(folder: Path) -> None:
    write(folder, [b"one", b"two"], [b"three"])
    whole = (folder / FIRST).read_bytes()

    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        (folder / FIRST).write_bytes(changed)

        with pytest.raises((StoreDamagedError, NotAStoreError)):
            RecordLog(folder)
        assert (folder / FIRST).read_bytes() == changed


def test_what_is_rotten_is_kept_in_quarantine_and_named(folder: Path) -> None:
    write(folder, [b"one"], [b"two"])
    whole = bytearray((folder / FIRST).read_bytes())
    whole[HEADER_BYTES + 20] ^= 1
    (folder / FIRST).write_bytes(whole)

    with pytest.raises(StoreDamagedError) as caught:
        RecordLog(folder)

    assert caught.value.name == FIRST
    assert f"at byte {HEADER_BYTES}" in caught.value.message
    assert (folder / "quarantine" / FIRST).read_bytes() == whole


def test_a_log_cut_at_any_byte_is_seen_by_its_head(folder: Path) -> None:
    write(folder, [b"one", b"two"], [b"three"])
    whole = (folder / FIRST).read_bytes()

    for size in range(len(whole)):
        (folder / FIRST).write_bytes(whole[:size])

        with pytest.raises(StoreDamagedError):
            RecordLog(folder)
        assert (folder / FIRST).stat().st_size == size


def test_a_group_cut_at_any_byte_before_it_was_durable_is_a_torn_tail(folder: Path) -> None:
    write(folder, [b"one", b"two"])
    durable = (folder / FIRST).read_bytes()
    head = (folder / "head").read_bytes()
    write(folder, [b"three", b"four"])
    whole = (folder / FIRST).read_bytes()
    third_end = len(durable) + (len(whole) - len(durable) + 1) // 2

    for size in range(len(durable), len(whole)):
        (folder / FIRST).write_bytes(whole[:size])
        (folder / "head").write_bytes(head)
        log = RecordLog(folder)
        found = [record.payload for record in log.read()]
        log.close()

        kept = third_end if size >= third_end else len(durable)
        assert found == [b"one", b"two", b"three"][: 2 + (size >= third_end)]
        assert log.torn_bytes == size - kept
        assert (folder / FIRST).stat().st_size == kept


def test_a_group_of_which_only_later_pages_came_to_the_disk_is_torn(folder: Path) -> None:
    write(folder, [b"one"])
    head = (folder / "head").read_bytes()
    size = (folder / FIRST).stat().st_size
    write(folder, [b"two", b"three"])
    data = bytearray((folder / FIRST).read_bytes())
    data[size : size + 30] = b"\0" * 30
    (folder / FIRST).write_bytes(data)
    (folder / "head").write_bytes(head)

    assert payloads(folder) == [b"one"]


def test_a_bad_record_with_a_later_group_behind_it_is_rot_without_a_head_too(folder: Path) -> None:
    write(folder, [b"one"])
    head = (folder / "head").read_bytes()
    size = (folder / FIRST).stat().st_size
    write(folder, [b"two"], [b"three"])
    data = bytearray((folder / FIRST).read_bytes())
    data[size + 20] ^= 4
    (folder / FIRST).write_bytes(data)
    (folder / "head").write_bytes(head)

    with pytest.raises(StoreDamagedError, match="record 2 is bad, and later ones are good"):
        RecordLog(folder)


def test_a_record_of_another_log_that_is_stored_as_content_is_no_record(folder: Path) -> None:
    other = folder.with_name("other")
    write(other, *[[b"x"]] * 9)
    content = (other / FIRST).read_bytes()
    write(folder, [b"one"])
    head = (folder / "head").read_bytes()
    write(folder, [content])
    data = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(data[:-1])
    (folder / "head").write_bytes(head)

    assert payloads(folder) == [b"one"]


def test_a_record_taken_out_breaks_the_chain(folder: Path) -> None:
    write(folder, [b"one"], [b"two"], [b"six"])
    data = (folder / FIRST).read_bytes()
    length = (len(data) - HEADER_BYTES) // 3
    (folder / FIRST).write_bytes(data[: HEADER_BYTES + length] + data[HEADER_BYTES + 2 * length :])

    with pytest.raises(StoreDamagedError, match="does not continue the chain"):
        RecordLog(folder)


@pytest.mark.parametrize("at", range(0, 96, 5))
def test_a_head_with_one_torn_slot_is_read_from_the_other(folder: Path, at: int) -> None:
    write(folder, [b"one"], [b"two"])
    write(folder, [b"three"])
    data = bytearray((folder / "head").read_bytes())
    newer = max((0, SLOT_BYTES), key=lambda slot: data[slot + 32])
    data[newer + at] ^= 1
    (folder / "head").write_bytes(data)

    assert payloads(folder) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("what", ["zeros", "missing"])
def test_a_log_without_a_head_is_refused(folder: Path, what: str) -> None:
    write(folder, [b"one"])
    if what == "zeros":
        (folder / "head").write_bytes(b"\0" * 2 * SLOT_BYTES)
    else:
        (folder / "head").unlink()

    with pytest.raises(StoreDamagedError, match="head"):
        RecordLog(folder)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_missing_segment_is_seen(folder: Path, number: int) -> None:
    write(folder, *[[b"x" * 90]] * 3, segment_bytes_max=200)
    segments = sorted(folder.glob("0*.log"))
    assert len(segments) == 3

    segments[number].unlink()

    with pytest.raises(StoreDamagedError):
        RecordLog(folder)


def test_a_bad_end_of_a_closed_segment_is_rot(folder: Path) -> None:
    write(folder, *[[b"x" * 90]] * 3, segment_bytes_max=200)
    with (folder / FIRST).open("ab") as file:
        file.write(b"more")

    with pytest.raises(StoreDamagedError):
        RecordLog(folder)


def test_a_format_to_come_is_not_read(folder: Path) -> None:
    import google_crc32c

    write(folder, [b"one"])
    data = bytearray((folder / FIRST).read_bytes())
    data[8] = 2
    data[60:64] = google_crc32c.value(bytes(data[:60])).to_bytes(4, "little")
    (folder / FIRST).write_bytes(data)

    with pytest.raises(NotAStoreError, match="version 2"):
        RecordLog(folder)


# Errors of the disk -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 3])
def test_after_an_error_the_log_takes_nothing_more_and_opens_with_what_was_durable(
    folder: Path, at: int
) -> None:
    write(folder, [b"one"])
    count = CrashingGate()
    RecordLog(folder, files=LogFiles(count)).close()
    log = RecordLog(folder, files=LogFiles(FailingGate(count.count + at, number=errno.EIO)))
    seq = log.append(RecordType.OP, 1, b"two")

    with pytest.raises(StoreError, match="Input/output error"):
        log.sync(seq)
    with pytest.raises(StoreError, match="takes nothing more"):
        log.append(RecordType.OP, 1, b"three")
    log.close()

    assert payloads(folder)[:1] == [b"one"]
    assert len(payloads(folder)) == (1 if at == 1 else 2)


def test_a_crash_before_any_effect_leaves_a_log_that_opens_with_what_was_durable(
    folder: Path,
) -> None:
    at, is_over = 0, False
    while not is_over:
        at += 1
        place = folder.with_name(f"{at}")
        durable: list[bytes] = []
        log = None
        try:
            log = RecordLog(place, segment_bytes_max=200, files=LogFiles(CrashingGate(at)))
            for payload in (b"one" * 20, b"two" * 20, b"three" * 20):
                seq = log.append(RecordType.OP, 1, payload)
                log.sync(seq)
                durable.append(payload)
                log.export_head(seq)
            log.drop_before(3)
            is_over = True
        except Crashed:
            pass
        if log is not None:
            log.close()

        found = payloads(place)
        assert found[-len(durable) :] == durable[-len(found) :] or len(found) == len(durable) + 1
    assert at > 20


def test_two_processes_do_not_share_a_log(folder: Path) -> None:
    log = RecordLog(folder)

    with pytest.raises(AlreadyRunningError):
        RecordLog(folder)
    log.close()
    log.close()


# What it does -------------------------------------------------------------------------------------


def test_records_come_back_in_order_over_segments_and_openings(folder: Path) -> None:
    wanted = [bytes([number]) * number for number in range(100)]
    for number in range(0, 100, 10):
        write(folder, wanted[number : number + 4], wanted[number + 4 : number + 10])

    log = RecordLog(folder, segment_bytes_max=500)
    records = list(log.read())
    later = [record.seq for record in log.read(42)]
    log.close()

    assert [record.payload for record in records] == wanted
    assert [record.seq for record in records] == list(range(1, 101))
    assert {record.transaction for record in records} == {7}
    assert later == list(range(42, 101))


def test_a_group_is_one_write_and_one_sync(folder: Path) -> None:
    gate = CrashingGate()
    log = RecordLog(folder, files=LogFiles(gate))
    gate.effects.clear()
    for _ in range(1000):
        seq = log.append(RecordType.OP, 1, b"x")

    log.sync(seq)
    log.sync(seq)
    log.close()

    assert gate.effects == ["log_write", "log_sync", "log_write"]


def test_dropped_segments_are_gone_and_the_rest_opens(folder: Path) -> None:
    log = RecordLog(folder, segment_bytes_max=200)
    for _ in range(6):
        log.sync(log.append(RecordType.OP, 1, b"x" * 90))

    assert log.drop_before(4) == 3
    assert log.drop_before(4) == 0
    assert [record.seq for record in log.read()] == [4, 5, 6]
    assert log.drop_before(99) == 2
    assert log.first_seq == 6
    log.close()

    assert len(payloads(folder)) == 1
    assert len(list(folder.glob("0*.log"))) == 1


def test_threads_that_append_at_once_share_syncs_and_lose_nothing(folder: Path) -> None:
    gate = CrashingGate()
    log = RecordLog(folder, segment_bytes_max=3000, files=LogFiles(gate))
    start = threading.Barrier(8, timeout=30)

    def work(number: int) -> None:
        start.wait()
        for index in range(50):
            seq = log.append(RecordType.OP, number, index.to_bytes(2, "little"))
            log.sync(seq)
            log.export_head(seq)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    log = RecordLog(folder)
    records = list(log.read())
    log.close()

    for number in range(8):
        mine = [int.from_bytes(r.payload, "little") for r in records if r.transaction == number]
        assert mine == list(range(50))


def test_files_are_private(folder: Path) -> None:
    write(folder, [b"one"])

    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
