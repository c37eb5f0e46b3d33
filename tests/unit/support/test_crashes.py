"""The states after a power cut: a wrong order of effects shows, the right one does not."""

from pathlib import Path

import pytest
from tests.support.crashes import CrashState, crash_states, read_tree
from tests.support.disks import (
    Effect,
    Link,
    Make,
    MakeFolder,
    Note,
    Remove,
    Rename,
    Resize,
    Sync,
    Tree,
    Write,
)
from tests.support.effects import RecordingFiles

from resile.core.files import write_durable

START: Tree = {"file": b"old!"}
MADE: list[Effect] = [Make("tmp"), Write("tmp", 0, b"new!")]
RIGHT: list[Effect] = [*MADE, Sync("tmp"), Rename("tmp", "file"), Sync(""), Note("done")]


def contents(effects: list[Effect], name: str = "file", start: Tree = START) -> set[object]:
    return {state.tree.get(name) for state in crash_states(effects, start=start)}


def test_a_rename_before_the_sync_shows_torn_contents() -> None:
    wrong: list[Effect] = [*MADE, Rename("tmp", "file"), Sync("")]

    assert contents(wrong) == {b"old!", b"new!", b"", b"ne", b"new", b"\0\0\0\0"}


def test_the_right_order_shows_old_or_new_only() -> None:
    assert contents(RIGHT) == {b"old!", b"new!"}


def test_what_was_told_holds_in_the_right_order_alone() -> None:
    def broken(effects: list[Effect]) -> list[CrashState]:
        states = crash_states(effects, start=START)
        return [s for s in states if "done" in s.notes and s.tree["file"] != b"new!"]

    without_folder = [effect for effect in RIGHT if effect != Sync("")]

    assert broken(RIGHT) == []
    assert broken(without_folder)


def test_a_write_in_place_shows_a_mixture() -> None:
    assert contents([Write("file", 1, b"XY"), Sync("file")]) == {b"old!", b"oXY!", b"oXd!"}


def test_synced_bytes_without_a_synced_name_may_be_gone() -> None:
    assert contents([*MADE, Sync("tmp"), Note("done")], "tmp") == {None, b"", b"ne"} | {
        b"new",
        b"\0\0\0\0",
        b"new!",
    }
    done = [s for s in crash_states([*MADE, Sync("tmp"), Note("done")]) if s.notes]
    assert {s.tree.get("tmp") for s in done} == {None, b"new!"}


def test_names_of_one_folder_come_and_go_in_any_order() -> None:
    effects: list[Effect] = [Make("a"), Make("b"), Remove("file")]

    states = {frozenset(state.tree) for state in crash_states(effects, start=START)}

    assert len(states) == 8


def test_a_move_between_folders_is_whole_and_kept_by_either_sync() -> None:
    start: Tree = {"from": None, "from/f": b"x", "to": None}
    for folder in ("from", "to"):
        effects: list[Effect] = [Rename("from/f", "to/f"), Sync(folder), Note("done")]
        states = list(crash_states(effects, start=start))

        assert all(("from/f" in s.tree) != ("to/f" in s.tree) for s in states)
        assert all("to/f" in s.tree for s in states if s.notes)


def test_a_folder_takes_along_what_is_in_it() -> None:
    effects: list[Effect] = [MakeFolder("d"), Make("d/f"), Sync("d/f"), Sync("d"), Note("done")]

    lost = [s.tree for s in crash_states(effects) if s.notes]

    assert {} in lost
    assert {"d": None, "d/f": b""} in lost
    assert {"d": None} not in lost


def test_a_sync_keeps_only_what_had_ended_when_it_began() -> None:
    effects: list[Effect] = [Write("file", 0, b"1"), Write("file", 1, b"2"), Sync("file", 1)]

    states = [
        s.tree["file"] for s in crash_states([*effects, Note("done")], start=START) if s.notes
    ]

    assert sorted(map(str, states)) == sorted(map(str, [b"1ld!", b"12d!"]))


