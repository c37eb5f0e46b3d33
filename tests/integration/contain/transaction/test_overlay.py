"""What a real overlay leaves behind, sealed and committed, is what it showed."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.overlays import run_in_overlay
from tests.support.trees import (
    KINDS,
    Snapshot,
    change_all,
    change_briefly,
    differences,
    make_tree,
    names_of_one_file,
    snapshot,
    without_names,
)

from resile.contain.transaction import Staging, TransactionState, begin


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    make_tree(folder)
    return folder


def changed_directly(workspace: Path, kind: str) -> Snapshot:
    """Change a copy of the workspace without an overlay; give what is there then."""
    copy = workspace.with_name("copy")
    subprocess.run(["cp", "-a", workspace, copy], check=True)
    {"all": change_all, "brief": change_briefly, **KINDS}[kind](copy)
    return snapshot(copy)


@pytest.mark.parametrize("kind", [*KINDS, "all", "brief"])
@pytest.mark.parametrize("staging", [Staging.OVERLAY, Staging.OVERLAY_USER])
def test_commit_gives_what_the_overlay_showed(
    workspace: Path, tmp_path: Path, staging: Staging, kind: str
) -> None:
    if staging is Staging.OVERLAY and os.geteuid() != 0:
        pytest.skip("only root mounts an overlay without a user namespace")
    transaction = begin(tmp_path / "run", [workspace], staging=staging)

    direct = changed_directly(workspace, kind)
    shown = run_in_overlay(transaction, kind)
    transaction.seal()
    transaction.commit()

    committed = snapshot(workspace)
    shown.pop("socket", None)
    assert differences(without_names(committed), without_names(shown)) == []
    names = names_of_one_file(direct) - ({("hard1", "hard2")} if kind in ("hard", "all") else set())
    assert names_of_one_file(committed) == names
    assert transaction.state is TransactionState.COMMITTED
