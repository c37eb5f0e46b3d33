"""How a change is shown."""

import json
from pathlib import Path

import pytest
from tests.support.transactions import begin_copy, copied
from tests.support.trees import change_all, make_tree

from resile.contain.transaction import Transaction, describe_change, diff_text
from resile.core.codec import encode
from resile.errors import TransactionError


@pytest.fixture
def changed(tmp_path: Path) -> Transaction:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    make_tree(workspace)
    (workspace / "text").write_text("one\ntwo\nthree")
    (workspace / "binary").write_bytes(b"\0" * 10)
    begun = begin_copy(tmp_path / "run", workspace)
    change_all(copied(begun))
    (copied(begun) / "text").write_text("one\n2\nthree\n")
    (copied(begun) / "binary").write_bytes(b"\0" * 20)
    begun.seal()
    return begun


def shown(transaction: Transaction, path: str, *, bytes_max: int = 1 << 16) -> str:
    (diff,) = transaction.diffs
    change = next(change for change in diff.changes if change.path == path)
    return diff_text(transaction, diff.workspace, change, bytes_max=bytes_max)


def test_text_is_a_unified_diff(changed: Transaction) -> None:
    assert shown(changed, "text") == (
        "--- a/text\n+++ b/text\n@@ -1,3 +1,3 @@\n one\n-two\n-three\n"
        "\\ No newline at end of file\n+2\n+three\n"
    )


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("binary", "binary files differ: binary (10 bytes -> 20 bytes)"),
        ("created", "+++ b/created"),
        ("del", "+++ /dev/null"),
        ("chmod", "chmod: mode 100644 -> 100600"),
        ("link", "link: link mod -> chmod"),
        ("soft", "soft: link (none) -> nowhere"),
        ("fifo", "created fifo fifo"),
        ("gone", "deleted folder gone"),
        ("line\nbreak", "+++ b/line\\x0abreak"),
        ("sparse", "binary files differ: sparse (none -> 104857600 bytes)"),
        ("replaced", "replaced: mode 100644 -> 040755"),
    ],
)
def test_each_kind_of_change_says_what_it_is(changed: Transaction, path: str, line: str) -> None:
    assert line in shown(changed, path).splitlines()


def test_a_long_text_is_cut(changed: Transaction) -> None:
    (diff,) = changed.diffs
    change = next(change for change in diff.changes if change.path == "text")

    found = describe_change(changed, diff.workspace, change, bytes_max=30)

    assert found.is_cut
    assert found.text.endswith("... the rest is not shown\n")
    assert json.loads(json.dumps(encode(found)))["is_cut"] is True


def test_what_is_committed_cannot_be_shown_any_more(changed: Transaction) -> None:
    (diff,) = changed.diffs
    changed.commit()

    with pytest.raises(TransactionError):
        diff_text(changed, diff.workspace, diff.changes[0])
