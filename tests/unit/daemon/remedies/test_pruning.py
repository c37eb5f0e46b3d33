"""What is declared prunable goes, and nothing else: never through a link, never outside."""

from pathlib import Path

import pytest

from resile.core.config import load_config
from resile.daemon.remedies.pruning import Prunable, Pruned, kept_of, prunables_of, prune
from resile.errors import ConfigError


def fill(path: Path, content: bytes = b"x" * 5000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_that_match_go_and_others_stay(tmp_path: Path) -> None:
    fill(tmp_path / "cache" / "a.tmp")
    fill(tmp_path / "cache" / "deep" / "b.tmp")
    fill(tmp_path / "cache" / "keep.txt")
    fill(tmp_path / "a.tmp")

    pruned = prune([Prunable(folder=tmp_path, pattern="cache/*.tmp")])

    assert pruned.files == 1
    assert pruned.freed_bytes >= 5000
    assert left(tmp_path) == ["a.tmp", "cache/deep/b.tmp", "cache/keep.txt"]


def test_folder_stands_for_all_files_below_it_and_itself_stays(tmp_path: Path) -> None:
    fill(tmp_path / "cache" / "a")
    fill(tmp_path / "cache" / "deep" / "er" / "b")
    fill(tmp_path / "data" / "c")

    assert prune([Prunable(folder=tmp_path, pattern="cache")]).files == 2

    assert left(tmp_path) == ["data/c"]
    assert (tmp_path / "cache" / "deep" / "er").is_dir()


def test_no_link_is_followed_and_none_is_removed(tmp_path: Path) -> None:
    precious = fill(tmp_path / "precious" / "data")
    place = tmp_path / "place"
    place.mkdir()
    (place / "cache").symlink_to(precious.parent)
    (place / "other").mkdir()
    (place / "other" / "link.tmp").symlink_to(precious)
    (place / "other" / "folder").symlink_to(precious.parent)

    patterns = ("cache", "cache/*", "*/data", "other", "other/*.tmp", "other/folder/data")
    pruned = prune([Prunable(folder=place, pattern=pattern) for pattern in patterns])

    assert pruned == Pruned()
    assert precious.exists()
    assert (place / "other" / "link.tmp").is_symlink()


def test_what_is_not_there_or_cannot_be_entered_frees_nothing(tmp_path: Path) -> None:
    gone = Prunable(folder=tmp_path / "gone", pattern="cache")

    assert prune([gone, Prunable(folder=tmp_path, pattern="none/*.tmp")]) == Pruned()


def test_pruning_again_finds_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "cache" / "a")
    declared = [Prunable(folder=tmp_path, pattern="cache")]

    assert [prune(declared).files, prune(declared).files] == [1, 0]


def test_second_name_of_a_file_frees_nothing(tmp_path: Path) -> None:
    kept = fill(tmp_path / "kept")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "same").hardlink_to(kept)

    assert prune([Prunable(folder=tmp_path, pattern="cache")]).freed_bytes == 0
    assert kept.exists()


def test_nothing_goes_of_what_resile_keeps(tmp_path: Path) -> None:
    file = tmp_path / "resile.toml"
    file.write_text(
        '[resile]\nprunable = ["var"]\n[store]\nplace = "var/store"\nreplica = "file:///nowhere"\n'
    )
    config, state = load_config(file, environ={}), tmp_path / "var" / "state"
    for name in ("state/journal/a", "store/packs/b", "cache/c"):
        fill(tmp_path / "var" / name)

    pruned = prune(prunables_of(config, folder=tmp_path), kept=kept_of(config, state=state))

    assert pruned.files == 1
    assert left(tmp_path / "var") == ["state/journal/a", "store/packs/b"]


def test_patterns_start_where_they_are_declared(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    file = tmp_path / "resile.toml"
    file.write_text(
        '[resile]\nprunable = ["old", "/var/cache/x"]\n'
        '[service.a]\ncommand = ["true"]\ncwd = "app"\nprunable = ["tmp/*.part"]\n'
    )

    found = prunables_of(load_config(file, environ={}), folder=tmp_path)

    assert found == (
        Prunable(folder=tmp_path, pattern="old"),
        Prunable(folder=Path("/"), pattern="var/cache/x"),
        Prunable(folder=tmp_path / "app", pattern="tmp/*.part"),
    )


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "/", "//", ".", "*", "?*", "/*", "//*", "*/*", "../x", "a/../../b", "a/**/b", "**"),
    ],
)
def test_pattern_that_says_too_much_is_refused(tmp_path: Path, pattern: str) -> None:
    file = tmp_path / "resile.toml"
    file.write_text(f'[resile]\nprunable = ["{pattern}"]\n')

    with pytest.raises(ConfigError) as refused:
        load_config(file, environ={})

    assert "prunable" in str(refused.value.problems)
