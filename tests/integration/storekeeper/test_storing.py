"""What the brain's helper process does with a store, and what it answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from resile.daemon import storing
from resile.store import Rules, create, open_backend, take_snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kb"
    (made / "below").mkdir(parents=True)
    (made / "below" / "a").write_text("first")
    (made / "below" / "cache.tmp").write_text("kept")
    return made


@pytest.fixture
def taken(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = create(open_backend(tmp_path / "store"), cache=tmp_path / "cache" / "resile")
    snapshot = take_snapshot(store, folder, rules=Rules(excludes=("*.tmp",))).snapshot
    store.close()
    return snapshot.snapshot_id


def test_what_a_restore_will_keep_and_has_kept_is_told(
    folder: Path, taken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "below" / "a").write_text("second")
    inode = (folder / "below" / "cache.tmp").stat().st_ino

    def answer(verb: str, **more: Any) -> dict[str, Any]:
        place = str(folder.with_name("store"))
        work = {"place": place, "key_file": "", "state": "", "verb": verb, "id": taken, **more}
        assert storing.main([json.dumps(work)]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])["done"]
        return found

    diff = answer("diff", against="live")
    restored = answer("restore", paths=[])

    assert (diff["counts"], diff["left_out"]) == ({"modified": 1}, 1)
    assert (restored["kept"], restored["before"] is None) == (1, False)
    assert (folder / "below" / "a").read_text() == "first"
    assert (folder / "below" / "cache.tmp").stat().st_ino == inode
    assert answer("diff", against="live")["counts"] == {}