def test_a_sync_of_everything_leaves_one_state() -> None:
    effects: list[Effect] = [*MADE, MakeFolder("d"), Rename("tmp", "d/f"), Sync(None), Note("done")]

    states = [s.tree for s in crash_states(effects, start=START) if s.notes]

    assert states == [{"file": b"old!", "d": None, "d/f": b"new!"}]


def test_nameless_files_appear_with_their_link() -> None:
    made: list[Effect] = [Make("#1", is_nameless=True), Write("#1", None, b"new!")]

    assert contents([*made, Sync("#1"), Link("#1", "pack")], "pack") == {None, b"new!"}
    assert b"ne" in contents([*made, Link("#1", "pack")], "pack")


def test_lengths_are_lost_like_bytes() -> None:
    assert contents([Resize("file", 2)]) == {b"old!", b"ol"}
    assert contents([Resize("file", 6), Write("file", None, b"z"), Sync("file")]) >= {
        b"old!\0\0z",
        b"old!\0\0",
        b"old!",
    }
    assert contents([Resize("file", 2, may_shrink=False)]) == {b"old!"}


def test_an_effect_on_nothing_is_an_error() -> None:
    with pytest.raises(AssertionError, match="there is no 'missing'"):
        list(crash_states([Write("missing", 0, b"x")]))


def test_many_states_are_bounded_distinct_and_the_same_for_a_seed() -> None:
    effects: list[Effect] = [Make("log")]
    for index in range(8):
        effects.append(Write("log", None, b"%04d" % index))
        effects += [Make(f"f{index}"), Write(f"f{index}", 0, b"content")]

    first = list(crash_states(effects, seed=1, states_max=400))

    assert len({frozenset(s.tree.items()) for s in first}) == len(first) == 400
    assert first == list(crash_states(effects, seed=1, states_max=400))
    assert first != list(crash_states(effects, seed=2, states_max=400))


def test_each_point_gets_its_share_where_states_are_too_many() -> None:
    effects: list[Effect] = [Make(f"f{index}") for index in range(60)]

    points = [state.after for state in crash_states(effects, states_max=200)]

    assert len(points) == 200
    assert set(range(61)) <= set(points)


def test_a_state_is_made_on_disk_as_it_is_in_memory(tmp_path: Path) -> None:
    effects: list[Effect] = [MakeFolder("d"), Make("d/f"), Write("d/f", 0, b"x"), *RIGHT]
    for state in crash_states(effects, start=START, states_max=30):
        state.write_to(tmp_path / "disk")

        assert read_tree(tmp_path / "disk") == state.tree


def test_a_tree_with_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")

    with pytest.raises(AssertionError, match="neither a file nor a folder"):
        read_tree(tmp_path)


def test_our_durable_write_is_whole_in_every_state(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_bytes(b"old")
    start = read_tree(tmp_path)
    files = RecordingFiles(tmp_path)

    write_durable(tmp_path / "d/file", b"new", files=files)

    states = list(crash_states([*files.effects, Note("done")], start=start))
    assert {s.tree["d/file"] for s in states} == {b"old", b"new"}
    assert {s.tree["d/file"] for s in states if s.notes} == {b"new"}


def test_files_are_recorded_as_they_are_changed(tmp_path: Path) -> None:
    files = RecordingFiles(tmp_path)

    files.create(tmp_path / "a", b"x", mode=0o600)
    files.protect(tmp_path / "a")
    files.replace(tmp_path / "a", tmp_path / "b")
    files.remove(tmp_path / "missing")
    files.remove(tmp_path / "b")
    files.sync_folder(tmp_path)

    assert files.effects == [
        *(Make("a"), Write("a", 0, b"x"), Sync("a")),
        *(Rename("a", "b"), Remove("b"), Sync("")),
    ]
    assert list(tmp_path.iterdir()) == []
