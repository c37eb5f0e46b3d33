"""Crash bundles: what they hold, how many stay, and what a full disk may cost."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from resile.daemon.crashes import KEPT_WHEN_PRUNED, Crashes
from resile.daemon.protocol import Exited
from resile.testing import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def crash(second: int = 0, **fields: object) -> Exited:
    return Exited(
        service="api",
        generation=second + 1,
        pid=7,
        signal="SIGSEGV",
        at=NOW + timedelta(seconds=second),
        tail=("one", "two"),
        **fields,  # type: ignore[arg-type]
    )


def crashes(tmp_path: Path, *, keep: int = 50) -> Crashes:
    return Crashes(tmp_path, folders={"api": str(tmp_path)}, keep=keep, clock=FakeClock())


def written(folder: Crashes, exited: Exited) -> Path:
    path = folder.path_for(exited)
    folder.write(exited, path)
    return path


def test_bundle_holds_the_end_and_the_last_lines(tmp_path: Path) -> None:
    path = written(crashes(tmp_path), crash())

    bundle = json.loads(path.read_text())
    assert bundle["exit"]["signal"] == "SIGSEGV"
    assert bundle["last_lines"] == ["one", "two"]
    assert bundle["core"] == ""
    assert path.stat().st_mode & 0o777 == 0o600


def test_oldest_bundles_go_when_there_are_too_many(tmp_path: Path) -> None:
    folder = crashes(tmp_path, keep=2)

    paths = [written(folder, crash(second)) for second in range(4)]

    assert sorted(path.name for path in (tmp_path / "crashes").iterdir()) == sorted(
        path.name for path in paths[2:]
    )


def test_prune_takes_rotated_logs_and_leaves_the_newest_bundles(tmp_path: Path) -> None:
    folder = crashes(tmp_path)
    for second in range(KEPT_WHEN_PRUNED + 3):
        written(folder, crash(second))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "api.log").write_text("now")
    (tmp_path / "logs" / "api.log.1").write_text("before" * 1000)
    (tmp_path / "logs" / "odd.log.d").mkdir()

    told = folder.prune()

    assert told.startswith("freed ")
    assert not (tmp_path / "logs" / "api.log.1").exists()
    assert (tmp_path / "logs" / "api.log").exists()
    assert len(list((tmp_path / "crashes").iterdir())) == KEPT_WHEN_PRUNED


def test_bundle_is_left_out_when_there_is_no_room_for_it(tmp_path: Path) -> None:
    (tmp_path / "crashes").write_text("a file where the folder should be")

    folder = crashes(tmp_path)

    folder.write(crash(), folder.path_for(crash()))
