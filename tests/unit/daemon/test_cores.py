"""Core files: which one is taken for a crash's, and which one is removed."""

import os
from pathlib import Path

import pytest

from resile.daemon.cores import CORE_AGE_S_MAX, CoreFile, find_core, remove_core

NOW_S = 1_700_000_000.0
CORE_HEAD = b"\x7fELF\2\1\1" + bytes(9) + b"\4\0"
PROGRAM_HEAD = b"\x7fELF\2\1\1" + bytes(9) + b"\3\0"


def put(path: Path, *, head: bytes = CORE_HEAD, age_s: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"rest" * 4096)
    os.utime(path, (NOW_S - age_s, NOW_S - age_s))
    return path


def found(folder: Path, pattern: str = "core") -> str:
    core = find_core(pattern, folder, pid=7, now_s=NOW_S)
    return core.path if core else ""


def core_at(folder: Path) -> CoreFile:
    put(folder / "core")
    core = find_core("core", folder, pid=7, now_s=NOW_S)
    if core is None:
        raise AssertionError("the core was not found")
    return core


@pytest.mark.parametrize("head", [b"import sys\n", b"", b"\x7fELF", PROGRAM_HEAD])
def test_a_file_that_is_no_core_is_not_taken_for_one(tmp_path: Path, head: bytes) -> None:
    put(tmp_path / "core.py", head=head)

    assert found(tmp_path) == ""


def test_an_old_core_is_not_taken(tmp_path: Path) -> None:
    put(tmp_path / "core", age_s=CORE_AGE_S_MAX)

    assert found(tmp_path) == ""


def test_neither_a_link_nor_a_folder_nor_a_pipe_is_taken(tmp_path: Path) -> None:
    (tmp_path / "core").symlink_to(put(tmp_path / "elsewhere" / "core"))
    (tmp_path / "core.d").mkdir()
    os.mkfifo(tmp_path / "core.7")

    assert found(tmp_path) == ""


def test_a_core_that_cannot_be_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> int:
        raise PermissionError

    put(tmp_path / "core")
    monkeypatch.setattr(os, "open", refuse)

    assert found(tmp_path) == ""


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("core", "core"),
        ("core", "core.7"),
        ("core.%p", "core.7"),
        ("%e-%p.dump", "python-7.dump"),
        ("cores/%e.%t", "cores/python.170000"),
        ("[%e]", "[python]"),
        ("100%%.%p", "100%.7"),
        ("../%p/core", "../7/core"),
    ],
)
def test_the_core_is_found_by_the_kernels_pattern(tmp_path: Path, pattern: str, name: str) -> None:
    folder = tmp_path / "service [a]"
    folder.mkdir()
    path = put(folder / name)

    assert found(folder, pattern) == str(path.resolve())


def test_an_absolute_pattern_leads_away_from_the_services_folder(tmp_path: Path) -> None:
    path = put(tmp_path / "cores" / "python.7")

    assert found(tmp_path / "service", f"{tmp_path}/cores/%e.%p") == str(path)


def test_the_core_named_after_the_process_comes_before_a_newer_one(tmp_path: Path) -> None:
    own = put(tmp_path / "core.7", age_s=2)
    put(tmp_path / "core.17", age_s=1)

    assert found(tmp_path, "core.%p") == str(own)


def test_the_newest_core_is_taken_where_none_names_the_process(tmp_path: Path) -> None:
    put(tmp_path / "core.a", age_s=2)
    newest = put(tmp_path / "core.b", age_s=1)

    assert found(tmp_path) == str(newest)


def test_the_path_of_a_core_holds_no_link(tmp_path: Path) -> None:
    path = put(tmp_path / "real" / "core")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert found(tmp_path / "link") == str(path)


def test_a_core_is_removed_and_its_blocks_are_counted(tmp_path: Path) -> None:
    core = core_at(tmp_path)

    assert remove_core(core) >= 16384
    assert not Path(core.path).exists()


def test_removing_what_is_gone_frees_nothing(tmp_path: Path) -> None:
    core = core_at(tmp_path)
    Path(core.path).unlink()

    assert remove_core(core) == 0


def test_a_core_that_was_written_anew_belongs_to_somebody_else(tmp_path: Path) -> None:
    core = core_at(tmp_path)
    put(Path(core.path), age_s=0.5)

    assert remove_core(core) == 0
    assert Path(core.path).exists()


def test_a_link_in_a_cores_place_is_left_and_not_followed(tmp_path: Path) -> None:
    core = core_at(tmp_path)
    moved = Path(core.path).rename(tmp_path / "kept")
    Path(core.path).symlink_to(moved)

    assert remove_core(core) == 0
    assert moved.exists()


def test_a_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    core = core_at(tmp_path / "service")
    moved = (tmp_path / "service").rename(tmp_path / "kept")
    (tmp_path / "service").symlink_to(moved)

    assert remove_core(core) == 0
    assert (moved / "core").exists()
