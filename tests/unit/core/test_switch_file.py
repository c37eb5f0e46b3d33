"""What another process reads of what is switched off."""

import contextlib
import json
import logging
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resile.core.events import EmergencyBegun, SwitchSet
from resile.core.switch_file import (
    SwitchReader,
    check_switch,
    read_switches,
    stamp_of,
    switches_file,
    write_switches,
)
from resile.core.switches import Switches
from resile.core.vocabulary import Part
from resile.errors import OperationError, RejectedError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def off(part: Part) -> Switches:
    until = NOW + timedelta(hours=1)
    return Switches().apply(SwitchSet(part=part, is_on=False, until=until, why="tests"), NOW)


def test_file_gives_what_was_written_and_is_private(tmp_path: Path) -> None:
    begun = EmergencyBegun(is_stopping_services=True, why="x", who="y")
    switches = off(Part.SCRUB).apply(begun, NOW)

    write_switches(tmp_path, switches)

    assert read_switches(tmp_path) == switches
    assert stat.S_IMODE(switches_file(tmp_path).stat().st_mode) == 0o600


def test_without_a_file_nothing_is_off(tmp_path: Path) -> None:
    assert read_switches(tmp_path) == Switches()
    check_switch(tmp_path, Part.CHAOS, now=NOW)


def test_file_tells_another_process_what_is_off(tmp_path: Path) -> None:
    write_switches(tmp_path, off(Part.RUNS))

    with pytest.raises(RejectedError, match="runs is switched off"):
        check_switch(tmp_path, Part.RUNS, now=NOW)


def test_file_that_is_damaged_anywhere_is_never_taken_for_another(tmp_path: Path) -> None:
    switches = off(Part.RUNS)
    write_switches(tmp_path, switches)
    whole = switches_file(tmp_path).read_bytes()

    for index in range(len(whole)):
        for damaged in (
            whole[:index],
            whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :],
        ):
            switches_file(tmp_path).write_bytes(damaged)
            with contextlib.suppress(OperationError):
                assert read_switches(tmp_path) == switches


def test_file_of_a_later_version_or_of_no_sense_is_an_error(tmp_path: Path) -> None:
    write_switches(tmp_path, Switches())
    data = json.loads(switches_file(tmp_path).read_bytes())

    for content in (json.dumps({**data, "version": 2}), "[]", "7", "\xff"):
        switches_file(tmp_path).write_text(content, encoding="latin-1")
        with pytest.raises(OperationError, match="nobody knows what is switched off"):
            read_switches(tmp_path)


def test_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    switches_file(tmp_path).mkdir(parents=True)

    with pytest.raises(OperationError, match="cannot be read"):
        read_switches(tmp_path)


def test_reader_reads_again_what_changed(tmp_path: Path) -> None:
    reader = SwitchReader(tmp_path)
    assert reader.now() == Switches()

    write_switches(tmp_path, off(Part.SCRUB))
    assert reader.now() == off(Part.SCRUB)
    assert reader.now() is reader.now()
    assert reader.why_off(Part.SCRUB, NOW).endswith(": tests")
    assert reader.why_off(Part.CHAOS, NOW) == ""

    switches_file(tmp_path).unlink()
    assert stamp_of(tmp_path) is None
    assert reader.now() == Switches()


def test_reader_keeps_what_it_knew_of_a_file_that_is_damaged_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = SwitchReader(tmp_path)
    write_switches(tmp_path, off(Part.SCRUB))
    before = reader.now()
    switches_file(tmp_path).write_bytes(b"damaged")

    with caplog.at_level(logging.WARNING):
        assert reader.now() == before
        assert reader.now() == before

    assert len(caplog.records) == 1
    assert "nobody knows" in reader.why_off(Part.CHAOS, NOW)
