"""The store's commands as a user types them: answers, mistakes, and what they exit with."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.storing import flip

RESILE = Path(sys.executable).with_name("resile")
Done = subprocess.CompletedProcess[str]


class Shell:
    """A folder with a source; commands are typed there. Modules stay compiled between them."""

    def __init__(self, folder: Path, compiled: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.store = folder / "store"
        (self.source / "below").mkdir(parents=True)
        (self.source / "a").write_text("first\n")
        (self.source / "below" / "b").write_text("b\n" * 100)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environ = {
            **inherited,
            "RESILE_STORE": "store",
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTHONPYCACHEPREFIX": str(compiled),
            "TZ": "Asia/Tokyo",
        }

    def __call__(self, *words: object, **environ: str) -> Done:
        done = subprocess.run(
            [RESILE, *map(str, words)],
            cwd=self.folder,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout
        assert "mistake in resile" not in done.stderr + done.stdout
        return done

    def json(self, *words: object, code: int = 0) -> Any:
        done = self(*words, "--json")
        assert (done.returncode, done.stderr) == (code, ""), done
        return json.loads(done.stdout)

    def refused(self, *words: object, code: int, says: str, **environ: str) -> Done:
        """Type a command that is told no: what is so, and what to do."""
        done = self(*words, **environ)
        assert done.returncode == code, done
        assert says in done.stderr, done
        assert "hint: " in done.stderr, done
        return done


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def typed(tmp_path: Path, compiled: Path) -> Shell:
    return Shell(tmp_path, compiled)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Path:
    folder = tmp_path_factory.mktemp("template")
    assert Shell(folder, compiled)("snapshot", "source").returncode == 0
    return folder


@pytest.fixture
def stored(template: Path, typed: Shell) -> Shell:
    """With one snapshot, taken of a folder of the same content."""
    for name in ("store", "cache"):
        shutil.copytree(template / name, typed.folder / name)
    return typed


def test_from_the_first_snapshot_to_the_last(typed: Shell) -> None:
    taken = typed("snapshot", "source", "--tag", "one")
    assert taken.returncode == 0
    assert "2 files in 2 folders" in taken.stdout
    (typed.source / "a").write_text("second\n")
    second = typed.json("snapshot", "source")
    assert second["is_changed"]
    assert second["parent"]

    listed = typed("snapshots")
    assert listed.stdout.count("source") >= 2
    assert "one" in listed.stdout
    (first, _) = typed.json("snapshots")["snapshots"]
    assert (first["tags"], first["protected"]) == (["one"], False)
    assert typed.json("snapshots", "--tag", "one")["snapshots"] == [first]

    assert typed("cat", "latest", "a").stdout == "second\n"
    assert typed("cat", first["id"][:8], "a").stdout == "first\n"
    assert "below" in typed("ls", "latest").stdout
    found = typed.json("ls", "latest", "-r")["entries"]
    assert [(one["path"], one["type"]) for one in found] == [
        ("a", "file"),
        ("below", "folder"),
        ("below/b", "file"),
    ]
    assert typed("ls", "latest", "below/b").returncode == 0

    assert "nothing is wrong" in typed("verify", "--data").stdout
    assert typed.json("verify")["is_sound"]
    assert typed("replicate", "--to", "replica", "--lag").stdout.startswith("2 snapshots behind")
    assert typed.json("replicate", "--to", "replica")["copied"] > 0
    assert typed("replicate", "--to", "replica", "--lag").stdout == "in step\n"

    assert typed("forget", "--protect", first["id"][:8]).stdout == "done\n"
    typed.refused("forget", first["id"], code=3, says="is protected")
    kept = typed.json("forget", "--keep", "last=1", "--dry-run")["snapshots"]
    assert [one["kept_by"] for one in kept] == [["newest", "last"], ["protected"]]
    typed("forget", "--unprotect", first["id"])
    assert "forgotten" in typed("forget", "--keep", "last=1").stdout
    assert len(typed.json("snapshots")["snapshots"]) == 1
    assert typed.json("gc", "--dry-run")["removed"] == 0
    assert "removed" in typed("gc").stdout
    assert typed.json("replicate", "--to", "replica", "--prune")["removed"] > 0
    assert "nothing is wrong" in typed("repair", "--from", "replica").stdout
    assert typed("cat", "latest", "below/b").stdout == "b\n" * 100


def test_a_restore_in_place_tells_what_it_keeps(typed: Shell) -> None:
    typed("snapshot", "source", "--exclude", "*.tmp")
    for name in ("b.tmp", "c.tmp"):
        (typed.source / "below" / name).write_text(name)
    (typed.source / "a").write_text("second")
    told = "2 paths that its snapshots leave out"

    said = typed("restore", "latest", "--in-place", "--dry-run").stdout
    assert said.splitlines()[0] == "~ a"
    assert f"{told} stay as they are, as below/b.tmp" in said
    said = typed("restore", "latest", "--in-place").stdout
    assert f"{told} stayed as they were, as below/b.tmp" in said
    first = typed.json("snapshots")["snapshots"][0]["id"]
    assert typed.json("restore", first, "--in-place")["kept"] == ["below/b.tmp", "below/c.tmp"]

    assert (typed.source / "a").read_text() == "first\n"
    assert (typed.source / "below" / "c.tmp").read_text() == "c.tmp"
    (typed.source / "b.tmp").touch()
    shutil.rmtree(typed.source / "below")
    (typed.source / "below").mkdir()
    assert typed.json("restore", first, "below", "--in-place")["kept"] == []


def test_damage_is_told_and_mended(stored: Shell) -> None:
    stored("replicate", "--to", "replica")
    pack = min((stored.store / "packs").iterdir())
    flip(pack, 8 * 80)

    assert stored.json("verify", "--data", code=8)["flaws"][0]["name"] == f"packs/{pack.name}"
    stored.refused("verify", "--data", code=8, says=f"packs/{pack.name[:10]}: ")
    stored.refused("replicate", "--to", "other", code=8, says="not copied")
    assert "WOULD COME FROM" in stored("repair", "--from", "replica", "--dry-run").stdout
    mended = stored.json("repair", "--from", "replica")
    assert mended["flaws_after"] == 0
    assert mended["mended"][0]["from"] == "replica"

    (stored.store / "format").write_text("{}")
    stored.refused("snapshots", code=8, says="format")
    again = stored("repair", "--from", "replica")
    assert (again.returncode, again.stdout) == (0, "nothing is wrong\n")
    assert "format was mended" in again.stderr


def test_what_is_lost_is_told(typed: Shell) -> None:
    typed("snapshot", "source")
    for pack in (typed.store / "packs").iterdir():
        pack.unlink()
    (typed.source / "a").unlink()

    typed.refused("verify", code=8, says="things are wrong")
    typed.refused("cat", "latest", "below/b", code=8, says="missing")
    assert typed.json("repair", code=8)["lost"]
    assert typed("cat", "latest", "below/b").stdout == "b\n" * 100


def test_a_snapshot_that_cannot_be_read_is_told_by_every_command(stored: Shell) -> None:
    (record,) = (stored.store / "snapshots").iterdir()
    flip(record, 900)

    done = stored("snapshots", XDG_CACHE_HOME=str(stored.folder / "other"))

    assert "no snapshot" in done.stdout
    assert f"warning: snapshots/{record.name} cannot be read" in done.stderr


def test_unreadable_and_odd_names(stored: Shell) -> None:
    """As a plain user's shell would show them: nothing plays with the terminal."""
    name = os.fsdecode(b"\x1b[31mred\n\xff")
    (stored.source / name).write_text("odd")

    stored("snapshot", "source")
    listed = stored("ls", "latest")
    shown = stored.json("ls", "latest")["entries"][0]["path"]

    assert "\x1b" not in listed.stdout
    assert shown == "\x1b[31mred\n\\xff"
    assert stored("cat", "latest", name).stdout == "odd"


