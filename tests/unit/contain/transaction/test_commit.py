"""Committing all or a part, discarding, measuring, and several workspaces at once."""

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.transactions import begin_copy, copied
from tests.support.trees import (
    CrashingGate,
    change_all,
    differences,
    make_tree,
    names_of_one_file,
    snapshot,
    without_names,
)

from resile.contain.model import Change, ChangeKind
from resile.contain.transaction import (
    Staging,
    Transaction,
    TransactionState,
    begin,
    measure,
    open_transaction,
)
from resile.errors import ConflictError, TransactionError
from resile.store.writeahead.files import TreeFiles


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    make_tree(folder)
    return folder


@pytest.fixture
def changed(workspace: Path, tmp_path: Path) -> Transaction:
    begun = begin_copy(tmp_path / "run", workspace)
    change_all(copied(begun))
    begun.seal()
    return begun


def kinds(transaction: Transaction) -> dict[str, Change]:
    (diff,) = transaction.diffs
    return {change.path: change for change in diff.changes}


def test_a_commit_before_the_seal_is_refused(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(TransactionError, match="not sealed"):
        begin_copy(tmp_path / "run", workspace).commit()


def test_a_path_without_a_change_is_refused(changed: Transaction) -> None:
    with pytest.raises(TransactionError, match="1 of the paths have no change: spare"):
        changed.commit(["mod", "spare"])


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("created/x", "created is a file"),
        ("mod/x", "mod is a file"),
        ("chmod/x/y", "chmod is a file"),
        ("soft/x", "soft is a link"),
        ("new/e/x", ""),
        ("k/f", ""),
    ],
)
def test_a_path_through_what_is_no_folder_is_refused(
    changed: Transaction, workspace: Path, path: str, there: str
) -> None:
    """Inside of a new folder, and of one that a file took the place of, a path means the whole."""
    before = snapshot(workspace)

    if there:
        with pytest.raises(TransactionError, match=f"{path} has no change: {there}, not a folder"):
            changed.commit([path])
        assert differences(snapshot(workspace), before) == []
    else:
        assert changed.commit([path]).committed == 1


def test_what_is_discarded_cannot_be_committed(changed: Transaction, workspace: Path) -> None:
    before = snapshot(workspace)

    changed.discard()
    changed.discard()

    assert changed.state is TransactionState.DISCARDED
    assert differences(snapshot(workspace), before) == []
    with pytest.raises(TransactionError, match="discarded"):
        changed.commit()


