"""Who gets nothing stays so across restarts, until somebody releases it."""

from pathlib import Path

import pytest

from resile.core.files import PRIVATE_FILE_MODE
from resile.daemon.secretkeeper import quarantine as module
from resile.daemon.secretkeeper.quarantine import FILE_NAME, STEP_UP_S, Quarantine
from resile.errors import OperationError, RejectedError, SecretDamagedError
from resile.testing.clock import FakeClock

CLIENT = "user/0/psql"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def quarantine(tmp_path: Path, clock: FakeClock) -> Quarantine:
    return Quarantine(tmp_path, clock=clock)


def test_damaged_file_lets_nobody_through_unseen(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / FILE_NAME).write_text('{"version": 1}')

    with pytest.raises(SecretDamagedError):
        Quarantine(tmp_path, clock=clock)


def test_what_cannot_be_written_holds_in_this_life(quarantine: Quarantine, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(OperationError):
        quarantine.cut_off(CLIENT, why="a canary", who="secretkeeper")
    with pytest.raises(OperationError):
        quarantine.release(CLIENT)

    assert "a canary" in quarantine.why(CLIENT)


def test_there_may_not_be_too_many(quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENTS_MAX", 1)
    quarantine.cut_off(CLIENT, why="a canary", who="secretkeeper")

    with pytest.raises(RejectedError):
        quarantine.cut_off("user/0/other", why="a canary", who="secretkeeper")


def test_it_outlives_a_restart_and_ends_by_a_release(
    quarantine: Quarantine, tmp_path: Path, clock: FakeClock
) -> None:
    assert quarantine.cut_off(CLIENT, why="a canary", who="secretkeeper")
    assert not quarantine.cut_off(CLIENT, why="again", who="secretkeeper")

    again = Quarantine(tmp_path, clock=clock)

    assert "a canary" in again.why(CLIENT)
    assert again.why("user/0/other") == ""
    assert [one.who for one in again.all()] == ["secretkeeper"]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == PRIVATE_FILE_MODE
    assert again.release(CLIENT)
    assert not again.release(CLIENT)
    assert Quarantine(tmp_path, clock=clock).why(CLIENT) == ""


def test_what_is_owed_is_remembered_until_it_is_rotated(
    quarantine: Quarantine, tmp_path: Path, clock: FakeClock
) -> None:
    quarantine.cut_off(CLIENT, why="a canary", who="secretkeeper", owed=("db", "key"))

    again = Quarantine(tmp_path, clock=clock)
    assert again.owed() == {"db": "a canary", "key": "a canary"}
    again.rotated("db")
    again.rotated("other")

    assert Quarantine(tmp_path, clock=clock).owed() == {"key": "a canary"}
    assert "a canary" in again.why(CLIENT)


def test_who_has_to_ask_each_time_does_so_for_a_day(
    quarantine: Quarantine, tmp_path: Path, clock: FakeClock
) -> None:
    quarantine.step_up(CLIENT)

    again = Quarantine(tmp_path, clock=clock)
    assert again.must_ask(CLIENT)
    assert not again.must_ask("user/0/other")
    assert again.why(CLIENT) == ""
    clock.advance(STEP_UP_S)
    assert not again.must_ask(CLIENT)