def test_what_could_not_be_read_is_told_and_the_rest_is_kept(typed: Shell) -> None:
    """Even root cannot have folders read that nest too deeply."""
    (typed.source / "/".join("d" * 260)).mkdir(parents=True)

    done = typed("snapshot", "source")
    assert done.returncode == 3
    assert "not read: d/d/" in done.stderr
    (unread,) = typed.json("snapshot", "source", code=3)["unread"]
    assert "deeper than 256" in unread["reason"]
    assert "(1 not read)" in typed("snapshots").stdout
    assert typed("cat", "latest", "a").stdout == "first\n"
    checked = typed("verify")
    assert checked.returncode == 3
    assert "not read: d/d/" in checked.stderr


def test_a_repair_tells_what_it_could_not_read_of_live_files(typed: Shell) -> None:
    """All that was lost is there again, and yet not everything was looked at."""
    (typed.source / "/".join("d" * 260)).mkdir(parents=True)
    typed("snapshot", "source")
    for pack in (typed.store / "packs").iterdir():
        pack.unlink()

    done = typed("repair")

    assert done.returncode == 3
    assert "not read: d/d/" in done.stderr
    assert "everything is mended" in done.stdout
    assert typed.json("verify", code=3)["partial"][0]["unread"]


def test_times_at_the_ends_of_the_calendar_are_shown(typed: Shell) -> None:
    os.utime(typed.source / "a", ns=(0, 253_402_300_799 * 10**9))
    os.utime(typed.source / "below", ns=(0, -(2**62)))
    typed("snapshot", "source")

    assert typed("ls", "latest").returncode == 0
    assert typed("ls", "latest", "--json").returncode == 0