def test_changes_that_were_not_synced_do_not_outlive_a_restart(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin_copy(tmp_path / "run", workspace)
    (copied(begun) / "mod").write_text("new")
    begun.seal(is_durable=False)

    monkeypatch.setattr("resile.contain.transaction.lifecycle.boot_id", lambda: "another")
    with pytest.raises(TransactionError, match="may be torn"):
        begun.commit()


def test_the_diff_tells_each_kind_of_change(changed: Transaction) -> None:
    found = kinds(changed)

    expected = {
        "mod": ChangeKind.MODIFIED,
        "created": ChangeKind.CREATED,
        "new/e/g": ChangeKind.CREATED,
        "del": ChangeKind.DELETED,
        "gone": ChangeKind.DELETED,
        "gone/z/w": ChangeKind.DELETED,
        "replaced": ChangeKind.REPLACED,
        "kind": ChangeKind.REPLACED,
        "k": ChangeKind.REPLACED,
        "chmod": ChangeKind.METADATA,
        "old-time": ChangeKind.METADATA,
        "attributes": ChangeKind.METADATA,
        "saved": ChangeKind.MODIFIED,
        "link": ChangeKind.MODIFIED,
    }
    assert {path: found[path].kind for path in expected} == expected
    assert found["kind"].link_target == "nowhere"
    assert (found["replaced"].file_type, found["k"].file_type) == ("folder", "file")
    assert (found["trunc"].size_before, found["trunc"].size_after) == (3000, 10)
    assert found["chmod"].mode_after == 0o600
    assert "spare-file" not in found
    assert list(found) == sorted(found, key=lambda path: path.split("/"))
    assert [(s.path, s.reason) for s in changed.skipped] == [("socket", "socket")]


def test_sealing_again_gives_the_same(changed: Transaction) -> None:
    assert changed.seal() == changed.diffs
    assert open_transaction(changed.folder).seal() == changed.diffs


def test_what_did_not_change_is_no_change(workspace: Path, tmp_path: Path) -> None:
    begun = begin_copy(tmp_path / "run", workspace)
    for name in ("mod", "same"):
        path = copied(begun) / name
        status, data = path.stat(), path.read_bytes()
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    begun.seal()

    assert kinds(begun) == {}
    assert begun.commit().committed == 0
    assert begun.state is TransactionState.COMMITTED


def test_a_part_can_be_committed_and_the_rest_later(
    changed: Transaction, workspace: Path, tmp_path: Path
) -> None:
    whole = snapshot(copied(changed))

    first = changed.commit(["mod", "new/e", "links"])
    state = changed.state
    left = kinds(changed)
    second = open_transaction(changed.folder).commit()

    assert first.pending > 0
    assert (second.pending, state) == (0, TransactionState.READY)
    assert "mod" not in left
    assert "new/e/g" not in left
    assert "three" not in left, "a name of a file that was committed goes with it"
    assert "created" in left
    whole.pop("socket")
    assert differences(snapshot(workspace), whole) == []
    assert changed.state is TransactionState.COMMITTED
    assert sorted(p.name for p in changed.folder.iterdir()) == [
        "done",
        "ready.json",
        "stamp",
        "tx.json",
    ]


def test_a_commit_leaves_nothing_in_the_workspace(changed: Transaction, workspace: Path) -> None:
    changed.commit()

    assert [p.name for p in workspace.iterdir() if p.name.startswith(".resile")] == []


def test_the_log_is_between_what_is_built_and_what_is_renamed(changed: Transaction) -> None:
    gate = CrashingGate()

    open_transaction(changed.folder, files=TreeFiles(gate)).commit()

    log = gate.effects.index("replace")
    after = gate.effects.index("sync_folder", log)
    built = {"create_file", "write", "make_folder", "make_link", "make_fifo", "add_name"}
    renamed = {"move", "exchange"}
    assert not built & set(gate.effects[log:])
    assert not renamed & set(gate.effects[:after])
    assert gate.effects[log - 1] == "create"
    last_sync = max(n for n, effect in enumerate(gate.effects[:log]) if effect == "sync")
    assert not (built | {"set_metadata"}) & set(gate.effects[last_sync:log])
    done = gate.effects.index("replace", after)
    assert not renamed & set(gate.effects[done:])


class NoExchange:
    """A file system that cannot exchange entries. Keeps the effects that it let pass."""

    def __init__(self, number: int) -> None:
        self.effects: list[str] = []
        self._number = number

    def before(self, effect: str, name: str) -> None:
        if effect in ("check_renames", "exchange", "move"):
            raise OSError(self._number, os.strerror(self._number))
        self.effects.append(effect)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_a_file_system_without_exchange_is_refused_before_anything_is_built(
    changed: Transaction, workspace: Path, number: int
) -> None:
    before = snapshot(workspace)
    gate = NoExchange(number)

    with pytest.raises(TransactionError, match="cannot take a commit: its file system") as caught:
        open_transaction(changed.folder, files=TreeFiles(gate)).commit()

    assert str(copied(changed)) in caught.value.hint
    assert not {"create_file", "write", "make_link", "replace"} & set(gate.effects)
    assert differences(snapshot(workspace), before) == []
    assert changed.state is TransactionState.READY
    assert changed.commit().pending == 0


def test_holes_stay_holes(changed: Transaction, workspace: Path) -> None:
    changed.commit()

    status = (workspace / "sparse").stat()
    assert status.st_size == 100 << 20
    assert status.st_blocks * 512 < 1 << 20


def test_several_workspaces_are_one_commit(tmp_path: Path) -> None:
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
        make_tree(place)
    begun = begin(tmp_path / "run", places, staging=Staging.COPY)
    for number in range(2):
        change_all(copied(begun, number))
    (places[1] / "mod").write_text("theirs")
    begun.seal()
    before = snapshot(places[0])

    with pytest.raises(ConflictError) as caught:
        begun.commit()
    refused = snapshot(places[0])
    begun.commit(["created", "new"])

    assert [path for path, _ in caught.value.paths] == [str(places[1] / "mod")]
    assert differences(before, refused) == []
    assert all((place / "new/e/g").exists() for place in places)


def test_what_is_written_is_measured(workspace: Path, tmp_path: Path) -> None:
    begun = begin_copy(tmp_path / "run", workspace)
    before = begun.measure()
    (copied(begun) / "big").write_bytes(b"x" * 300_000)
    (copied(begun) / "other").mkdir()

    assert (before.bytes_, before.files) == (0, 0)
    assert 300_000 <= begun.measure().bytes_ < 400_000
    assert begun.measure().files == 2
    begun.seal()
    assert open_transaction(begun.folder).written.files == 2
    assert measure(copied(begun), entries_max=3).files <= 3


def test_a_tree_that_nests_too_deep_is_refused_and_discarded(
    workspace: Path, tmp_path: Path
) -> None:
    begun = begin_copy(tmp_path / "run", workspace)
    here = os.open(copied(begun), os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("nest", dir_fd=here)
        below = os.open("nest", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    with pytest.raises(TransactionError, match="nest deeper"):
        begun.seal()
    begun.discard()

    assert not (begun.folder / "w0").exists()


def test_a_stage_folder_of_somebody_else_is_not_touched(workspace: Path, tmp_path: Path) -> None:
    begun = begin_copy(tmp_path / "run", workspace)
    (copied(begun) / ".resile-tx-theirs").mkdir()
    (workspace / ".resile-tx-other").mkdir()
    begun.seal()

    begun.commit()

    assert begun.skipped[0].reason == "reserved_name"
    assert (workspace / ".resile-tx-other").is_dir()
    assert not (workspace / ".resile-tx-theirs").exists()


NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "folder", "delete", "move", "link", "symlink", "chmod", "touch"]),
        PATHS,
        PATHS,
        st.integers(0, 3),
    ),
    max_size=12,
)


