"""A host of contained runs with folders of its own, which must leave nothing behind."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resile.contain import Host, Limits, Outcome, Runs, run
from resile.core.journal import Query

MIB = 1 << 20
QUICK = {
    "time_s": 20.0,
    "cpu_share": 2.0,
    "memory": 128 * MIB,
    "processes": 8,
    "output_bytes": MIB,
    "disk_bytes": 8 * MIB,
    "grace_s": 0.1,
}
"""Limits for tests: long enough for a slow machine, small enough to be reached at once."""


@dataclass(frozen=True)
class Place:
    """Where a test runs commands."""

    host: Host
    workspace: Path

    def run(self, *argv: str, **options: Any) -> Outcome:
        limits = Limits(**{**QUICK, **options.pop("limits", {})})
        options.setdefault("workspace", self.workspace)
        return run(argv, limits=limits, host=self.host, **options)

    def sh(self, script: str, **options: Any) -> Outcome:
        return self.run("sh", "-c", script, **options)

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        records = self.host.journal.read(Query(kinds=kinds or ("run.*",)))
        return [{"kind": r.event.kind, **r.event.body} for r in records]

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events()]

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.workspace)): path.read_text()
            for path in sorted(self.workspace.rglob("*"))
            if path.is_file()
        }


def groups_of(host: Host) -> list[str]:
    layout = host.tree.layout
    folders = [*layout.controllers.values(), layout.unified]
    return [
        str(p) for f in folders if f and Path(f).is_dir() for p in Path(f).iterdir() if p.is_dir()
    ]


def mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(folder) in line]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    workspace = tmp_path / "work"
    workspace.mkdir()
    (workspace / "notes.txt").write_text("one\n")
    host = Host(
        runs=Runs(tmp_path / "state" / "runs"),
        journal=tmp_path / "state" / "journal",
        environ={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "SECRET": "s3cr3t",
        },
    )
    with contextlib.closing(host):
        yield Place(host, workspace)
        host.close()
        assert mounts_below(tmp_path) == []
        assert groups_of(host) == []