def test_no_store_or_not_this_one(typed: Shell, tmp_path: Path) -> None:
    typed.refused("snapshots", code=2, says="there is no store at")
    typed.refused("snapshots", code=2, says="no store is named", RESILE_STORE="")
    typed.refused("snapshots", "--store", "ftp://x/y", code=2, says="no kind of store")
    typed.refused("snapshot", "nowhere", code=2, says="nowhere")
    assert not typed.store.exists()
    typed.refused("snapshot", "source", "--store", "source", code=1, says="is not empty")
    assert sorted(path.name for path in typed.source.iterdir()) == ["a", "below"]
    assert json.loads(typed("verify", "--json").stdout)["exit_code"] == 2


def test_a_store_of_a_version_to_come_is_left_alone(stored: Shell) -> None:
    path = stored.store / "format"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    before = path.read_bytes()

    for command in ("snapshots", "verify", "gc"):
        stored.refused(command, code=2, says="version 2")
    stored.refused("snapshot", "source", code=2, says="version 2")
    stored.refused("repair", "--from", "replica", code=2, says="version 2")
    assert path.read_bytes() == before


def test_a_lost_format_file_comes_back_without_a_second_store(stored: Shell) -> None:
    (stored.store / "format").unlink()

    for words in (("snapshots",), ("repair", "--dry-run"), ("snapshot", "source")):
        stored.refused(*words, code=2, says="has lost its file `format`")
    done = stored("repair")

    assert done.returncode == 0
    assert "format was mended from what its files tell" in done.stderr
    assert stored("cat", "latest", "a").returncode == 0


def test_names_of_snapshots_that_mean_nothing(stored: Shell) -> None:
    stored("snapshot", "source")
    found = [one["id"] for one in stored.json("snapshots")["snapshots"]]

    stored.refused("ls", "ffffffffff", code=2, says="no snapshots are called")
    done = stored.refused("ls", "abc", code=2, says="is too short")
    assert found[0][:10] in done.stderr
    stored.refused("cat", "latest", "nowhere", code=2, says="not in this snapshot")
    stored.refused("cat", "latest", "../a", code=2, says="has no `..`")
    stored.refused("cat", "latest", "below", code=2, says="is a folder")
    assert stored("ls", found[0].upper()).returncode == 0