def act(root: Path, step: tuple[str, str, str, int]) -> None:
    """Do one random thing; what cannot be done is left."""
    what, first, second, number = step
    path, other = root / first, root / second
    try:
        if what == "write":
            path.write_text(f"{number}" * number)
        elif what == "folder":
            path.mkdir()
        elif what == "delete":
            remove(path)
        elif what == "move":
            path.rename(other)
        elif what == "link":
            os.link(path, other, follow_symlinks=False)
        elif what == "symlink":
            path.symlink_to(second)
        elif what == "chmod":
            path.chmod(0o700 | number)
        else:
            os.utime(path, ns=(number, number))
    except OSError:
        return


def remove(path: Path) -> None:
    if stat.S_ISDIR(path.lstat().st_mode):
        for below in path.iterdir():
            remove(below)
        path.rmdir()
    else:
        path.unlink()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=STEPS, during=STEPS, cut=st.integers(0, 100))
def test_a_commit_of_anything_gives_what_the_copy_was(
    tmp_path: Path, before: list[tuple[str, str, str, int]], during: list, cut: int
) -> None:
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    workspace = place / "workspace"
    workspace.mkdir()
    for step in before:
        act(workspace, step)
    begun = begin_copy(place / "run", workspace)
    for step in during:
        act(copied(begun), step)
    expected = snapshot(copied(begun))

    (diff,) = begun.seal(is_durable=False)
    if diff.changes:
        begun.commit([diff.changes[cut % len(diff.changes)].path])
    begun.commit()

    found = snapshot(workspace)
    assert differences(without_names(found), without_names(expected)) == []
    assert names_of_one_file(found) == names_of_one_file(expected)
