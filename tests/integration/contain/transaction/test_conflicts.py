"""Whatever somebody else does to what a transaction changes, the commit is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.overlays import run_in_overlay
from tests.support.transactions import copied
from tests.support.trees import change_all, differences, make_tree, snapshot

from resile.contain.transaction import Staging, Transaction, TransactionState, begin
from resile.errors import ConflictError


def write_same_size_and_time(path: Path) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"#")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def save_atomically(root: Path) -> None:
    (root / "other").write_text("other")
    (root / "other").rename(root / "mod")


def replace_parent(root: Path) -> None:
    (root / "deep").rename(root / "aside")
    (root / "spare").rename(root / "deep")


def replace_parent_by_link(root: Path) -> None:
    (root / "deep").rename(root / "aside")
    (root / "deep").symlink_to("aside")


def replace_by_folder(root: Path) -> None:
    (root / "mod").unlink()
    (root / "mod").mkdir()


def retarget(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("same")


def replace_workspace(root: Path) -> None:
    root.rename(root.with_name("aside"))
    root.mkdir()


def attribute(path: str) -> Callable[[Path], object]:
    return lambda root: os.setxattr(root / path, "user.theirs", b"v")


def rewrite(path: str) -> Callable[[Path], object]:
    return lambda root: write_same_size_and_time(root / path)


INJECTIONS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "write": ("mod", lambda root: (root / "mod").write_text("theirs")),
    "write same size and time": ("mod", rewrite("mod")),
    "append": ("trunc", lambda root: os.truncate(root / "trunc", 1 << 20)),
    "chmod": ("mod", lambda root: (root / "mod").chmod(0o604)),
    "attribute": ("mod", attribute("mod")),
    "touch": ("mod", lambda root: os.utime(root / "mod")),
    "delete": ("mod", lambda root: (root / "mod").unlink()),
    "save atomically": ("mod", save_atomically),
    "replace by an old file": ("mod", lambda root: (root / "spare-file").rename(root / "mod")),
    "replace by a folder": ("mod", replace_by_folder),
    "replace parent by an old folder": ("deep/a/b", replace_parent),
    "replace parent by a link": ("deep/a/b", replace_parent_by_link),
    "delete parent": ("deep/a/b", lambda root: (root / "deep").rename(root / "aside")),
    "create file": ("created", lambda root: (root / "created").write_text("theirs")),
    "create link": ("created", lambda root: (root / "created").symlink_to("mod")),
    "create folder": ("new", lambda root: (root / "new").mkdir()),
    "create deep": ("deep/a/new", lambda root: (root / "deep/a/new").touch()),
    "write in deleted": ("gone", rewrite("gone/z/w")),
    "create in deleted": ("gone", lambda root: (root / "gone/z/more").touch()),
    "delete in deleted": ("gone", lambda root: (root / "gone/z/w").unlink()),
    "chmod in deleted": ("gone", lambda root: (root / "gone/z").chmod(0o700)),
    "write in replaced": ("opaque", rewrite("opaque/old1")),
    "create in replaced": ("opaque", lambda root: (root / "opaque/theirs").touch()),
    "delete what was saved": ("saved", lambda root: (root / "saved").unlink()),
    "delete what is deleted": ("del", lambda root: (root / "del").unlink()),
    "write what is deleted": ("del", rewrite("del")),
    "retarget link": ("link", retarget),
    "write what changes kind": ("kind", rewrite("kind")),
    "write by another name": ("hard1", rewrite("hard2")),
    "chmod folder": ("attributes", lambda root: (root / "attributes").chmod(0o711)),
    "attribute of folder": ("attributes", attribute("attributes")),
    "chmod what gets attributes": ("xattr", lambda root: (root / "xattr").chmod(0o604)),
    "write what gets attributes": ("xattr", rewrite("xattr")),
    "replace workspace": ("mod", replace_workspace),
}


@pytest.fixture
def workspace(quick_path: Path) -> Path:
    folder = quick_path / "workspace"
    folder.mkdir()
    make_tree(folder)
    return folder


def change(transaction: Transaction) -> None:
    if transaction.record.staging is Staging.COPY:
        change_all(copied(transaction))
    else:
        run_in_overlay(transaction, "all")


def is_about(path: str, workspace: Path, found: str) -> bool:
    """Tell whether a conflict is about a path, a folder above it, or what was made below it."""
    paths = (Path(found), Path(path))
    return found == str(workspace) or any(a.is_relative_to(b) for a, b in (paths, paths[::-1]))


def skip_without_root(staging: Staging) -> None:
    if staging is Staging.OVERLAY and os.geteuid() != 0:
        pytest.skip("only root mounts an overlay without a user namespace")


@pytest.mark.parametrize("name", INJECTIONS)
@pytest.mark.parametrize(
    ("staging", "moment"),
    [
        (Staging.COPY, "before the command"),
        (Staging.COPY, "before the seal"),
        (Staging.COPY, "before the commit"),
        # Through an overlay the command would see what was changed before it.
        (Staging.OVERLAY, "before the seal"),
        (Staging.OVERLAY, "before the commit"),
    ],
)
def test_a_change_of_the_base_is_refused(
    workspace: Path, quick_path: Path, staging: Staging, moment: str, name: str
) -> None:
    skip_without_root(staging)
    path, inject = INJECTIONS[name]
    transaction = begin(quick_path / "run", [workspace], staging=staging)

    if moment == "before the command":
        inject(workspace)
    change(transaction)
    if moment == "before the seal":
        inject(workspace)
    transaction.seal()
    if moment == "before the commit":
        inject(workspace)
    theirs = snapshot(workspace)
    with pytest.raises(ConflictError) as caught:
        transaction.commit()

    assert any(is_about(path, workspace, found) for found, _ in caught.value.paths)
    assert all(fault for _, fault in caught.value.paths)
    assert caught.value.hint
    assert differences(snapshot(workspace), theirs) == []
    assert transaction.state is TransactionState.READY


@pytest.mark.parametrize("staging", [Staging.COPY, Staging.OVERLAY])
def test_a_change_elsewhere_is_no_conflict(
    workspace: Path, quick_path: Path, staging: Staging
) -> None:
    skip_without_root(staging)
    transaction = begin(quick_path / "run", [workspace], staging=staging)
    transaction.wait_listed()
    change(transaction)
    (workspace / "theirs").write_text("new, in a folder in which the command made something too")
    (workspace / "spare/a/b").write_text("another file")
    (workspace / "spare-file").unlink()

    transaction.seal()
    transaction.commit()

    assert (workspace / "created").read_text() == "created"
    assert (workspace / "theirs").exists()
    assert not (workspace / "spare-file").exists()


def test_all_conflicts_are_listed_with_what_happened(workspace: Path, quick_path: Path) -> None:
    transaction = begin(quick_path / "run", [workspace], staging=Staging.COPY)
    change(transaction)
    (workspace / "mod").write_text("theirs")
    transaction.seal()
    (workspace / "chmod").unlink()

    with pytest.raises(ConflictError) as caught:
        transaction.commit()
    assert caught.value.paths == (("mod", "changed since the beginning"),)

    with pytest.raises(ConflictError) as caught:
        transaction.commit(["chmod", "created"])
    assert caught.value.paths == (("chmod", "deleted since the transaction was sealed"),)


def test_paths_without_conflict_can_be_committed(workspace: Path, quick_path: Path) -> None:
    transaction = begin(quick_path / "run", [workspace], staging=Staging.COPY)
    change(transaction)
    (workspace / "mod").write_text("theirs")
    transaction.seal()

    result = transaction.commit(["created", "new"])

    assert (result.committed, transaction.state) == (2, TransactionState.READY)
    assert (workspace / "new/e/g").read_text() == "g"
    assert (workspace / "mod").read_text() == "theirs"
