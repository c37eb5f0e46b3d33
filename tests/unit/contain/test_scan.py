"""Traps in what a run changed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from resile.contain import Change, ChangeKind, WorkspaceDiff
from resile.contain.scan import violations_in
from resile.contain.spec import PROTECTED
from resile.contain.transaction import Skipped
from resile.core.vocabulary import ViolationKind

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def kinds(path, *, kind=ChangeKind.CREATED, file_type="file", **more):
    change = Change(path=path, kind=kind, file_type=file_type, **more)
    diff = WorkspaceDiff(workspace=Path("/work/kb"), changes=(change,))
    found = violations_in([diff], protected=PROTECTED, at=NOON)
    return [violation.kind for violation in found]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"path": "x", "mode_after": 0o4755}, ViolationKind.SETUID_BIT),
        ({"path": "x", "mode_after": 0o2755}, ViolationKind.SETUID_BIT),
        ({"path": "x", "notes": ("capabilities",)}, ViolationKind.SETUID_BIT),
        ({"path": ".git/hooks/post-commit"}, ViolationKind.PROTECTED_PATH),
        ({"path": ".git/hooks/deep/er"}, ViolationKind.PROTECTED_PATH),
        ({"path": ".git/config", "kind": ChangeKind.DELETED}, ViolationKind.PROTECTED_PATH),
        (
            {"path": "x", "mode_before": 0o4755, "mode_after": 0o4755, "kind": ChangeKind.MODIFIED},
            ViolationKind.SETUID_BIT,
        ),
        ({"path": "sub/.git/hooks/post-checkout"}, ViolationKind.PROTECTED_PATH),
        ({"path": ".git/hooks", "link_target": "hk"}, ViolationKind.PROTECTED_PATH),
        ({"path": ".git", "link_target": "g2"}, ViolationKind.PROTECTED_PATH),
        ({"path": "evil", "link_target": "x/../OUTSIDE"}, ViolationKind.ESCAPING_LINK),
        ({"path": "x", "link_target": "/etc/passwd"}, ViolationKind.ESCAPING_LINK),
        ({"path": "a/x", "link_target": "../../y"}, ViolationKind.ESCAPING_LINK),
        ({"path": "x", "link_target": "/work/kb2/y"}, ViolationKind.ESCAPING_LINK),
    ],
)
def test_trap_is_found(change, kind):
    assert kinds(**change) == [kind]


@pytest.mark.parametrize(
    "change",
    [
        {"path": "x", "mode_after": 0o755},
        {"path": "d", "file_type": "folder", "mode_after": 0o2775},
        {"path": "x", "mode_before": 0o4755, "mode_after": 0o4755, "kind": ChangeKind.METADATA},
        {"path": "x", "mode_before": 0o4755, "kind": ChangeKind.DELETED},
        {"path": ".git/objects/ab/cd"},
        {"path": "a/x", "link_target": "../y"},
        {"path": "x", "link_target": "/work/kb/y"},
        {"path": "x", "link_target": "."},
    ],
)
def test_ordinary_change_is_no_trap(change):
    assert kinds(**change) == []


def test_what_is_never_kept_is_told():
    skipped = [Skipped(workspace="/work/kb", path="s", reason="socket")]

    found = violations_in([], skipped, protected=(), at=NOON)

    assert [(v.kind, v.detail) for v in found] == [
        (ViolationKind.DEVICE, "/work/kb/s is not kept: socket")
    ]