def test_forgetting_without_sense(stored: Shell) -> None:
    for words in (
        (),
        ("latest", "--keep", "last=1"),
        ("--protect", "--keep", "last=1"),
        ("latest", "--protect", "--unprotect"),
    ):
        stored.refused("forget", *words, code=2, says="for instance: resile forget")
    assert stored("forget", "--keep", "first=1").returncode == 2
    assert len(stored.json("snapshots")["snapshots"]) == 1


def test_numbers_beyond_the_calendar(stored: Shell) -> None:
    assert stored("forget", "--keep", "within=99999999d").returncode == 0
    assert stored("gc", "--grace", "99999999d").returncode == 0
    assert len(stored.json("snapshots")["snapshots"]) == 1


def test_an_encrypted_store_and_its_key(typed: Shell) -> None:
    assert typed("snapshot", "source", "--key-file", "key").returncode == 0
    key = typed.folder / "key"
    assert key.stat().st_mode & 0o777 == 0o600

    assert typed("cat", "latest", "a", "--key-file", "key").stdout == "first\n"
    assert typed("verify", "--data", "--key-file", "key").returncode == 0
    assert typed("verify", "--data", "--key-file", "key", XDG_CACHE_HOME="fresh").returncode == 0
    typed.refused("snapshots", code=2, says="is encrypted with the key")
    typed.refused("snapshots", "--key-file", "none", code=2, says="cannot be read")
    typed.refused("snapshot", "source", "--key-file", "none", code=2, says="cannot be read")
    other = typed.folder / "other"
    other.write_text("00" * 32)
    other.chmod(0o644)
    typed.refused("snapshots", "--key-file", "other", code=2, says="others may read")
    other.chmod(0o600)
    typed.refused("snapshots", "--key-file", "other", code=2, says="is encrypted with the key")
    other.write_text("nonsense")
    typed.refused("snapshots", "--key-file", "other", code=2, says="holds no key")


def test_a_key_for_a_store_that_has_none(stored: Shell) -> None:
    """It was left out silently, and whoever typed it thought that the store was encrypted."""
    stored.refused("snapshot", "source", "--key-file", "new", code=2, says="cannot be read")
    assert not (stored.folder / "new").exists()
    (stored.folder / "new").write_text("00" * 32)
    (stored.folder / "new").chmod(0o600)
    stored.refused("snapshots", "--key-file", "new", code=2, says="is not encrypted")


def test_a_second_store_that_cannot_be_one(stored: Shell) -> None:
    stored.refused("replicate", code=2, says="no second store")
    stored.refused("replicate", "--to", "store", code=3, says="is the store itself")
    (stored.folder / "full").mkdir()
    (stored.folder / "full" / "format").write_text("hello")
    stored.refused("replicate", "--to", "full", code=3, says="no store that can be read")


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount a folder over itself so that nothing can be written there."""
    place = str(folder)
    for words in (["--bind", place, place], ["-o", "remount,ro,bind", place]):
        if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_store_on_a_disk_that_is_read_only(stored: Shell) -> None:
    """It can be read; whatever would write says so, and changes nothing."""
    with read_only(stored.store):
        assert stored("cat", "latest", "a").stdout == "first\n"
        assert stored("verify", "--data").returncode == 0
        assert stored("replicate", "--to", "replica").returncode == 0
        for words in (("snapshot", "source"), ("forget", "latest")):
            (stored.source / "a").write_text("changed\n")
            stored.refused(*words, code=1, says="Read-only file system")
    assert len(stored.json("snapshots")["snapshots"]) == 1
    assert stored("verify", "--data").returncode == 0
