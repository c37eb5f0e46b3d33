"""Access lists and file capabilities go through a transaction, and are seen in it."""

import contextlib
import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.overlays import CHANGES, run_in_overlay
from tests.support.transactions import copied
from tests.support.trees import snapshot

from resile.contain.model import CAPABILITY_NOTE, ChangeKind
from resile.contain.scan import violations_in
from resile.contain.transaction import Staging, Transaction, begin
from resile.core.vocabulary import ViolationKind

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
CAPABILITIES = "security.capability"
NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
"""Version 2, effective; only CAP_NET_RAW permitted (linux/capability.h, vfs_cap_data)."""
NET_ADMIN = struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0)
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 1, 2, 4, 0x10, 0x20
_NOBODY_IN_PARTICULAR = 0xFFFFFFFF


def access_list(rights: int) -> bytes:
    """Name one more user (linux/posix_acl_xattr.h): the one that each user namespace has."""
    entries = [
        (_USER_OBJ, 6, _NOBODY_IN_PARTICULAR),
        (_USER, rights, 0),
        (_GROUP_OBJ, 4, _NOBODY_IN_PARTICULAR),
        (_MASK, 6, _NOBODY_IN_PARTICULAR),
        (_OTHER, 0, _NOBODY_IN_PARTICULAR),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "inherits").mkdir(parents=True)
    for name in ("listed", "changed", "taken", "plain", "tool", "other-tool", "bare"):
        (folder / name).write_text(name)
    try:
        for name in ("listed", "changed", "taken"):
            os.setxattr(folder / name, ACCESS, access_list(4))
        os.setxattr(folder / "inherits", DEFAULT, access_list(6))
    except OSError as exc:
        pytest.skip(f"no access lists in {folder}: {exc.strerror}")
    return folder


def change_access(root: Path) -> None:
    (root / "listed").write_text("written")
    os.setxattr(root / "changed", ACCESS, access_list(6))
    os.removexattr(root / "taken", ACCESS)
    (root / "given").write_text("given")
    os.setxattr(root / "given", ACCESS, access_list(4))
    (root / "inherits/file").write_text("inherits")
    (root / "new").mkdir()
    os.setxattr(root / "new", DEFAULT, access_list(6))
    (root / "new/file").write_text("inherits, too")
    (root / "plain").rename(root / "inherits/moved")


def change_capabilities(root: Path) -> None:
    os.setxattr(root / "bare", CAPABILITIES, NET_RAW)
    (root / "made").write_text("made")
    os.setxattr(root / "made", CAPABILITIES, NET_RAW)
    (root / "new").mkdir()
    (root / "new/tool").write_text("made")
    os.setxattr(root / "new/tool", CAPABILITIES, NET_RAW)
    (root / "tool").chmod(0o711)
    os.setxattr(root / "other-tool", CAPABILITIES, NET_ADMIN)
    (root / "plain").write_text("no capabilities")


@contextlib.contextmanager
def changed(
    workspace: Path,
    staging: Staging,
    change: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
):
    """Give a sealed transaction, and what the command saw in the end."""
    if staging is not Staging.COPY and os.geteuid() != 0:
        pytest.skip("for others, the user in the lists is another one inside of the overlay")
    transaction = begin(workspace.with_name("run"), [workspace], staging=staging)
    monkeypatch.setitem(CHANGES, "these", change)
    if staging is Staging.COPY:
        change(copied(transaction))
        shown = snapshot(copied(transaction))
    else:
        shown = run_in_overlay(transaction, "these")
    transaction.seal()
    yield transaction, shown


def traps(transaction: Transaction) -> list[str]:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    found = violations_in(transaction.diffs, protected=(), at=now)
    assert {violation.kind for violation in found} <= {ViolationKind.SETUID_BIT}
    return sorted(Path(violation.detail.split(" has ")[0]).name for violation in found)


@pytest.mark.parametrize("staging", [Staging.COPY, Staging.OVERLAY, Staging.OVERLAY_USER])
def test_access_lists_are_committed_as_the_command_saw_them(
    workspace: Path, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    with changed(workspace, staging, change_access, monkeypatch) as (transaction, shown):
        kinds = {change.path: change.kind for change in transaction.diffs[0].changes}
        transaction.commit()

    committed = snapshot(workspace)
    assert {path: facts[5] for path, facts in committed.items()} == {
        path: facts[5] for path, facts in shown.items()
    }
    assert {path: facts[0] for path, facts in committed.items()} == {
        path: facts[0] for path, facts in shown.items()
    }
    assert kinds["changed"] is ChangeKind.METADATA
    assert kinds["taken"] is ChangeKind.METADATA
    assert os.getxattr(workspace / "listed", ACCESS) == access_list(4)
    assert os.getxattr(workspace / "given", ACCESS) == access_list(4)
    assert ACCESS in os.listxattr(workspace / "inherits/file")
    assert ACCESS in os.listxattr(workspace / "new/file")
    assert ACCESS not in os.listxattr(workspace / "inherits/moved")


@pytest.mark.parametrize("staging", [Staging.COPY, Staging.OVERLAY])
def test_new_file_capabilities_are_a_trap_as_setuid_bits_are(
    workspace: Path, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had them before, and only got another mode, is none."""
    if os.geteuid() != 0:
        pytest.skip("only root may give capabilities to files")
    for name in ("tool", "other-tool"):
        os.setxattr(workspace / name, CAPABILITIES, NET_RAW)

    with changed(workspace, staging, change_capabilities, monkeypatch) as (transaction, _):
        noted = [c.path for c in transaction.diffs[0].changes if CAPABILITY_NOTE in c.notes]
        found = traps(transaction)
        transaction.commit()

    assert noted == ["bare", "made", "new/tool", "other-tool"]
    assert found == ["bare", "made", "other-tool", "tool"]
    assert os.getxattr(workspace / "made", CAPABILITIES) == NET_RAW
    assert os.getxattr(workspace / "tool", CAPABILITIES) == NET_RAW
    assert os.getxattr(workspace / "other-tool", CAPABILITIES) == NET_ADMIN


def test_file_that_keeps_its_capabilities_under_another_name_is_a_trap(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command without privileges can rename what is there; it then stands where nobody looks."""
    if os.geteuid() != 0:
        pytest.skip("only root may give capabilities to files")
    os.setxattr(workspace / "tool", CAPABILITIES, NET_RAW)

    def rename(root: Path) -> None:
        (root / "tool").rename(root / "helper")

    with changed(workspace, Staging.OVERLAY, rename, monkeypatch) as (transaction, _):
        assert traps(transaction) == ["helper"]
