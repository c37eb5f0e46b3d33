"""Runs changes in a real overlay, in a namespace of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.trees import Snapshot, load

from resile.contain.sandboxes.model import OverlayMount
from resile.contain.transaction import Staging, Transaction

ROOT = Path(__file__).parents[2]
OPTIONS = {
    Staging.OVERLAY: "redirect_dir=off,index=off,metacopy=off",
    Staging.OVERLAY_USER: "userxattr",
}
NO_OVERLAY = "no overlay can be mounted here"
"""What the child says; only that is a reason to skip."""


def run_in_overlay(transaction: Transaction, kind: str) -> Snapshot:
    """Change what the transaction's overlay shows; give what it showed in the end."""
    (mount,) = transaction.mounts
    assert isinstance(mount, OverlayMount)
    merged = transaction.folder / "merged"
    merged.mkdir(exist_ok=True)
    namespaces = "-Urm" if mount.is_unprivileged else "-m"
    places = [str(p) for p in (mount.lower, mount.upper, mount.work, merged)]
    child = [sys.executable, "-m", "tests.support.overlay_child"]
    options = OPTIONS[transaction.record.staging]
    done = subprocess.run(
        ["unshare", namespaces, *child, *places, kind, options],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    if NO_OVERLAY in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return load(done.stdout)
