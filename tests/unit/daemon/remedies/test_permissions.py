"""A refused permission is explained: which path, its mode, its owner, and what to do."""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resile.core.vocabulary import FaultKind, Priority
from resile.daemon.remedies.explaining import Explainer
from resile.daemon.remedies.permissions import explain_permission, paths_in
from resile.recover import OpenFault

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder, and be somebody who is not root meanwhile: root may do everything."""
    with tempfile.TemporaryDirectory() as name:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if is_root:
                os.seteuid(0)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("PermissionError: [Errno 13] Permission denied: '/srv/data/a.db'", "/srv/data/a.db"),
        ("open /etc/app.key: permission denied", "/etc/app.key"),
        ("bash: ./run.sh: Permission denied", "/home/app/run.sh"),
        ("cannot open 'logs/app.log': Permission denied", "/home/app/logs/app.log"),
    ],
)
def test_path_is_found_in_the_words(text: str, path: str) -> None:
    found = [os.path.normpath(one) for one in paths_in(text, folder=Path("/home/app"))]

    assert path in found


def test_closed_file_is_named_with_its_mode_and_owner(place: Path) -> None:
    closed = place / "key"
    closed.write_text("x")
    closed.chmod(0o200)

    told = explain_permission(f"Permission denied: '{closed}'", folder=place)

    assert f"{closed} has the mode --w------- (0200)" in told
    assert "may not read or execute it" in told


def test_closed_folder_on_the_way_is_named_instead(place: Path) -> None:
    folder = place / "closed"
    (folder / "deep").mkdir(parents=True)
    folder.chmod(0o600)
    try:
        told = explain_permission(f"denied: '{folder}/deep/a'", folder=place)
    finally:
        folder.chmod(0o700)

    assert f"{folder} has the mode drw------- (0600)" in told
    assert "may not enter it" in told


def test_port_below_1024_is_explained(tmp_path: Path) -> None:
    told = explain_permission("bind: permission denied", folder=tmp_path)

    assert "CAP_NET_BIND_SERVICE" in told


def test_words_without_a_path_are_told_as_they_are(tmp_path: Path) -> None:
    told = explain_permission("EPERM", folder=tmp_path)

    assert told.endswith(": EPERM")


def test_person_is_told_the_next_command(tmp_path: Path) -> None:
    fault = OpenFault(
        fault_id="f",
        kind=FaultKind.CRASH,
        target="service/api",
        priority=Priority.P1,
        objective=Priority.P1,
        began_at=datetime(2026, 1, 1, tzinfo=UTC),
        reason="ended with exit code 1: EPERM",
        evidence={"cause": "permission", "bundle": str(tmp_path / "gone.json")},
    )

    told = Explainer(folders={"api": str(tmp_path)}, folder=tmp_path).explain(fault)

    assert told.endswith("change that, then: resile restart api")
