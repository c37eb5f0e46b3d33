"""What a transaction refuses to begin with, and what it makes."""

import os
import stat
from pathlib import Path

import pytest
from tests.support.transactions import begin_copy

from resile.contain.sandboxes.model import BindMount, OverlayMount
from resile.contain.transaction import (
    Staging,
    TransactionState,
    begin,
    open_transaction,
    recover,
)
from resile.contain.transaction.checks import checked_workspaces
from resile.core.mounts import Mount, mount_of, parse_mounts
from resile.errors import TransactionError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "file").write_text("content")
    return folder


def refused(folder: Path, *workspaces: Path, staging: Staging = Staging.OVERLAY) -> str:
    with pytest.raises(TransactionError) as caught:
        begin(folder, workspaces, staging=staging)
    assert caught.value.hint
    return caught.value.message


def test_a_missing_workspace_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "run", tmp_path / "missing")


def test_a_file_is_refused(workspace: Path, tmp_path: Path) -> None:
    assert "is not a folder" in refused(tmp_path / "run", workspace / "file")


def test_a_link_is_refused(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(workspace)

    assert "is a link" in refused(tmp_path / "run", tmp_path / "link")


def test_a_link_above_is_followed_once(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    begun = begin_copy(tmp_path / "run", tmp_path / "link" / "workspace")

    assert begun.workspaces == (workspace.resolve(),)


def test_workspaces_inside_of_each_other_are_refused(workspace: Path, tmp_path: Path) -> None:
    (workspace / "inner").mkdir()

    assert "one inside the other" in refused(tmp_path / "run", workspace, workspace / "inner")
    assert "one inside the other" in refused(tmp_path / "run", workspace, workspace)


def test_a_run_inside_of_the_workspace_is_refused(workspace: Path) -> None:
    assert "run's folder" in refused(workspace / "run", workspace)


def test_a_workspace_inside_of_a_run_is_refused(workspace: Path, tmp_path: Path) -> None:
    begun = begin_copy(tmp_path / "runs" / "first", workspace)

    message = refused(tmp_path / "other" / "second", begun.folder / "w0" / "copy")

    assert "inside the run folder" in message


@pytest.mark.parametrize("turn", [1, -1])
def test_a_workspace_inside_of_that_of_an_open_run_is_refused(
    workspace: Path, tmp_path: Path, turn: int
) -> None:
    (workspace / "inner").mkdir()
    outer, inner = (workspace, workspace / "inner")[::turn]
    first = begin_copy(tmp_path / "runs" / "first", outer)

    assert "of the open transaction first" in refused(tmp_path / "runs" / "second", inner)

    first.seal()
    first.discard()
    begin_copy(tmp_path / "runs" / "second", inner)


def test_the_workspace_of_an_open_run_itself_is_fine(workspace: Path, tmp_path: Path) -> None:
    begin_copy(tmp_path / "runs" / "first", workspace)

    begin_copy(tmp_path / "runs" / "second", workspace)


def test_a_mount_inside_is_refused_with_the_way_out(workspace: Path, tmp_path: Path) -> None:
    mounts = (
        Mount(point=Path("/"), fs_type="ext4", is_read_only=False),
        Mount(point=workspace / "data", fs_type="tmpfs", is_read_only=False),
    )

    with pytest.raises(TransactionError, match="mounted inside") as caught:
        checked_workspaces(tmp_path / "run", [workspace], mounts)

    assert "workspace of its own" in caught.value.hint


def test_a_read_only_file_system_is_refused(workspace: Path, tmp_path: Path) -> None:
    mounts = (Mount(point=workspace, fs_type="ext4", is_read_only=True),)

    with pytest.raises(TransactionError, match="read-only"):
        checked_workspaces(tmp_path / "run", [workspace], mounts)


def test_what_is_refused_leaves_nothing(workspace: Path, tmp_path: Path) -> None:
    deep = workspace
    for _ in range(200):
        deep /= "d"
        deep.mkdir()

    assert "nest deeper" in refused(tmp_path / "run", workspace, staging=Staging.COPY)
    assert list((tmp_path / "run").iterdir()) == []


def test_mounts_of_an_overlay_stand_at_the_workspace(workspace: Path, tmp_path: Path) -> None:
    workspace.chmod(0o750)

    begun = begin(tmp_path / "run", [workspace], staging=Staging.OVERLAY_USER)
    begun.close()

    (mount,) = begun.mounts
    assert isinstance(mount, OverlayMount)
    assert (mount.lower, mount.target) == (workspace, workspace)
    assert mount.is_unprivileged
    assert stat.S_IMODE(mount.upper.stat().st_mode) == 0o750
    assert stat.S_IMODE(begun.folder.stat().st_mode) == 0o700
    assert begun.state is TransactionState.OPEN


def test_a_copy_is_bound_at_the_workspace(workspace: Path, tmp_path: Path) -> None:
    begun = begin_copy(tmp_path / "run", workspace)

    (mount,) = begun.mounts
    assert isinstance(mount, BindMount)
    assert mount.is_writable
    assert (mount.source / "file").read_text() == "content"


def test_an_opened_transaction_is_the_same(workspace: Path, tmp_path: Path) -> None:
    begun = begin_copy(tmp_path / "run", workspace)

    assert open_transaction(tmp_path / "run").record == begun.record


def test_no_transaction_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TransactionError, match="holds no transaction"):
        open_transaction(tmp_path)
    with pytest.raises(TransactionError, match="holds no transaction"):
        recover(tmp_path)


@pytest.mark.parametrize("name", ["tx.json", "ready.json"])
def test_each_flipped_byte_of_a_record_is_found(workspace: Path, tmp_path: Path, name: str) -> None:
    begun = begin_copy(tmp_path / "run", workspace)
    begun.seal()
    path = begun.folder / name
    data = path.read_bytes()

    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(TransactionError, match="cannot be read"):
            _ = open_transaction(tmp_path / "run").diffs
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(TransactionError, match="cannot be read"):
        _ = open_transaction(tmp_path / "run").diffs


@pytest.mark.parametrize("is_durable", [False, True])
def test_no_changes_are_sealed_and_committed(
    workspace: Path, tmp_path: Path, *, is_durable: bool
) -> None:
    """Where they need not last, they are not even written down."""
    begun = begin_copy(tmp_path / "run", workspace)

    (diff,) = begun.seal(is_durable=is_durable)

    assert diff.changes == ()
    assert begun.state is TransactionState.READY
    assert (begun.folder / "ready.json").exists() == is_durable
    assert begun.commit().committed == 0
    assert begun.state is TransactionState.COMMITTED
    assert begun.diffs == (diff,)


def test_no_changes_are_discarded(workspace: Path, tmp_path: Path) -> None:
    begun = begin_copy(tmp_path / "run", workspace)
    begun.seal(is_durable=False)

    begun.discard()

    assert begun.state is TransactionState.DISCARDED


def test_mounts_are_parsed_with_their_escapes() -> None:
    text = (
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "30 22 0:5 / /mnt/with\\040space ro - nfs4 server:/x rw\n"
        "31 22 0:6 /sub /mnt/x rw shared:1 master:2 - tmpfs tmpfs ro\n"
    )

    mounts = parse_mounts(text)

    assert [(str(m.point), m.fs_type, m.is_read_only) for m in mounts] == [
        ("/", "ext4", False),
        ("/mnt/with space", "nfs4", True),
        ("/mnt/x", "tmpfs", True),
    ]
    assert mount_of(Path("/mnt/x/y"), mounts) == mounts[2]
    assert mount_of(Path("/mnt/xy"), mounts) == mounts[0]


def test_a_file_that_may_not_be_read_is_named(workspace: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (workspace / "file").chmod(0)

    assert "file" in refused(tmp_path / "run", workspace, staging=Staging.COPY)
