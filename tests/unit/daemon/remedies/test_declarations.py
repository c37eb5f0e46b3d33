"""How a service was declared when it last worked is kept, and gone back to once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.systems import service, system

from resile.core.config import Config, load_config
from resile.daemon.remedies import Declarations
from resile.errors import OperationError
from resile.recover import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = NOW - timedelta(seconds=11)


def config(folder: Path, command: str, extra: str = "") -> Config:
    file = folder / "resile.toml"
    file.write_text(f'[service.a]\ncommand = ["{command}"]\n{extra}')
    return load_config(file, environ={})


def declared(folder: Path, command: str, extra: str = "") -> Declarations:
    return Declarations(config(folder, command, extra), state=folder / ".resile")


def world(ready_at: datetime | None = READY) -> World:
    made = World(system(service("a")))
    made.change("a", pid=1, ready_at=ready_at)
    return made


def proven(folder: Path, command: str = "good") -> None:
    declared(folder, command).note_proven(world(), NOW)


def test_nothing_is_changed_before_anything_was_proven(tmp_path: Path) -> None:
    fresh = declared(tmp_path, "good")

    assert fresh.changed() == ()
    with pytest.raises(OperationError, match="no change can be taken back"):
        fresh.roll_back("a", at=NOW)


@pytest.mark.parametrize("ready_at", [None, NOW - timedelta(seconds=9)])
def test_service_that_was_not_ready_for_long_proves_nothing(
    tmp_path: Path, ready_at: datetime | None
) -> None:
    declared(tmp_path, "good").note_proven(world(ready_at), NOW)

    assert declared(tmp_path, "bad").changed() == ()


def test_change_since_it_worked_is_taken_back_until_it_is_changed_again(tmp_path: Path) -> None:
    proven(tmp_path)
    changed = declared(tmp_path, "bad")
    assert changed.changed() == ("a",)

    effective, proven_at = changed.roll_back("a", at=NOW)

    assert effective.service["a"].command == ("good",)
    assert proven_at == NOW.isoformat()
    assert changed.roll_back("a", at=NOW)[0] == effective
    later = declared(tmp_path, "bad")
    assert later.effective().service["a"].command == ("good",)
    assert later.changed() == ()
    assert declared(tmp_path, "mended").effective().service["a"].command == ("mended",)


def test_what_was_rolled_back_is_never_proven_by_what_runs_instead(tmp_path: Path) -> None:
    proven(tmp_path)
    declared(tmp_path, "bad").roll_back("a", at=NOW)

    declared(tmp_path, "bad").note_proven(world(), NOW)

    assert declared(tmp_path, "bad").effective().service["a"].command == ("good",)


def test_change_of_a_check_or_of_restarts_is_no_change_of_what_is_launched(tmp_path: Path) -> None:
    proven(tmp_path)

    other = declared(tmp_path, "good", 'ready_timeout = "5s"\nrestart = { intensity = 9 }\n')

    assert other.changed() == ()


@pytest.mark.parametrize("content", ['{"format": 1, "digest"', "[]", "[" * 100_000])
def test_damaged_file_is_as_if_nothing_was_proven(tmp_path: Path, content: str) -> None:
    proven(tmp_path)
    (tmp_path / ".resile" / "declared" / "a.proven.json").write_text(content)

    assert declared(tmp_path, "bad").changed() == ()


def test_declaration_of_another_version_is_not_used(tmp_path: Path) -> None:
    proven(tmp_path)
    file = tmp_path / ".resile" / "declared" / "a.proven.json"
    file.write_text(file.read_text().replace('"command"', '"commando"'))

    with pytest.raises(OperationError, match="cannot be read any more"):
        declared(tmp_path, "bad").roll_back("a", at=NOW)
